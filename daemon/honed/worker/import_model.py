"""Imports a base model: refuses what is unsafe or wrong, converts, records facts, builds and measures its graph.

Everything in the source folder is untrusted; nothing of it is executed, and only files that honed knows are taken over.
"""

import os
from pathlib import Path
from typing import Any

import torch
from honed import manifest
from honed.data import load_renderer
from honed.errors import InvalidInput
from honed.evaluate import PROBE
from honed.export import build
from honed.quantize import relative_error
from honed.tune import base
from honed.tune.predict import TorchPredictor
from honed.worker import model_folder
from honed.worker.contract import ImportWork
from honed.worker.measure import open_graph, parity
from honed.worker.report import Report
from transformers import AutoModelForCausalLM, AutoTokenizer


def run(work: ImportWork, output: Path, report: Report) -> dict[str, Any]:
    """Writes output/model and, but for an encoder, output/export."""
    report.phase("checking files")
    files = model_folder.source_files(Path(work.source))
    digests = {path.name: manifest.file_sha256(path) for path in files}
    _check_expected(digests, work.expected_sha256)
    folder = output / "model"
    folder.mkdir()
    error = None
    if len(files) == 1 and files[0].suffix == ".gguf":
        report.phase("converting GGUF")
        error = _convert_gguf(files[0], folder)
        report.log(f"GGUF weights restored; rounding them to bfloat16 costs a relative error of {error:.2e}.")
    else:
        model_folder.check(files)
        model_folder.take_over(files, folder)
    config = model_folder.load_config(folder)
    renderer = load_renderer(folder)
    parameters = model_folder.check_shapes(folder, config)
    model_manifest = manifest.write(folder)
    facts = model_folder.facts(config) | {
        "source_format": "safetensors" if error is None else "gguf",
        "source_digests": digests,
        "parameters": parameters,
        "conversion_error": error or 0.0,
    }
    if base.is_encoder(config):
        report.log(
            f"An encoder ({config.model_type}) writes no text, so there is no serving graph; tune it to classify."
        )
        return {"model": _made(model_manifest, facts | {"serving_export": ""})}
    report.phase("building the serving graph")
    export = output / "export"
    export.mkdir()
    build(folder, export, "onnx-int8")
    report.phase("measuring parity")
    reference = TorchPredictor(base.load(folder, torch.float32))
    graph = open_graph(export, torch.get_num_threads())
    measured = parity(reference, graph, renderer, PROBE, "", report.rows())
    report.log(
        f"Serving graph: top-1 agreement {measured['top1_agreement']:.3f}, mean KL {measured['mean_kl']:.1e} nats "
        f"over {measured['tokens']} tokens of the built-in probe."
    )
    export_manifest = manifest.write(export)
    return {
        "model": _made(model_manifest, facts | {"serving_export": work.serving_export}),
        "export": _made(export_manifest, {"format": "onnx-int8", "parity": measured}),
    }


def _check_expected(digests: dict[str, str], expected: dict[str, str]) -> None:
    for name, digest in expected.items():
        if digests.get(name) != digest:
            raise InvalidInput(
                f"{name}: expected SHA-256 {digest}, found {digests.get(name, 'no such file')}. "
                "The file is not the one that was pinned; get it again from a source you trust.",
                reason="DIGEST_MISMATCH",
                file=name,
            )


def _convert_gguf(path: Path, folder: Path) -> float:
    """Restores the weights, writes a Hugging Face folder in bfloat16, and returns the rounding's relative error."""
    model_folder.check_gguf(path)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name, local_files_only=True)
        model: Any = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32, local_files_only=True
        )
    except (ValueError, KeyError, RuntimeError, NotImplementedError, AttributeError) as error:
        raise InvalidInput(
            f"{path.name} cannot be read: {type(error).__name__}: {error}", reason="MODEL_FILE_INVALID", file=path.name
        ) from error
    exact = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    model = model.to(torch.bfloat16)
    rounded = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    error = relative_error(exact, rounded)
    # The weights are plain tensors now; what remembers their GGUF past would make saving fail.
    model.hf_quantizer = None
    config: Any = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config._name_or_path = ""  # noqa: SLF001 - transformers has no other way
    model.save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    for file in folder.iterdir():
        os.chmod(file, 0o600)  # noqa: PTH101 - as the rest of the state folder
    return error


def _made(made: manifest.Manifest, facts: dict[str, Any]) -> dict[str, Any]:
    return {"digest": made.digest, "size_bytes": made.size_bytes, "facts": facts}

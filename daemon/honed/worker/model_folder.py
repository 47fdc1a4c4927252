"""What may be in a model's folder, and whether its parts agree: names, JSON, tensor headers. Runs no code of the model.

Weights are safetensors only: every other format that transformers reads can carry pickled code.
"""

import json
import shutil
from pathlib import Path
from typing import Any, cast

import torch
from gguf import GGUFReader
from honed.architectures import DECODERS, ENCODERS
from honed.errors import HonedError, InvalidInput
from optimum.utils import NormalizedConfigManager
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PretrainedConfig

ARCHITECTURES = (*DECODERS, *ENCODERS)
_GGUF_ARCHITECTURES = ("llama",)

_PICKLED = {".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".h5", ".msgpack", ".npy", ".npz", ".joblib"}
_CODE = {".py", ".pyc", ".so", ".ipynb"}
_KEPT = {
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "model.safetensors.index.json",
}
_MAX_JSON_BYTES = 64 << 20
_MAX_LAYERS = 1000


def source_files(source: Path) -> list[Path]:
    """Files of a folder (or the one file), in the order of their names.

    Raises:
        InvalidInput: there is a folder inside, a link, or nothing at all.
    """
    if source.is_file():
        return [source]
    entries = sorted(source.iterdir())
    for entry in entries:
        if entry.is_symlink() or not entry.is_file():
            raise InvalidInput(
                f"{entry.name} is a {'link' if entry.is_symlink() else 'folder'}; a model is a flat folder of plain "
                "files.",
                reason="MODEL_FILE_REFUSED",
                file=entry.name,
            )
    if not entries:
        raise InvalidInput("The folder is empty.", reason="MODEL_FILE_MISSING")
    return entries


def check(files: list[Path]) -> None:
    """Refuses what must not be in a model folder.

    Raises:
        InvalidInput: pickled weights, Python code, `auto_map`, a missing shard, a broken JSON or tensor file.
    """
    names = {path.name for path in files}
    for path in files:
        suffix = path.suffix.lower()
        if suffix in _PICKLED:
            raise _refused(path, "may hold pickled code; convert the weights to safetensors")
        if suffix in _CODE:
            raise _refused(path, "is code; honed runs no code that comes with a model. Remove the file")
        if suffix == ".gguf" and len(files) > 1:
            raise _refused(path, "stands beside other files; import a GGUF file on its own")
        if suffix == ".json" and "auto_map" in _load_json(path):
            raise _refused(path, "names custom code (auto_map); honed runs no code that comes with a model")
    if "config.json" not in names:
        raise InvalidInput("config.json is missing.", reason="MODEL_FILE_MISSING", file="config.json")
    weights = [path for path in files if path.suffix == ".safetensors"]
    if not weights:
        raise InvalidInput("There is no .safetensors file.", reason="MODEL_FILE_MISSING", file="*.safetensors")
    index = next((path for path in files if path.name == "model.safetensors.index.json"), None)
    if index is not None:
        wanted = set(cast("dict[str, str]", _load_json(index).get("weight_map", {})).values())
        missing = sorted(wanted - names)
        if missing:
            raise InvalidInput(
                f"The index names the shard(s) {', '.join(missing[:5])}, which are missing.",
                reason="MODEL_FILE_MISSING",
                file=missing[0],
            )
    elif len(weights) > 1:
        raise InvalidInput(
            "There are several .safetensors files and no model.safetensors.index.json to say what is where.",
            reason="MODEL_FILE_MISSING",
            file="model.safetensors.index.json",
        )


def check_gguf(path: Path) -> None:
    """Refuses a GGUF file that is broken or of another architecture."""
    try:
        field = GGUFReader(str(path)).get_field("general.architecture")
        architecture = field.contents() if field else "none"
    except (ValueError, KeyError, IndexError, OSError, OverflowError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"{path.name} is not a GGUF file that can be read: {error}", reason="MODEL_FILE_INVALID", file=path.name
        ) from None
    if architecture not in _GGUF_ARCHITECTURES:
        raise _unsupported(str(architecture), _GGUF_ARCHITECTURES, path.name)


def take_over(files: list[Path], folder: Path) -> None:
    """Copies the files that honed uses; the rest (cards, licences, images) stays out."""
    for path in files:
        if path.name in _KEPT or path.suffix == ".safetensors":
            shutil.copyfile(path, folder / path.name)


def load_config(folder: Path) -> PretrainedConfig:
    """The model's configuration.

    Raises:
        InvalidInput: it is broken or of an unknown architecture.
    """
    values = _load_json(folder / "config.json")
    architecture = values.get("model_type", "none")
    if architecture not in ARCHITECTURES:
        raise _unsupported(str(architecture), ARCHITECTURES, "config.json")
    if "quantization_config" in values:
        raise _refused(folder / "config.json", "says that the weights are quantised; import the full-precision model")
    layers = values.get("num_hidden_layers", 1)
    if not isinstance(layers, int) or not 0 < layers <= _MAX_LAYERS:  # building them all would take hours
        raise InvalidInput(
            f"config.json promises {str(layers)[:40]} layers; expected 1 to {_MAX_LAYERS}.",
            reason="MODEL_FILE_INVALID",
            file="config.json",
        )
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # noqa: BLE001 - transformers raises what it likes on a bad config
        raise InvalidInput(
            f"config.json is not a valid {architecture} configuration: {error}",
            reason="MODEL_FILE_INVALID",
            file="config.json",
        ) from None
    return config


def check_shapes(folder: Path, config: PretrainedConfig) -> int:
    """Compares the tensors' headers with what config.json promises; returns the number of parameters.

    Raises:
        InvalidInput: a tensor is missing or has another shape, or a file is broken.
    """
    try:
        with torch.device("meta"):
            model: Any = (
                AutoModel.from_config(config, add_pooling_layer=False)
                if config.model_type in ENCODERS
                else AutoModelForCausalLM.from_config(config)
            )
    except Exception as error:  # noqa: BLE001 - transformers raises what it likes on a bad config
        raise InvalidInput(
            f"config.json does not describe a model that can be built: {error}",
            reason="MODEL_SHAPES_WRONG",
            file="config.json",
        ) from None
    found = dict(shape for path in sorted(folder.glob("*.safetensors")) for shape in _shapes(path))
    tied = set(model.state_dict()) - {name for name, _ in model.named_parameters()}
    for name, tensor in model.state_dict().items():
        expected = tuple(tensor.shape)
        if name not in found and name in tied:
            continue
        # A checkpoint of a whole task's model has the encoder below its prefix ("bert.").
        shape = found.get(name, found.get(f"{model.base_model_prefix}.{name}"))
        if shape != expected:
            raise InvalidInput(
                f"config.json promises the tensor {name} with shape {expected}; the weights have "
                f"{shape or 'no such tensor'}. The configuration does not belong to these weights.",
                reason="MODEL_SHAPES_WRONG",
                tensor=name,
            )
    return sum(parameter.numel() for parameter in model.parameters())


def facts(config: PretrainedConfig) -> dict[str, Any]:
    """Layers, heads and vocabulary by optimum's normalised configuration, which knows each family's names for them."""
    normal: Any = NormalizedConfigManager.get_normalized_config_class(config.model_type)(config)
    heads: int = normal.num_attention_heads
    return {
        "architecture": config.model_type,
        "layers": normal.num_layers,
        "hidden_size": normal.hidden_size,
        "attention_heads": heads,
        "key_value_heads": getattr(config, "num_key_value_heads", None) or heads,
        "vocabulary_size": normal.vocab_size,
        "context_length": cast("Any", config).max_position_embeddings,
    }


def _shapes(path: Path) -> list[tuple[str, tuple[int, ...]]]:
    try:
        with safe_open(path, framework="pt") as file:  # pyright: ignore[reportUnknownVariableType] - untyped library
            tensors: Any = file
            return [(name, tuple(tensors.get_slice(name).get_shape())) for name in tensors.keys()]  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise InvalidInput(
            f"{path.name} is not a safetensors file that can be read: {error}",
            reason="MODEL_FILE_INVALID",
            file=path.name,
        ) from None


def _load_json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise ValueError(f"larger than {_MAX_JSON_BYTES:,} bytes")
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{path.name} is not valid JSON: {error}", reason="MODEL_FILE_INVALID", file=path.name
        ) from None
    return value if isinstance(value, dict) else {}


def _refused(path: Path, why: str) -> HonedError:
    return InvalidInput(f"{path.name} {why}.", reason="MODEL_FILE_REFUSED", file=path.name)


def _unsupported(architecture: str, known: tuple[str, ...], file: str) -> HonedError:
    return InvalidInput(
        f"{file}: the architecture {architecture!r} is not supported; supported are {', '.join(known)}.",
        reason="MODEL_UNSUPPORTED",
        architecture=architecture,
        file=file,
    )

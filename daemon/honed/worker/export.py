"""Exports: merges an adapter (or takes the bare base), builds the graph, measures its parity on held-out rows."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from honed import manifest
from honed.data import Example, Prepared, Renderer, ServingTemplate
from honed.evaluate import PROBE
from honed.export import build, merge, save_checkpoint
from honed.tune import base
from honed.tune.predict import TorchPredictor
from honed.worker import tuned
from honed.worker.contract import ExportWork
from honed.worker.measure import open_graph, parity
from honed.worker.report import Report


def run(work: ExportWork, output: Path, report: Report) -> dict[str, Any]:
    """Writes output/export."""
    report.phase("loading")
    model_folder = Path(work.model)
    adapter = Path(work.adapter) if work.adapter else None
    renderer = Renderer.load(model_folder)
    if work.dataset:
        manifest.verify(Path(work.dataset))
    rows: Sequence[Example] = Prepared.load(Path(work.dataset)).test if work.dataset else PROBE
    folder = output / "export"
    folder.mkdir()
    if adapter is None:
        manifest.verify(model_folder)
        report.phase("building the graph")
        build(model_folder, folder, work.format)
    else:
        report.phase("merging")
        merged = merge(tuned.load(model_folder, adapter, renderer, torch.float32))
        with tempfile.TemporaryDirectory(dir=output) as checkpoint:
            save_checkpoint(merged, model_folder, Path(checkpoint))
            del merged
            report.phase("building the graph")
            build(Path(checkpoint), folder, work.format)
        ServingTemplate.load(adapter).save(folder)

    report.phase("measuring parity")
    # Loaded anew: the reference is the model as it was tuned, its adapter beside the base, not what merging made of it.
    source: Any = (
        base.load(model_folder, torch.float32)
        if adapter is None
        else tuned.load(model_folder, adapter, renderer, torch.float32)
    )
    graph = open_graph(folder, torch.get_num_threads())
    measured = parity(TorchPredictor(source), graph, renderer, rows, work.dataset_name, report.rows())
    report.log(
        f"Parity over {measured['tokens']} tokens of {measured['rows']} rows: top-1 agreement "
        f"{measured['top1_agreement']:.4f}, mean KL {measured['mean_kl']:.1e} nats."
    )
    made = manifest.write(folder)
    return {
        "export": {
            "digest": made.digest,
            "size_bytes": made.size_bytes,
            "facts": {"format": work.format, "parity": measured},
        }
    }

"""Combines adapters of one contract into a new one, and evaluates it."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from honed import manifest
from honed.data import Prepared, Renderer, ServingTemplate
from honed.evaluate import Who
from honed.tune import base, methods
from honed.tune.combine import Source, combine
from honed.tune.methods import lora
from honed.tune.predict import TorchPredictor
from honed.worker.adapter_contract import Contract, weights_digest
from honed.worker.contract import CombineWork
from honed.worker.evaluation import Evaluation
from honed.worker.report import Report


def run(work: CombineWork, output: Path, report: Report) -> dict[str, Any]:
    """Writes output/adapter, and output/report if there is a data set to evaluate on."""
    report.phase("reading adapters")
    model_folder = Path(work.model)
    folders = [Path(each["folder"]) for each in work.sources]
    for folder in (model_folder, *folders):
        manifest.verify(folder)
    renderer = Renderer.load(model_folder)
    evaluation = _evaluation(work, report)

    report.phase("loading the base")
    contract = Contract.load(folders[0])  # that of all of them, or the job would not have been made
    dtype = base.compute_dtype()
    model = base.load_to_tune(model_folder, dtype)
    if evaluation:
        evaluation.check("the adapter", renderer, model.config.max_position_embeddings, tuned=True)
    digest = base.quantize_linears(model, contract.base_precision, keep_dequantized=base.has_room_for_dequantized())
    contract.require(Contract.of(model_folder, contract.base_precision, digest, renderer))

    report.phase("combining")
    sources = [
        Source(lora.values(folder), lora.scale(folder), weight)
        for folder, weight in zip(folders, work.weights, strict=True)
    ]
    combined = lora.attach(
        model, methods.Settings("lora", work.rank, alpha=work.rank, target_modules=work.target_modules, seed=work.seed)
    )
    lora.fill(combined, combine(sources, work.method, work.rank, work.density, work.seed))
    combined.eval()
    parts = ", ".join(f"{weight:g} {each['name']}" for each, weight in zip(work.sources, work.weights, strict=True))
    report.log(f"Combined by {work.method} into rank {work.rank}: {parts}.")

    made_report: dict[str, Any] = {}
    if evaluation:
        who = Who("tuned", work.adapter_name, f"torch {base.name(dtype)}", tuned=True)
        evaluation.asked(TorchPredictor(combined), renderer, who)
        evaluation.forgetting(combined, renderer, "tuned")
        made_report = {"report": evaluation.write(output / "report")}

    report.phase("saving")
    folder = output / "adapter"
    folder.mkdir()
    methods.save(combined, "lora", folder, weights_digest(model_folder))
    contract.save(folder)
    ServingTemplate.load(folders[0]).save(folder)
    made = manifest.write(folder)
    facts = {
        "contract": asdict(contract),
        "evaluations": [result.summary() for result in evaluation.evidence.results] if evaluation else [],
    }
    return {"adapter": {"digest": made.digest, "size_bytes": made.size_bytes, "facts": facts}} | made_report


def _evaluation(work: CombineWork, report: Report) -> Evaluation | None:
    if work.dataset is None:
        return None
    manifest.verify(Path(work.dataset))
    return Evaluation(
        f"{work.adapter_name} on {work.dataset_name}",
        Prepared.load(Path(work.dataset)),
        work.dataset_name,
        report,
        max_rows=work.max_evaluation_rows,
        seed=work.seed,
        earlier=work.earlier,
    )

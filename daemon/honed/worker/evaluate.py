"""Evaluates bases, adapters and exports on the same test rows, and writes the report that compares them."""

import json
from pathlib import Path
from typing import Any

import torch
from honed import manifest
from honed.data import Prepared, Renderer
from honed.data.serving_template import TEMPLATE_FILE
from honed.evaluate import Who
from honed.serve.predict import GraphPredictor
from honed.tune import base
from honed.tune.predict import TorchPredictor
from honed.worker import tuned
from honed.worker.contract import EvaluateWork
from honed.worker.evaluation import Evaluation, require_context
from honed.worker.measure import open_graph
from honed.worker.report import Report

_ROWS_TOGETHER = 8


def run(work: EvaluateWork, output: Path, report: Report) -> dict[str, Any]:
    """Writes output/report."""
    report.phase("loading")
    manifest.verify(Path(work.dataset))
    data = Prepared.load(Path(work.dataset))
    names = [subject["name"] for subject in work.subjects]
    evaluation = Evaluation(
        f"{work.dataset_name}: {', '.join(names)}",
        data,
        work.dataset_name,
        report,
        max_rows=work.max_rows,
        seed=work.seed,
        slice_columns=work.slice_columns,
    )
    for subject in work.subjects:
        report.phase(f"loading {subject['name']}")
        _ask(work, subject, evaluation)
    return {"report": evaluation.write(output / "report")}


def _ask(work: EvaluateWork, subject: dict[str, str], evaluation: Evaluation) -> None:
    name, model_folder = subject["name"], Path(subject["model"])
    folder = Path(subject["export"] or subject["adapter"] or subject["model"])
    manifest.verify(folder)
    renderer = Renderer.load(Path(subject["export"]) if subject["export"] else model_folder)
    context_length = json.loads((model_folder / "config.json").read_text("utf-8"))["max_position_embeddings"]
    require_context(evaluation.evidence.examples, renderer, context_length)
    if subject["export"]:
        graph = open_graph(folder, torch.get_num_threads(), slots=_ROWS_TOGETHER)
        who = Who(name, name, "onnxruntime", tuned=(folder / TEMPLATE_FILE).exists())  # that of a bare base has none
        evaluation.asked(GraphPredictor(graph), renderer, who)
    elif subject["adapter"]:
        model = tuned.load(model_folder, folder, renderer, torch.bfloat16)
        evaluation.asked(TorchPredictor(model), renderer, Who(name, name, "torch bfloat16", tuned=True))
        evaluation.forgetting(model, renderer, name, work.earlier)
    else:
        predictor = TorchPredictor(base.load(model_folder, torch.bfloat16))
        models = sum(not (each["adapter"] or each["export"]) for each in work.subjects)
        called = "base" if models == 1 else name
        evaluation.untuned(predictor, renderer, name, work.shots, work.shot_choice, called)

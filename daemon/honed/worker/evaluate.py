"""Evaluates bases, adapters and exports on the same test rows, and writes the report that compares them."""

import json
from pathlib import Path
from typing import Any

import torch
from honed import manifest
from honed.data import Prepared, Renderer, load_renderer
from honed.data.serving_template import TEMPLATE_FILE
from honed.evaluate import Who
from honed.serve.predict import GraphPredictor
from honed.tune import base, methods
from honed.tune.heads import HEAD_FILE, HeadPredictor
from honed.tune.predict import TorchPredictor
from honed.worker import tuned
from honed.worker.contract import EvaluateWork
from honed.worker.evaluation import Evaluation
from honed.worker.measure import open_graph
from honed.worker.report import Report

_ROWS_TOGETHER = 8
Subject = dict[str, str]


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
        earlier=work.earlier,
    )
    for subject in work.subjects:
        report.phase(f"checking {subject['name']}")
        manifest.verify(_folder(subject))
        is_tuned = _is_tuned(subject)
        shots = [] if is_tuned or subject["export"] else work.shots
        evaluation.check(
            subject["name"],
            _renderer(subject),
            _context_length(subject),
            tuned=is_tuned,
            head=_has_head(subject),
            shots=shots,
        )
    for subject in work.subjects:
        report.phase(f"loading {subject['name']}")
        _ask(work, subject, evaluation)
    return {"report": evaluation.write(output / "report")}


def _ask(work: EvaluateWork, subject: Subject, evaluation: Evaluation) -> None:
    name, model_folder, renderer = subject["name"], Path(subject["model"]), _renderer(subject)
    if subject["export"]:
        who = Who(name, name, "onnxruntime", tuned=_is_tuned(subject))
        evaluation.asked(_served(subject), renderer, who)
    elif subject["adapter"]:
        model = tuned.load(model_folder, _folder(subject), renderer, base.compute_dtype())
        predictor = HeadPredictor(model) if _has_head(subject) else TorchPredictor(model)
        who = Who(name, name, f"torch {base.name(predictor.dtype)}", tuned=True)
        evaluation.asked(predictor, renderer, who)
        if not _has_head(subject):
            evaluation.forgetting(model, renderer, name)
    else:
        predictor = TorchPredictor(base.load_to_tune(model_folder, base.compute_dtype()))
        models = sum(not (each["adapter"] or each["export"]) for each in work.subjects)
        called = "base" if models == 1 else name
        evaluation.untuned(predictor, renderer, name, work.shots, work.shot_choice, called)


def _folder(subject: Subject) -> Path:
    return Path(subject["export"] or subject["adapter"] or subject["model"])


def _renderer(subject: Subject) -> Renderer:
    return load_renderer(Path(subject["export"] or subject["model"]))


def _is_tuned(subject: Subject) -> bool:
    """Whether it is an adapter or an export of one; the export of a bare base has no template."""
    return bool(subject["adapter"] or (subject["export"] and (_folder(subject) / TEMPLATE_FILE).exists()))


def _has_head(subject: Subject) -> bool:
    return bool(subject["adapter"]) and (_folder(subject) / HEAD_FILE).exists()


def _context_length(subject: Subject) -> int:
    if subject["export"]:
        return _served(subject).context_length  # what its cache holds, which may be less than its context
    config = json.loads((Path(subject["model"]) / "config.json").read_text("utf-8"))
    virtual = methods.saved_virtual_tokens(_folder(subject)) if subject["adapter"] else 0
    return config["max_position_embeddings"] - virtual


def _served(subject: Subject) -> GraphPredictor:
    return GraphPredictor(open_graph(_folder(subject), torch.get_num_threads(), slots=_ROWS_TOGETHER))

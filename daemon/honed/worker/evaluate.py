"""Evaluates a base, an adapter or an export on a data set's test rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from honed import manifest
from honed.data import Prepared, Renderer
from honed.evaluate import Progress
from honed.serve.predict import GraphPredictor
from honed.tune import base
from honed.tune.predict import TorchPredictor
from honed.worker import tuned
from honed.worker.contract import EvaluateWork
from honed.worker.evaluation import evaluate_base, evaluate_tuned
from honed.worker.measure import open_graph
from honed.worker.report import Report


def run(work: EvaluateWork, output: Path, report: Report) -> dict[str, Any]:  # noqa: ARG001 - the handlers' signature
    """Reports evaluations; writes nothing."""
    report.phase("loading")
    data = Prepared.load(Path(work.dataset))
    model_folder = Path(work.model)
    if work.export is not None:
        folder = Path(work.export)
        manifest.verify(folder)
        served = ServedPredictor(GraphPredictor(open_graph(folder, torch.get_num_threads())))
        evaluate_tuned(served, Renderer.load(folder), data, "served", report)
        return {}
    renderer = Renderer.load(model_folder)
    if work.adapter is not None:
        model = tuned.load(model_folder, Path(work.adapter), renderer, torch.bfloat16)
        evaluate_tuned(TorchPredictor(model), renderer, data, "tuned", report)
    else:
        manifest.verify(model_folder)
        model = base.load(model_folder, torch.bfloat16)
        evaluate_base(TorchPredictor(model), renderer, data, work.few_shot, report)
    return {}


class ServedPredictor:
    """A graph as a `honed.evaluate.Predictor` of greedy replies, row by row."""

    def __init__(self, predictor: GraphPredictor) -> None:
        self._predictor = predictor

    def generate(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop_ids: frozenset[int], progress: Progress
    ) -> list[list[int]]:
        """Greedy replies, each up to and without its stop token."""
        replies: list[list[int]] = []
        for prompt in prompts:
            replies.append(self._predictor.generate(prompt, max_new_tokens, stop_ids))
            progress(len(replies), len(prompts))
        return replies

"""Evaluations of a job while it runs and where it has no report: each subject's main figures with their intervals."""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from honed.v1.types_pb2 import Evaluation, Metric

_HUNDREDS: Final = frozenset({"bleu", "chrf"})  # from 0 to 100
# Where there is an accuracy it says it all; else the first three of these that the task has.
_MAIN: Final = ("field_f1", "json_valid", "bleu", "rouge_l", "exact_match", "perplexity", "nll")


def evaluation_columns(evaluations: Iterable[Evaluation]) -> Mapping[str, Callable[[Evaluation], str]]:
    """The columns of the evaluation table."""
    # In order of first sight, each once.
    names = {name: None for evaluation in evaluations for name in _main_figures(evaluation)}
    return {
        "SUBJECT": lambda evaluation: evaluation.subject,
        "MODE": _mode,
        "ROWS": lambda evaluation: f"{evaluation.total:,}",
        **{name.upper(): _cell(name) for name in names},
    }


def evaluation_text(evaluation: Evaluation) -> str:
    """An evaluation as one line."""
    figures = ", ".join(f"{name} {figure}" for name, figure in _main_figures(evaluation).items())
    return f"{evaluation.subject}, {_mode(evaluation)}, {evaluation.total:,} rows: {figures}"


def _cell(name: str) -> Callable[[Evaluation], str]:
    return lambda evaluation: _main_figures(evaluation).get(name, "")


def _mode(evaluation: Evaluation) -> str:
    from honed.v1.types_pb2 import AnswerMode

    return AnswerMode.Name(evaluation.mode).removeprefix("ANSWER_MODE_").lower()


def _main_figures(evaluation: Evaluation) -> dict[str, str]:
    """The main figures by name. An evaluation of an earlier version of honed has its accuracy alone."""
    metrics = {metric.name: metric for metric in evaluation.metrics}
    if "accuracy" in metrics:
        return {"accuracy": _figure(metrics["accuracy"])}
    main = [name for name in _MAIN if name in metrics][:3]
    return {name: _figure(metrics[name]) for name in main} or {"accuracy": f"{evaluation.accuracy:.3f}"}


def _figure(metric: Metric) -> str:
    decimals = 1 if metric.name in _HUNDREDS else 3
    return f"{metric.value:.{decimals}f} [{metric.low:.{decimals}f}, {metric.high:.{decimals}f}]"

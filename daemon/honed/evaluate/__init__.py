"""Metrics, comparisons, parity and reports. Takes predictors as callables; knows neither torch nor onnxruntime."""

from honed.evaluate.comparison import Comparison, compare_nll
from honed.evaluate.metric import Metric
from honed.evaluate.parity import Agreement, LogProbabilities, log_softmax, measure
from honed.evaluate.predictors import Predictor, Progress, Reply
from honed.evaluate.probe import GENERAL_TEXT, PROBE
from honed.evaluate.report import Evidence, Forgetting, write_report
from honed.evaluate.result import (
    Latency,
    Result,
    Who,
    nll_metrics,
    of_labels,
    of_likelihoods,
    of_preferences,
    of_reading,
    of_texts,
)

__all__ = [
    "GENERAL_TEXT",
    "PROBE",
    "Agreement",
    "Comparison",
    "Evidence",
    "Forgetting",
    "Latency",
    "LogProbabilities",
    "Metric",
    "Predictor",
    "Progress",
    "Reply",
    "Result",
    "Who",
    "compare_nll",
    "log_softmax",
    "measure",
    "nll_metrics",
    "of_labels",
    "of_likelihoods",
    "of_preferences",
    "of_reading",
    "of_texts",
    "write_report",
]

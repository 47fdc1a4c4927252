"""Metrics, comparisons, parity and reports. Takes predictors as callables; knows neither torch nor onnxruntime."""

from honed.evaluate import stored
from honed.evaluate.comparison import Comparison
from honed.evaluate.forgetting import Forgetting
from honed.evaluate.metric import Metric
from honed.evaluate.parity import Agreement, LogProbabilities, log_softmax, measure
from honed.evaluate.predictors import Classifier, Predictor, Progress, Reply, Scorer
from honed.evaluate.probe import GENERAL_TEXT, PROBE
from honed.evaluate.report import Evidence, write_report
from honed.evaluate.result import (
    Latency,
    Result,
    Who,
    of_extractions,
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
    "Classifier",
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
    "Scorer",
    "Who",
    "log_softmax",
    "measure",
    "of_extractions",
    "of_labels",
    "of_likelihoods",
    "of_preferences",
    "of_reading",
    "of_texts",
    "stored",
    "write_report",
]

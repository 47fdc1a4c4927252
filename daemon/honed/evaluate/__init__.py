"""Metrics and parity. Takes predictors as callables; knows neither torch nor onnxruntime."""

from honed.evaluate.accuracy import (
    Evaluation,
    few_shot_prompts,
    free_accuracy,
    likelihood_accuracy,
    tuned_prompts,
    zero_shot_prompts,
)
from honed.evaluate.parity import Agreement, LogProbabilities, log_softmax, measure
from honed.evaluate.predictors import Generator, Progress, Scorer
from honed.evaluate.probe import PROBE

__all__ = [
    "PROBE",
    "Agreement",
    "Evaluation",
    "Generator",
    "LogProbabilities",
    "Progress",
    "Scorer",
    "few_shot_prompts",
    "free_accuracy",
    "likelihood_accuracy",
    "log_softmax",
    "measure",
    "tuned_prompts",
    "zero_shot_prompts",
]

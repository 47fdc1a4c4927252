"""A figure with its interval, and what the name of each metric means to a reader."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A figure and the ends of its 95 % bootstrap interval; `name` is a key of KINDS."""

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Kind:
    """How a metric is named in a sentence, written and read."""

    words: str
    highest: float = 1.0
    decimals: int = 3
    lower_is_better: bool = False


KINDS: Mapping[str, Kind] = {
    "accuracy": Kind("accuracy"),
    "macro_precision": Kind("macro precision"),
    "macro_recall": Kind("macro recall"),
    "macro_f1": Kind("macro F1"),
    "exact_match": Kind("exact match"),
    "token_f1": Kind("token F1"),
    "bleu": Kind("BLEU", highest=100.0, decimals=1),
    "chrf": Kind("chrF", highest=100.0, decimals=1),
    "rouge_l": Kind("ROUGE-L"),
    "json_valid": Kind("valid JSON"),
    "field_f1": Kind("field F1"),
    "nll": Kind("NLL", highest=math.inf, lower_is_better=True),
    "perplexity": Kind("perplexity", highest=math.inf, decimals=2, lower_is_better=True),
    "preference": Kind("preference accuracy"),
}

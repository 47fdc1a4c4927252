"""What one subject got on the rows asked: its metrics, its answers, and the row scores that comparisons need. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from honed.data import Example
from honed.evaluate.calibration import Calibration, calibrate
from honed.evaluate.classification import ClassScore, classify
from honed.evaluate.intervals import bootstrap_mean, bootstrap_ratio
from honed.evaluate.metric import Metric
from honed.evaluate.predictors import Reply
from honed.evaluate.slices import Slice, slice_scores
from honed.evaluate.text_scores import field_f1, json_valid, score_texts

Mode = Literal["free", "likelihood"]
_LARGEST_EXPONENT = 700.0  # e to the power of 710 is more than a float holds


@dataclass(frozen=True)
class Who:
    """A subject and the way it is asked: "base 12-shot", "models/smollm2", "torch bfloat16"; `tuned` for an adapter or
    an export of one."""

    name: str
    resource: str
    runtime: str
    tuned: bool


@dataclass(frozen=True)
class Latency:
    """Wall clock of a reply from its prompt on, and the tokens of all replies over the wall clock of all."""

    mean_ms: float
    p50_ms: float
    p95_ms: float
    tokens_per_s: float

    @classmethod
    def of(cls, replies: Sequence[Reply], seconds: float) -> "Latency":
        each = np.array([reply.seconds for reply in replies]) * 1000
        tokens = sum(len(reply.tokens) + 1 for reply in replies)
        p50, p95 = np.quantile(each, (0.5, 0.95))
        return cls(float(each.mean()), float(p50), float(p95), tokens / seconds)


@dataclass(frozen=True)
class Result:
    """N rows of one subject, asked in one way.

    Attributes:
        metrics: the main one first.
        answers: the text of each row's answer; empty where nothing was answered.
        scores: row scores by metric, the main one first; what is averaged, sliced and compared.
        confidence: probability of the answer given, where it is known.
        tokens: of each row's text, where only its likelihood was asked for.
    """

    who: Who
    mode: Mode
    metrics: tuple[Metric, ...]
    answers: tuple[str, ...]
    scores: Mapping[str, tuple[float, ...]]
    confidence: tuple[float, ...] = ()
    per_class: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    calibration: Calibration | None = None
    latency: Latency | None = None
    slices: tuple[Slice, ...] = ()
    tokens: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """How it is called in comparisons."""
        both_ways = self.main == "accuracy"
        return f"{self.who.name} by likelihood" if both_ways and self.mode == "likelihood" else self.who.name

    @property
    def main(self) -> str:
        """The metric that decides."""
        return next(iter(self.scores))

    def value(self, name: str) -> float:
        """A metric's figure."""
        return next(metric.value for metric in self.metrics if metric.name == name)

    def sliced(self, examples: Sequence[Example], columns: Sequence[str], seed: int) -> "Result":
        """With the main metric sliced by these columns."""
        if not columns:
            return self
        cells = [{column: example.columns[column] for column in columns} for example in examples]
        return replace(self, slices=slice_scores(cells, self.scores[self.main], self.main, seed))

    def summary(self) -> dict[str, Any]:
        """The fields of honed.v1.Evaluation."""
        hits = self.scores.get("accuracy") or self.scores.get("exact_match") or self.scores.get("preference") or ()
        return {
            "subject": self.who.name,
            "mode": self.mode,
            "correct": int(sum(hits)),
            "total": len(self.scores[self.main]),
            "metrics": [asdict(metric) for metric in self.metrics],
        }


def of_labels(
    who: Who, expected: Sequence[str], answers: Sequence[str], labels: Sequence[str], latency: Latency, seed: int
) -> Result:
    """Greedy answers compared with labels without case, outer white space and a final full stop."""
    known = {plain(label): label for label in labels}
    predicted = [known.get(plain(answer), answer) for answer in answers]
    found = classify(expected, predicted, labels, seed)
    right = tuple(float(guess == truth) for guess, truth in zip(predicted, expected, strict=True))
    return Result(
        who,
        "free",
        found.metrics,
        tuple(answers),
        {"accuracy": right},
        per_class=found.per_class,
        confusion=found.confusion,
        latency=latency,
    )


def of_likelihoods(
    who: Who,
    expected: Sequence[str],
    likelihoods: Sequence[Sequence[float]],
    labels: Sequence[str],
    label_tokens: Sequence[int],
    seed: int,
) -> Result:
    """The likeliest label of each row, from log-likelihoods [N, L] and the labels' lengths in tokens [L]."""
    table = np.array(likelihoods)
    wide = np.exp(table - table.max(axis=1, keepdims=True))
    probabilities = wide / wide.sum(axis=1, keepdims=True)
    best: list[int] = probabilities.argmax(axis=1).tolist()
    predicted = [labels[place] for place in best]
    number = {label: place for place, label in enumerate(labels)}
    truth = [number[label] for label in expected]
    found = classify(expected, predicted, labels, seed)
    of_truth = table[np.arange(len(truth)), truth].tolist()
    right = tuple(float(guess == label) for guess, label in zip(predicted, expected, strict=True))
    return Result(
        who,
        "likelihood",
        (*found.metrics, *nll_metrics(of_truth, [label_tokens[place] for place in truth], seed)),
        tuple(predicted),
        {"accuracy": right},
        confidence=tuple(probabilities.max(axis=1).tolist()),
        per_class=found.per_class,
        confusion=found.confusion,
        calibration=calibrate(probabilities, truth),
    )


def of_texts(
    who: Who,
    answers: Sequence[str],
    references: Sequence[Sequence[str]],
    latency: Latency,
    seed: int,
    *,
    extraction: bool,
) -> Result:
    """Greedy answers compared with references; for `extraction`, with JSON objects."""
    found = score_texts(answers, references, seed)
    if not extraction:
        scores = {name: found.rows[name] for name in ("rouge_l", "chrf", "token_f1", "exact_match")}
        return Result(who, "free", found.metrics, tuple(answers), scores, latency=latency)
    scores = {"field_f1": field_f1(answers, references), "json_valid": json_valid(answers)}
    scores["exact_match"] = found.rows["exact_match"]
    metrics = tuple(Metric(name, float(np.mean(rows)), *bootstrap_mean(rows, seed)) for name, rows in scores.items())
    return Result(who, "free", metrics, tuple(answers), scores, latency=latency)


def of_reading(who: Who, log_likelihoods: Sequence[float], tokens: Sequence[int], seed: int) -> Result:
    """How likely each row's text is."""
    metrics = nll_metrics(log_likelihoods, tokens, seed)
    rows = tuple(-likelihood / count for likelihood, count in zip(log_likelihoods, tokens, strict=True))
    return Result(who, "likelihood", metrics, ("",) * len(rows), {"nll": rows}, tokens=tuple(tokens))


def of_preferences(
    who: Who, chosen: Sequence[float], rejected: Sequence[float], tokens: Sequence[int], seed: int
) -> Result:
    """Whether the chosen reply is likelier than the rejected one; `tokens` are those of the chosen replies."""
    right = tuple(float(good > bad) for good, bad in zip(chosen, rejected, strict=True))
    share = Metric("preference", float(np.mean(right)), *bootstrap_mean(right, seed))
    metrics = (share, *nll_metrics(chosen, tokens, seed))
    return Result(who, "likelihood", metrics, ("",) * len(right), {"preference": right})


def nll_metrics(log_likelihoods: Sequence[float], tokens: Sequence[int], seed: int) -> tuple[Metric, Metric]:
    """NLL in nats per token over all rows, and its exponential, the perplexity."""
    total = -np.array(log_likelihoods)
    value = float(total.sum() / np.sum(tokens))
    low, high = bootstrap_ratio(total, np.array(tokens, np.float64), seed)
    return (
        Metric("nll", value, low, high),
        Metric("perplexity", *(math.exp(min(end, _LARGEST_EXPONENT)) for end in (value, low, high))),
    )


def plain(text: str) -> str:
    """An answer as it is compared with a label."""
    return text.strip().removesuffix(".").casefold()

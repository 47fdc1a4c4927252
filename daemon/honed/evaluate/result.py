"""What one subject got on the rows asked: its metrics, its answers, and the row scores that comparisons need. Pure."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from honed.data import Example
from honed.errors import InvalidInput
from honed.evaluate.calibration import Calibration, calibrate
from honed.evaluate.classification import ClassScore, classify
from honed.evaluate.intervals import Floats, bootstrap_mean, bootstrap_ratio
from honed.evaluate.metric import Metric
from honed.evaluate.predictors import Reply
from honed.evaluate.slices import Slice, slice_scores
from honed.evaluate.text_scores import corpus_chrf, field_f1, json_valid, rouge_can_read, score_texts

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
    """Wall clock of a reply from its prompt on, and the tokens drawn for all replies over the wall clock of all."""

    mean_ms: float
    p50_ms: float
    p95_ms: float
    tokens_per_s: float

    @classmethod
    def of(cls, replies: Sequence[Reply], seconds: float) -> "Latency":
        each = np.array([reply.seconds for reply in replies]) * 1000
        tokens = sum(len(reply.tokens) + reply.stopped for reply in replies)
        p50, p95 = np.quantile(each, (0.5, 0.95))
        return cls(float(each.mean()), float(p50), float(p95), tokens / seconds)


@dataclass(frozen=True)
class Result:
    """N rows of one subject, asked in one way.

    Attributes:
        main: the metric that decides.
        scores: of each row by that metric; what is compared and sliced.
        weights: of the rows in that metric: their tokens for an NLL, nothing where all weigh alike.
        right: whether a row is right: its label, its text, all its fields, or its preference. Nothing for bare text.
        answers: the text of each row's answer; empty where nothing was answered.
        predicted: the label that each answer was read as, or the answer where it is none.
        confidence: probability of the label predicted, where it is known.
        statistics: of each row, for the metrics of a whole corpus that are compared.
        cut_answers: answers that ended at the limit or the context's end instead of at a stop token.
    """

    who: Who
    mode: Mode
    main: str
    metrics: tuple[Metric, ...]
    scores: tuple[float, ...]
    weights: tuple[int, ...] = ()
    right: tuple[bool, ...] = ()
    answers: tuple[str, ...] = ()
    predicted: tuple[str, ...] = ()
    confidence: tuple[float, ...] = ()
    statistics: Mapping[str, Floats] = field(default_factory=dict[str, Floats])
    per_class: tuple[ClassScore, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    calibration: Calibration | None = None
    latency: Latency | None = None
    slices: tuple[Slice, ...] = ()
    cut_answers: int = 0

    @property
    def label(self) -> str:
        """How it is called in comparisons."""
        both_ways = self.main == "accuracy"
        return f"{self.who.name} by likelihood" if both_ways and self.mode == "likelihood" else self.who.name

    def value(self, name: str) -> float:
        """A metric's figure."""
        return next(metric.value for metric in self.metrics if metric.name == name)

    def sliced(self, examples: Sequence[Example], columns: Sequence[str], seed: int) -> "Result":
        """With the main metric sliced by these columns."""
        cells = [{name: value for name, value in example.columns.items() if name in columns} for example in examples]
        return replace(self, slices=slice_scores(cells, self.scores, self.main, seed, self.weights))

    def summary(self) -> dict[str, Any]:
        """The fields of honed.v1.Evaluation."""
        return {
            "subject": self.who.name,
            "mode": self.mode,
            "correct": sum(self.right),
            "total": len(self.scores),
            "metrics": [asdict(metric) for metric in self.metrics],
        }


def of_labels(
    who: Who, expected: Sequence[str], answers: Sequence[str], labels: Sequence[str], latency: Latency, seed: int
) -> Result:
    """Greedy answers compared with labels: as they stand, else without case, outer white space and a final full stop.

    An answer that two labels come down to without these is read as neither.
    """
    exact = {label.strip(): label for label in labels}
    meant = Counter(map(_plain, labels))
    loose = {_plain(label): label for label in labels if meant[_plain(label)] == 1}
    predicted = [exact.get(answer.strip()) or loose.get(_plain(answer), answer) for answer in answers]
    return _of_predictions(who, "free", expected, predicted, labels, seed, answers=tuple(answers), latency=latency)


def of_likelihoods(
    who: Who,
    expected: Sequence[str],
    likelihoods: Sequence[Sequence[float]],
    labels: Sequence[str],
    label_tokens: Sequence[int],
    seed: int,
) -> Result:
    """The likeliest label of each row, from log-likelihoods [N, L] and the labels' lengths in tokens [L].

    Raises:
        InvalidInput: a log-likelihood is not finite.
    """
    table = _finite(who.name, likelihoods)
    wide = np.exp(table - table.max(axis=1, keepdims=True))
    probabilities = wide / wide.sum(axis=1, keepdims=True)
    best: list[int] = probabilities.argmax(axis=1).tolist()
    predicted = [labels[place] for place in best]
    number = {label: place for place, label in enumerate(labels)}
    truth = [number[label] for label in expected]
    nll = nll_metrics(who.name, table[np.arange(len(truth)), truth], [label_tokens[place] for place in truth], seed)
    found = _of_predictions(who, "likelihood", expected, predicted, labels, seed, answers=tuple(predicted))
    return replace(
        found,
        metrics=(*found.metrics, *nll),
        confidence=tuple(probabilities.max(axis=1).tolist()),
        calibration=calibrate(probabilities, truth),
    )


def _of_predictions(
    who: Who,
    mode: Mode,
    expected: Sequence[str],
    predicted: Sequence[str],
    labels: Sequence[str],
    seed: int,
    *,
    answers: tuple[str, ...],
    latency: Latency | None = None,
) -> Result:
    found = classify(expected, predicted, labels, seed)
    right = tuple(guess == truth for guess, truth in zip(predicted, expected, strict=True))
    return Result(
        who,
        mode,
        "accuracy",
        found.metrics,
        tuple(map(float, right)),
        right=right,
        answers=answers,
        predicted=tuple(predicted),
        per_class=found.per_class,
        confusion=found.confusion,
        latency=latency,
    )


def of_texts(
    who: Who,
    answers: Sequence[str],
    references: Sequence[Sequence[str]],
    likelihoods: Sequence[float],
    tokens: Sequence[int],
    latency: Latency,
    seed: int,
) -> Result:
    """Greedy answers compared with references; the log-likelihoods and tokens are those of the first references.

    ROUGE-L decides, and BLEU beside it; chrF decides where ROUGE-L cannot read some reference, as in other scripts.
    That hangs on the references alone, so it is the same for all subjects.

    Raises:
        InvalidInput: a log-likelihood is not finite.
    """
    found = score_texts(answers, references, seed)
    readable = all(rouge_can_read(reference) for accepted in references for reference in accepted)
    statistics = {name: found.statistics[name] for name in (("bleu",) if readable else ("chrf", "bleu"))}
    return Result(
        who,
        "free",
        "rouge_l" if readable else "chrf",
        (*found.metrics, *nll_metrics(who.name, likelihoods, tokens, seed)),
        found.rows["rouge_l"] if readable else tuple(corpus_chrf(statistics["chrf"]).tolist()),
        right=tuple(score == 1 for score in found.rows["exact_match"]),
        answers=tuple(answers),
        statistics=statistics,
        latency=latency,
    )


def of_extractions(
    who: Who,
    answers: Sequence[str],
    references: Sequence[Sequence[str]],
    likelihoods: Sequence[float],
    tokens: Sequence[int],
    latency: Latency,
    seed: int,
) -> Result:
    """Greedy answers compared with JSON objects, field by field; a row is right if every field is.

    Raises:
        InvalidInput: a log-likelihood is not finite.
    """
    fields = field_f1(answers, references)
    right = tuple(score == 1 for score in fields)
    rows = {"field_f1": fields, "json_valid": json_valid(answers), "exact_match": tuple(map(float, right))}
    metrics = (Metric(name, float(np.mean(scores)), *bootstrap_mean(scores, seed)) for name, scores in rows.items())
    return Result(
        who,
        "free",
        "field_f1",
        (*metrics, *nll_metrics(who.name, likelihoods, tokens, seed)),
        fields,
        right=right,
        answers=tuple(answers),
        latency=latency,
    )


def of_reading(who: Who, log_likelihoods: Sequence[float], tokens: Sequence[int], seed: int) -> Result:
    """How likely each row's text is.

    Raises:
        InvalidInput: a log-likelihood is not finite.
    """
    metrics = nll_metrics(who.name, log_likelihoods, tokens, seed)
    rows = nll_per_token(who.name, log_likelihoods, tokens)
    return Result(who, "likelihood", "nll", metrics, rows, weights=tuple(tokens))


def of_preferences(
    who: Who, chosen: Sequence[float], rejected: Sequence[float], tokens: Sequence[int], seed: int
) -> Result:
    """Whether the chosen reply is likelier than the rejected one; `tokens` are those of the chosen replies.

    Raises:
        InvalidInput: a log-likelihood is not finite.
    """
    right = tuple((_finite(who.name, chosen) > _finite(who.name, rejected)).tolist())
    scores = tuple(map(float, right))
    share = Metric("preference", float(np.mean(scores)), *bootstrap_mean(scores, seed))
    metrics = (share, *nll_metrics(who.name, chosen, tokens, seed))
    return Result(who, "likelihood", "preference", metrics, scores, right=right)


def nll_metrics(
    name: str, log_likelihoods: Sequence[float] | Floats, tokens: Sequence[int], seed: int
) -> tuple[Metric, Metric]:
    """NLL in nats per token over all rows, and its exponential, the perplexity."""
    total = -_finite(name, log_likelihoods)
    value = float(total.sum() / np.sum(tokens))
    low, high = bootstrap_ratio(total, np.array(tokens, np.float64), seed)
    return (
        Metric("nll", value, low, high),
        Metric("perplexity", *(math.exp(min(end, _LARGEST_EXPONENT)) for end in (value, low, high))),
    )


def nll_per_token(name: str, log_likelihoods: Sequence[float], tokens: Sequence[int]) -> tuple[float, ...]:
    """NLL of each row in nats per token."""
    return tuple((-_finite(name, log_likelihoods) / np.array(tokens)).tolist())


def _finite(name: str, log_likelihoods: Sequence[Sequence[float]] | Sequence[float] | Floats) -> Floats:
    table = np.array(log_likelihoods, np.float64)
    if not np.isfinite(table).all():
        raise InvalidInput(
            f"{name} finds a reply's likelihood to be no number. Its weights or its activations overflow; a lower "
            "learning rate, or base_precision bf16, may help.",
            reason="LIKELIHOOD_NOT_FINITE",
        )
    return table


def _plain(text: str) -> str:
    return text.strip().removesuffix(".").casefold()

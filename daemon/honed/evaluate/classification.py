"""Accuracy, precision, recall and F1 of predicted labels, and who is taken for whom."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from honed.evaluate.intervals import Floats, interval, resamples
from honed.evaluate.metric import Metric
from numpy.typing import NDArray


@dataclass(frozen=True)
class ClassScore:
    """One label's scores; `support` counts the rows that expect it."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Classification:
    """Scores of N predictions over L labels.

    `metrics` are accuracy, macro_precision, macro_recall and macro_f1. `confusion` has a line for each expected label,
    and a column for each predicted one with a last column for answers that are no label.
    """

    metrics: tuple[Metric, ...]
    per_class: tuple[ClassScore, ...]
    confusion: tuple[tuple[int, ...], ...]


def classify(expected: Sequence[str], predicted: Sequence[str], labels: Sequence[str], seed: int) -> Classification:
    """Compares predictions with the expected labels, each of which is one of `labels`; predictions may be anything.

    precision = hits / predicted, recall = hits / support, F1 = 2 hits / (predicted + support), and 0 where nothing is
    divided by nothing; macro is the plain mean over `labels`. As scikit-learn with `labels=labels, zero_division=0`.
    """
    count = len(labels)
    number = {label: place for place, label in enumerate(labels)}
    truth = np.array([number[label] for label in expected])
    guess = np.array([number.get(label, count) for label in predicted])
    confusion = np.bincount(truth * (count + 1) + guess, minlength=count * (count + 1)).reshape(count, count + 1)
    hits, support, named = np.diagonal(confusion), confusion.sum(axis=1), confusion[:, :-1].sum(axis=0)

    hit = np.where(truth == guess, truth, count)
    draws: list[Floats] = []
    for drawn in resamples(len(truth), seed):
        drawn_hits, drawn_support, drawn_named = (_count(drawn, of, count) for of in (hit, truth, guess))
        accuracy = drawn_hits.sum(axis=1) / len(truth)
        macros = [
            _macro(part, whole, all_whole)
            for part, whole, all_whole in (
                (drawn_hits, drawn_named, named),
                (drawn_hits, drawn_support, support),
                (2 * drawn_hits, drawn_named + drawn_support, named + support),
            )
        ]
        draws.append(np.column_stack([accuracy, *macros]))
    resampled = np.concatenate(draws)

    precision, recall, f1 = _ratio(hits, named), _ratio(hits, support), _ratio(2 * hits, named + support)
    values = (hits.sum() / len(truth), precision.mean(), recall.mean(), f1.mean())
    names = ("accuracy", "macro_precision", "macro_recall", "macro_f1")
    return Classification(
        metrics=tuple(
            Metric(name, float(value), *interval(float(value), resampled[:, place]))
            for place, (name, value) in enumerate(zip(names, values, strict=True))
        ),
        per_class=tuple(
            ClassScore(label, float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
            for i, label in enumerate(labels)
        ),
        confusion=tuple(tuple(line) for line in confusion.tolist()),
    )


def _count(drawn: Floats, codes: NDArray[np.int64], count: int) -> Floats:
    """Rows of each code below `count` [B, count] in resamples [B, N] of rows with these codes [N]."""
    width = count + 1  # the last code stands for none
    cells = np.arange(len(drawn))[:, None] * width + codes
    sums = np.bincount(cells.ravel(), drawn.ravel(), len(drawn) * width).astype(np.float64)
    return sums.reshape(-1, width)[:, :-1]


def _ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> Floats:
    """part / whole, 0 where whole is 0."""
    return np.divide(part, whole, out=np.zeros(whole.shape), where=whole > 0)


def _macro(part: Floats, whole: Floats, all_whole: NDArray[np.int64]) -> Floats:
    """Means [B] over the labels [B, L] of resamples.

    A resample may miss a rare label altogether, which then has no score there; counting that as zero would draw the
    whole interval below the figure. So the mean is taken over the labels with a score, and scaled by the share of
    labels that have one on all rows.
    """
    present = np.maximum((whole > 0).sum(axis=1), 1)
    return _ratio(part, whole).sum(axis=1) / present * (all_whole > 0).mean()

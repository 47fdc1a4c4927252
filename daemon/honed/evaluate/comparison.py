"""Whether one subject is better than another on the same rows, with a test and a sentence that says so."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Literal

import numpy as np
from honed.evaluate.intervals import ROUNDING, SIGNIFICANCE, Floats, interval, resampled_sums
from honed.evaluate.metric import KINDS
from honed.evaluate.randomisation import randomisation_p
from honed.evaluate.text_scores import CORPUS_SCORES

Verdict = Literal["better", "worse", "not distinguishable"]
_POWER = 0.8
_FEWEST_DIFFERING = 10
_MOST_ROWS = 1_000_000


@dataclass(frozen=True)
class Comparison:
    """b against a on the same rows: `difference` is b - a, with its 95 % interval; `verdict` is b's, at 5 %.

    The sentence is for people who read nothing else: it gives every figure, gains and losses without their sign.
    """

    metric: str
    a: str
    b: str
    a_value: float
    b_value: float
    difference: float
    low: float
    high: float
    p_value: float
    test: str
    rows: int
    verdict: Verdict
    sentence: str


def compare_labels(
    metric: str, a_name: str, b_name: str, a_correct: Sequence[bool], b_correct: Sequence[bool], seed: int
) -> Comparison:
    """Compares shares of right answers by the exact McNemar test: rows that only one has right fall evenly by chance.

    p = min(1, 2 · P(X <= the smaller count)), X binomial over those rows with probability 1/2 (McNemar 1947; Dietterich
    1998 on its use for classifiers): what the randomisation test of such scores is if every way to swap is tried.
    """
    a, b = np.asarray(a_correct, np.float64), np.asarray(b_correct, np.float64)
    only_a, only_b = int((a > b).sum()), int((b > a).sum())
    return _compare(
        metric=metric,
        names=(a_name, b_name),
        values=(float(a.mean()), float(b.mean())),
        resampled=resampled_sums((b - a)[:, None], seed)[:, 0] / len(a),
        p_value=_mcnemar(only_a, only_b),
        test="exact McNemar",
        rows=len(a),
        differing=only_a + only_b,
    )


def compare_scores(
    metric: str,
    a_name: str,
    b_name: str,
    a_scores: Sequence[float],
    b_scores: Sequence[float],
    seed: int,
    weights: Sequence[float] = (),
) -> Comparison:
    """Compares the means of row scores by the paired randomisation test.

    Args:
        weights: of the rows, the same for both; none if all weigh alike. An NLL per token weighs a row by its tokens.
    """
    a, b = np.asarray(a_scores, np.float64), np.asarray(b_scores, np.float64)
    weight = np.asarray(weights, np.float64) if weights else np.ones(len(a))
    differences, total = (b - a) * weight, weight.sum()
    differing = differences[np.abs(b - a) > ROUNDING]
    drawn = resampled_sums(np.column_stack([differences, weight]), seed)
    return _compare(
        metric=metric,
        names=(a_name, b_name),
        values=(float(a @ weight / total), float(b @ weight / total)),
        resampled=drawn[:, 0] / drawn[:, 1],
        p_value=randomisation_p(len(differing), lambda signs: signs @ differing / total, seed),
        test="paired randomisation",
        rows=len(a),
        differing=len(differing),
    )


def compare_corpora(
    metric: str, a_name: str, b_name: str, a_statistics: Floats, b_statistics: Floats, seed: int
) -> Comparison:
    """Compares the BLEU or chrF of two sets of answers, from their row statistics [N, K], by the same test.

    With signs s of the rows, the sums of the two sides are (Σ(a + b) ± Σ s · (b - a)) / 2.
    """
    a, b, score = a_statistics, b_statistics, CORPUS_SCORES[metric]
    total, differing = (a + b).sum(axis=0), (b - a)[(a != b).any(axis=1)]
    drawn, width = resampled_sums(np.hstack([a, b]), seed), a.shape[1]

    def difference(signs: Floats) -> Floats:
        swapped = signs @ differing
        return score((total + swapped) / 2) - score((total - swapped) / 2)

    return _compare(
        metric=metric,
        names=(a_name, b_name),
        values=(float(score(a.sum(axis=0)[None])[0]), float(score(b.sum(axis=0)[None])[0])),
        resampled=score(drawn[:, width:]) - score(drawn[:, :width]),
        p_value=randomisation_p(len(differing), difference, seed),
        test="paired randomisation",
        rows=len(a),
        differing=len(differing),
    )


def _mcnemar(only_a: int, only_b: int) -> float:
    """Exact, in integers; 0.0 where it is below what a float can hold."""
    count = only_a + only_b
    term = tail = 1
    for taken in range(min(only_a, only_b)):
        term = term * (count - taken) // (taken + 1)
        tail += term
    return min(1.0, 2 * tail / 2**count)


def _compare(
    metric: str,
    names: tuple[str, str],
    values: tuple[float, float],
    resampled: Floats,
    p_value: float,
    test: str,
    rows: int,
    differing: int,
) -> Comparison:
    difference = values[1] - values[0]
    low, high = interval(difference, resampled)
    verdict: Verdict = "not distinguishable"
    if p_value < SIGNIFICANCE:
        verdict = "better" if (difference < 0) == KINDS[metric].lower_is_better else "worse"
    found = Comparison(metric, *names, *values, difference, low, high, p_value, test, rows, verdict, sentence="")
    sentence = _finding(found)
    if verdict == "not distinguishable" and differing >= _FEWEST_DIFFERING and abs(difference) > ROUNDING:
        sentence += _rows_needed(difference, float(resampled.std()), rows)
    return replace(found, sentence=sentence + ".")


def _finding(found: Comparison) -> str:
    """The sentence, without its full stop; decimals are added where a figure would else read as zero."""
    kind = KINDS[found.metric]
    difference, low, high = found.difference, found.low, found.high
    if found.verdict == "not distinguishable":
        finding, change = f"{found.b} and {found.a} cannot be told apart", "difference"
    else:
        finding = f"{found.b} is {found.verdict} than {found.a}"
        up, down = ("rise", "drop") if kind.lower_is_better else ("gain", "loss")
        change = down if difference < 0 else up
        if difference < 0:
            difference, low, high = -difference, -high, -low
    decimals = _decimals((difference, low, high), kind.decimals)

    def text(figure: float) -> str:
        return f"{round(figure, decimals) + 0.0:.{decimals}f}"  # + 0.0: no "-0.000"

    return (
        f"{finding} on {found.rows:,} {'row' if found.rows == 1 else 'rows'}: {kind.words} {text(found.b_value)} "
        f"against {text(found.a_value)}, a {change} of {text(difference)}{' points' if kind.highest == 100 else ''} "
        f"(95 % interval {text(low)} to {text(high)}, {found.test.removeprefix('exact ')} {_p(found.p_value)})"
    )


def _decimals(figures: tuple[float, ...], usual: int) -> int:
    """The fewest decimals, from the usual number on, at which no figure but zero reads as zero."""
    for decimals in range(usual, usual + 4):
        if all(abs(figure) < ROUNDING or round(figure, decimals) for figure in figures):
            return decimals
    return usual


def _p(value: float) -> str:
    if value < 0.001:
        return "p < 0.001"
    rounded = f"{value:.3f}"
    # Just below what decides must not read as if it were on it.
    return f"p {'<' if value < SIGNIFICANCE <= float(rounded) else '='} {rounded}"


def _rows_needed(difference: float, standard_error: float, rows: int) -> str:
    """How many rows would confirm a difference of this size, four times in five, at 5 % (normal approximation).

    N · ((z(0.975) + z(0.8)) · standard error / difference)², rounded up to two digits.
    """
    normal = NormalDist()
    z = normal.inv_cdf(1 - SIGNIFICANCE / 2) + normal.inv_cdf(_POWER)
    if abs(difference) * math.sqrt(_MOST_ROWS / rows) < z * standard_error:
        return f"; more than {_MOST_ROWS:,} rows would be needed to confirm a difference of this size"
    needed = rows * (z * standard_error / difference) ** 2
    step = 10 ** max(0, math.floor(math.log10(needed)) - 1)
    return f"; about {math.ceil(needed / step) * step:,} rows would be needed to confirm a difference of this size"

"""Bootstrap intervals: how far a figure would move on other rows like these.

Rows are drawn with replacement RESAMPLES times (percentile bootstrap: Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13). N rows, K statistics of a row, B resamples of a block. Nearly every metric here is a
function of sums over the rows, so its resamples are one matrix product. Two metrics with one seed see the same draws,
which is what makes a comparison paired. Scores that are all equal get an interval without width: rows that show no
spread cannot tell how large it is.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000
SIGNIFICANCE = 0.05
Floats = NDArray[np.float64]
CELLS_OF_A_BLOCK = 1 << 20
# Differences between scores come in far larger steps; what is below this is a zero that rounding moved.
ROUNDING = 1e-12


def resamples(rows: int, seed: int) -> Iterator[Floats]:
    """Blocks [B, N] of how often each of N rows is drawn, RESAMPLES in all; every line sums to N."""
    generator = np.random.default_rng(seed)
    lines = max(1, CELLS_OF_A_BLOCK // rows)
    for start in range(0, RESAMPLES, lines):
        block = min(lines, RESAMPLES - start)
        drawn = generator.integers(rows, size=(block, rows)) + np.arange(block)[:, None] * rows
        yield np.bincount(drawn.ravel(), minlength=block * rows).reshape(block, rows).astype(np.float64)


def resampled_sums(statistics: ArrayLike, seed: int) -> Floats:
    """Sums [RESAMPLES, K] of the statistics [N, K] over each resample of the rows."""
    table = np.asarray(statistics, np.float64)
    return np.concatenate([drawn @ table for drawn in resamples(len(table), seed)])


def interval(value: float, resampled: Floats) -> tuple[float, float]:
    """The 95 % percentile interval of a figure's resampled values [RESAMPLES].

    The ends are the values with 49 of 2,000 beyond them. It is widened to hold the figure itself, which a skewed
    statistic on very few rows may leave just outside.
    """
    low = float(np.quantile(resampled, SIGNIFICANCE / 2, method="lower"))
    high = float(np.quantile(resampled, 1 - SIGNIFICANCE / 2, method="higher"))
    return min(low, value), max(high, value)


def bootstrap_mean(scores: Sequence[float], seed: int) -> tuple[float, float]:
    """The 95 % interval of the mean of N scores."""
    return bootstrap_ratio(scores, np.ones(len(scores)), seed)


def bootstrap_ratio(parts: ArrayLike, wholes: ArrayLike, seed: int) -> tuple[float, float]:
    """The 95 % interval of sum(parts) / sum(wholes) over N rows: nats and tokens, for an NLL per token.

    Every whole is above zero.
    """
    table = np.column_stack([np.asarray(parts, np.float64), np.asarray(wholes, np.float64)])
    sums = resampled_sums(table, seed)
    return interval(float(table[:, 0].sum() / table[:, 1].sum()), sums[:, 0] / sums[:, 1])

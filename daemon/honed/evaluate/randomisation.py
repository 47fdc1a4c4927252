"""Paired randomisation tests: what if it were a toss-up which of two subjects gave which of a row's two answers?

Each row's answers are swapped or not, and p is the share of the ways to do so that leave a difference at least as large
as the one found (Noreen, Computer Intensive Methods for Testing Hypotheses, 1989; Riezler and Maxwell 2005 on its use
for texts). Unlike a bootstrap it holds its 5 % on few rows as well, for any scores, as long as nothing differs between
the two. D rows that differ, B ways to swap them.
"""

from collections.abc import Callable, Iterator

import numpy as np
from honed.evaluate.intervals import CELLS_OF_A_BLOCK, RESAMPLES, ROUNDING, Floats
from numpy.typing import NDArray


def randomisation_p(differing: int, difference: Callable[[Floats], Floats], seed: int) -> float:
    """Two-sided p of the difference between two subjects whose answers differ on so many rows.

    Up to 1,024 ways to swap are all tried, of more RESAMPLES are drawn and the data count as one more.

    Args:
        difference: differences [B] for signs [B, D]: 1 where a row's answers are as they were found, -1 where swapped.
    """
    if not differing:
        return 1.0
    found = abs(float(difference(np.ones((1, differing)))[0])) - ROUNDING
    exact = differing <= RESAMPLES.bit_length()
    blocks = [_every(differing)] if exact else _drawn(differing, seed)
    as_large = sum(int(np.count_nonzero(np.abs(difference(signs)) >= found)) for signs in blocks)
    return as_large / 2 ** (differing - 1) if exact else (as_large + 1) / (RESAMPLES + 1)


def _every(rows: int) -> Floats:
    """Every way to give signs to rows [2^(rows - 1), rows]; the last row's is 1, as the mirror image is as large."""
    numbers = np.arange(2 ** (rows - 1), dtype=np.int64)[:, None]
    return _signs(numbers >> np.arange(rows, dtype=np.int64) & 1)


def _drawn(rows: int, seed: int) -> Iterator[Floats]:
    """Blocks [B, rows] of RESAMPLES drawn ways to give signs."""
    generator = np.random.default_rng(seed)
    lines = max(1, CELLS_OF_A_BLOCK // rows)
    for start in range(0, RESAMPLES, lines):
        yield _signs(generator.integers(2, size=(min(lines, RESAMPLES - start), rows), dtype=np.int8))


def _signs(swapped: NDArray[np.integer]) -> Floats:
    return 1.0 - 2.0 * swapped.astype(np.float64)

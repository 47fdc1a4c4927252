"""Lengths of rows: a growing array, and what is said of a distribution."""

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 20


class Lengths:
    """Lengths of rows, four bytes each."""

    def __init__(self) -> None:
        self._values = array("I")

    def add(self, length: int) -> None:
        self._values.append(length)

    def array(self) -> NDArray[np.uint32]:
        """[N] lengths; while it lives, none can be added."""
        return np.frombuffer(self._values, np.uint32)


def distribution(lengths: NDArray[np.uint32]) -> dict[str, Any]:
    """JSON of honed.v1.Distribution of [N] lengths: total, median, p95, longest, and at most 20 bins of equal width."""
    if not len(lengths):
        return {}
    longest = int(lengths.max())
    width = max(1, -(-longest // _BINS))
    counts = np.bincount(np.maximum(lengths.astype(np.int64) - 1, 0) // width)
    median, p95 = np.quantile(lengths, (0.5, 0.95), method="inverted_cdf")
    return {
        "total": int(lengths.sum(dtype=np.int64)),
        "median": int(median),
        "p95": int(p95),
        "longest": longest,
        "bin_ends": [width * (place + 1) for place in range(len(counts))],
        "bin_counts": counts.tolist(),
    }

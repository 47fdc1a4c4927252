"""Lengths of rows: a growing array, and what is said of a distribution."""

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 20


class Lengths:
    """Lengths of rows, four bytes each."""

    def __init__(self) -> None:
        self.values = array("I")

    def distribution(self) -> dict[str, Any]:
        """See `distribution`."""
        return distribution(np.frombuffer(self.values, np.uint32))


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

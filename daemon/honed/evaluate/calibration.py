"""Whether a model is right as often as it says it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Bin:
    """Rows whose confidence lies above `low` and up to `high`; means over them, 0 where there are none."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """The expected calibration error (0 is perfect, 1 the worst) and the bins it is made of, the lowest first."""

    ece: float
    bins: tuple[Bin, ...]


def calibrate(probabilities: ArrayLike, expected: Sequence[int], bins: int = 15) -> Calibration:
    """Calibration of the likeliest label, from probabilities [N, L] and the expected labels' places [N].

    ECE = Σ over bins of (count / N) · |accuracy - confidence|, over bins of equal width (Guo et al., On Calibration of
    Modern Neural Networks, 2017, section 2). Each row of probabilities sums to 1 over the L labels.
    """
    table = np.asarray(probabilities, np.float64)
    confidence: NDArray[np.float64] = table.max(axis=1)
    right = table.argmax(axis=1) == np.asarray(expected)
    edges = np.linspace(0.0, 1.0, bins + 1)
    # Against the inner edges alone, so that 0 and what rounding left just above 1 have a bin as well.
    place = np.digitize(confidence, edges[1:-1], right=True)
    count = np.bincount(place, minlength=bins)
    held = np.maximum(count, 1)
    mean_confidence = np.bincount(place, confidence, bins) / held
    accuracy = np.bincount(place, right, bins) / held
    return Calibration(
        ece=float((count * np.abs(accuracy - mean_confidence)).sum() / len(table)),
        bins=tuple(
            Bin(float(edges[i]), float(edges[i + 1]), int(count[i]), float(mean_confidence[i]), float(accuracy[i]))
            for i in range(bins)
        ),
    )

"""The next token of one row from its logits. numpy only; a row's draw depends on its own seed and logits alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_USUAL_NUCLEUS = 1024


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn; temperature 0 takes the most likely one and needs no seed."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int | None = None
    seed: int = 0


class Sampler:
    """Draws the tokens of one reply: temperature, then top-k, then top-p (Holtzman et al. 2020, arXiv 1904.09751)."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._random = np.random.Generator(np.random.PCG64(sampling.seed))

    def pick(self, logits: NDArray[np.float32]) -> int:
        """A token id from logits [V]."""
        sampling = self._sampling
        if sampling.temperature == 0:
            return int(logits.argmax())
        kept = np.arange(len(logits))
        if sampling.top_k is not None and sampling.top_k < len(logits):
            kept = np.argpartition(logits, -sampling.top_k)[-sampling.top_k :]
        scaled = logits[kept].astype(np.float64) / sampling.temperature
        weights = np.exp(scaled - scaled.max())
        weights /= weights.sum()
        if sampling.top_p < 1:
            kept, weights = _nucleus(kept, weights, sampling.top_p)
        bounds = weights.cumsum()
        place = int(np.searchsorted(bounds, self._random.random() * bounds[-1], side="right"))
        return int(kept[min(place, len(kept) - 1)])


def _nucleus(
    kept: NDArray[np.intp], weights: NDArray[np.float64], top_p: float
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """The fewest tokens whose weights reach top_p, the likeliest first. Sorting a few likely ones is usually enough."""
    count = min(_USUAL_NUCLEUS, len(kept))
    best = np.argpartition(weights, -count)[-count:] if count < len(kept) else np.arange(len(kept))
    if weights[best].sum() < top_p:
        best = np.arange(len(kept))
    best = best[np.argsort(-weights[best], kind="stable")]
    needed = int(np.searchsorted(weights[best].cumsum(), top_p)) + 1
    best = best[:needed]
    return kept[best], weights[best]

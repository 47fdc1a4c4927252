"""Rows that say nearly the same: MinHash signatures (Broder 1997) and banded locality-sensitive hashing.

Two texts count as near duplicates if the estimated Jaccard similarity of their shingles is 0.8 or more. Signatures are
computed by `rensa`; kept of each are one byte for each of 64 permutations (b-bit MinHash: Li & König 2010) and 8 band
keys: 128 bytes a row.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash  # pyright: ignore[reportMissingTypeStubs, reportAttributeAccessIssue, reportUnknownVariableType] - compiled, no stubs

THRESHOLD = 0.8
_PERMUTATIONS = 64
_BANDS = 8  # of 8 values: a pair at 0.8 meets in one of them with probability 0.77, at 0.9 with 0.99
_SHINGLE = 5
_LONG_TEXT = 2000
_SEED = 1


class NearDuplicates:
    """Collects texts, then names the pairs."""

    def __init__(self) -> None:
        self._signatures: list[NDArray[np.uint8]] = []
        self._bands: list[NDArray[np.uint64]] = []

    def add(self, texts: Sequence[str]) -> None:
        """Adds texts; they are numbered from 0 in the order in which they come."""
        sketch = cast("Any", RMinHash)
        tokens = [_shingles(text) for text in texts]
        digests = np.array(sketch.digests_from_token_sets(tokens, _PERMUTATIONS, _SEED), np.uint32)
        self._signatures.append(digests.astype(np.uint8))
        weights = np.array([pow(0x9E3779B97F4A7C15, power, 1 << 64) for power in range(1, 9)], np.uint64)
        banded = digests.reshape(len(texts), _BANDS, -1).astype(np.uint64)
        self._bands.append((banded * weights).sum(axis=-1, dtype=np.uint64))

    def pairs(self) -> list[tuple[int, int]]:
        """(earlier, later) for each text that is nearly one before it; one earlier text is named for each.

        A text is compared with the first one of each of its bands, so that n texts alike cost n comparisons.
        """
        if not self._signatures:
            return []
        signatures, bands = np.concatenate(self._signatures), np.concatenate(self._bands)
        earlier = np.full(len(signatures), -1, np.int64)
        for band in bands.T:
            order = np.argsort(band, kind="stable")
            starts = np.flatnonzero(np.diff(band[order], prepend=~band[order[0]]))
            first = np.repeat(order[starts], np.diff(starts, append=len(order)))
            candidates = (first != order) & (earlier[order] < 0)
            later, before = order[candidates], first[candidates]
            equal = (signatures[later] == signatures[before]).mean(axis=1)
            similar = (equal - 1 / 256) / (1 - 1 / 256) >= THRESHOLD  # one byte agrees by chance once in 256
            earlier[later[similar]] = before[similar]
        return [(int(earlier[later]), int(later)) for later in np.flatnonzero(earlier >= 0)]


def _shingles(text: str) -> list[str]:
    """Runs of five characters, or of three words in a long text, without regard to case and white space."""
    words = text.casefold().split()
    if len(text) > _LONG_TEXT:
        return [" ".join(words[place : place + 3]) for place in range(max(1, len(words) - 2))]
    joined = " ".join(words)
    return [joined[place : place + _SHINGLE] for place in range(max(1, len(joined) - _SHINGLE + 1))]

"""Texts that say nearly the same: MinHash signatures (Broder 1997) and banded locality-sensitive hashing.

Two texts count as near duplicates if the estimated Jaccard similarity of their shingles is 0.8 or more. Signatures are
computed by `rensa`; kept of each are one byte for each of 64 permutations (b-bit MinHash: Li & König 2010), 8 band
keys and the text's number: 132 bytes.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash  # pyright: ignore[reportMissingTypeStubs, reportAttributeAccessIssue, reportUnknownVariableType] - compiled, no stubs

THRESHOLD = 0.8
_PERMUTATIONS = 64
_BANDS = 8  # of 8 values: a pair at 0.8 meets in one of them with probability 0.77, at 0.9 with 0.99
_SHINGLE = 5
_LONG_TEXT = 2000
_WORD_CHARACTERS = 20  # on average and at most, in text that is compared by its words
_SEED = 1

Mask = NDArray[np.bool_]


class NearDuplicates:
    """Collects texts, each under its number, then names the pairs."""

    def __init__(self) -> None:
        self._numbers = array("I")  # of the text of each signature
        self._signatures: list[NDArray[np.uint8]] = []
        self._bands: list[NDArray[np.uint64]] = []

    def add(self, texts: Sequence[str], first: int | None = None) -> None:
        """Adds texts, numbered from `first` on, which is above all before; without it, on from the last, or from 0."""
        if not texts:
            return
        if first is None:
            first = self._numbers[-1] + 1 if self._numbers else 0
        shingles: list[Iterable[str]] = []
        for number, text in enumerate(texts, first):
            for each in _shingles(text):
                shingles.append(each)
                self._numbers.append(number)
        sketch = cast("Any", RMinHash)
        digests = np.array(sketch.digests_from_token_sets(shingles, _PERMUTATIONS, _SEED), np.uint32)
        self._signatures.append(digests.astype(np.uint8))
        weights = np.array([pow(0x9E3779B97F4A7C15, power, 1 << 64) for power in range(1, 9)], np.uint64)
        banded = digests.reshape(len(shingles), _BANDS, -1).astype(np.uint64)
        self._bands.append((banded * weights).sum(axis=-1, dtype=np.uint64))

    def pairs(self) -> list[tuple[int, int]]:
        """(earlier, later) for each text that is nearly one before it; one earlier text is named for each."""
        everyone = np.ones(len(self._numbers), np.bool_)
        return self._matches(everyone, everyone)

    def leaks(self, held_out: Mask) -> list[tuple[int, int]]:
        """(training text, test text) for each test text that is nearly one that is trained.

        Args:
            held_out: [N] True for the numbers of the test texts.
        """
        tested = held_out[np.frombuffer(self._numbers, np.uint32)]
        return self._matches(tested, ~tested)

    def _matches(self, asked: Mask, among: Mask) -> list[tuple[int, int]]:
        """(other, text) for each text of `asked` that is nearly another one of `among`.

        A text is compared with the first of `among` in each of its bands, so that n texts alike cost n comparisons.
        """
        if not self._numbers:
            return []
        signatures, bands = np.concatenate(self._signatures), np.concatenate(self._bands)
        count = len(signatures)
        matches = np.full(count, -1, np.int64)
        for band in bands.T:
            order = np.argsort(band, kind="stable")
            starts = np.flatnonzero(np.diff(band[order], prepend=~band[order[0]]))
            places = np.where(among[order], np.arange(count), count)
            first = np.repeat(np.minimum.reduceat(places, starts), np.diff(starts, append=count))
            other = order[np.minimum(first, count - 1)]
            candidates = (first < count) & (other != order) & asked[order] & (matches[order] < 0)
            text, other = order[candidates], other[candidates]
            equal = (signatures[text] == signatures[other]).mean(axis=1)
            similar = (equal - 1 / 256) / (1 - 1 / 256) >= THRESHOLD  # one byte agrees by chance once in 256
            matches[text[similar]] = other[similar]
        numbers = np.frombuffer(self._numbers, np.uint32)
        found = np.flatnonzero(matches >= 0)
        pairs = dict(zip(numbers[found].tolist(), numbers[matches[found]].tolist(), strict=True))
        return [(other, text) for text, other in pairs.items()]


def _shingles(text: str) -> Iterator[Iterator[str]]:
    """Runs of five characters, and in a long text of three words instead, without regard to case and white space.

    Somewhat shorter texts, which may be nearly a long one, have both. What is written without spaces has no words.
    """
    words = text.casefold().split()
    joined = " ".join(words)
    of_words = len(joined) > THRESHOLD * _LONG_TEXT and len(joined) < _WORD_CHARACTERS * len(words)
    if not of_words or len(joined) <= _LONG_TEXT:
        yield (joined[place : place + _SHINGLE] for place in range(max(1, len(joined) - _SHINGLE + 1)))
    if of_words:
        yield (" ".join(words[place : place + 3]) for place in range(len(words) - 2))

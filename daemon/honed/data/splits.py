"""Which rows are held out: pure, seeded, stratified by label, whole groups on one side.

The draw hangs on what the rows say and on the seed alone, not on their order or their number: the same content is
split alike whenever and however it is uploaded, and rows added later move few others.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Labels = NDArray[np.integer]


def split(groups: Keys, labels: Labels, test_fraction: float, seed: int) -> NDArray[np.bool_]:
    """True for each of the N rows that is held out.

    Rows of one group stay together. A group counts to the label that most of its rows carry; of every label groups are
    taken in a drawn order until round(n · test_fraction) of its n rows, and one at least, are held out, and never the
    last group: a label with a single group stays in training whole.

    Args:
        groups: [N] key of each row's group: a hash of what must not be on both sides.
        labels: [N] number of each row's label; all 0 where there are no labels.
    """
    held_out = np.zeros(len(groups), np.bool_)
    if not test_fraction or not len(groups):
        return held_out
    keys, member, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    label = _majority(member, labels, len(keys))
    order = np.lexsort((_draw(keys, seed), label))
    starts = np.flatnonzero(np.diff(label[order], prepend=-1))
    taken = np.zeros(len(keys), np.bool_)
    for start, end in zip(starts, [*starts[1:], len(keys)], strict=True):
        drawn = order[start:end]
        rows = sizes[drawn]
        wanted = max(round(int(rows.sum()) * test_fraction), 1)
        before = np.cumsum(rows) - rows
        chosen = before < wanted
        chosen[-1] = False
        taken[drawn[chosen]] = True
    return taken[member]


def text_key(text: str) -> int:
    """64 bits of a text's SHA-256-like digest (BLAKE2b): equal texts have equal keys, on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _majority(member: NDArray[np.intp], labels: Labels, groups: int) -> NDArray[np.int64]:
    """The most frequent label of each group; the lower one of two that are as frequent."""
    count = int(labels.max()) + 1
    pairs, rows = np.unique(member.astype(np.int64) * count + labels, return_counts=True)
    group, label = np.divmod(pairs, count)
    order = np.lexsort((label, -rows, group))
    first = order[np.flatnonzero(np.diff(group[order], prepend=-1))]
    majority = np.zeros(groups, np.int64)
    majority[group[first]] = label[first]
    return majority


def _draw(keys: Keys, seed: int) -> Keys:
    """A pseudo-random number for each key and seed: the finaliser of splitmix64 (Steele et al. 2014)."""
    z = keys ^ np.uint64(text_key(f"split:{seed}"))
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    return z ^ (z >> np.uint64(31))

"""Rows to padded batches: pure but for torch as the container."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from honed.data import TokenizedExample
from torch import Tensor

_IGNORED = -100
_BUCKET_BATCHES = 8


@dataclass(frozen=True)
class Batch:
    """Rows padded on the right to the longest one.

    A causal model never lets a token see what stands behind it, so right padding needs no attention mask.

    Attributes:
        ids: [B, T] token ids; padding repeats 0.
        targets: [B, T]; targets[b, t] is the id to predict at t, or -100 where no loss is computed.
        weights: [B, T] float32; by how much the prediction at t counts in the loss, 0 where there is none.
        lengths: [B] real tokens of each row.
        labels: [B] numbers of the rows' labels, where a head learns them; None elsewhere.
    """

    ids: Tensor
    targets: Tensor
    weights: Tensor
    lengths: Tensor
    labels: Tensor | None = None

    @property
    def tokens(self) -> int:
        """Real tokens."""
        return int(self.lengths.sum())

    @property
    def weight(self) -> float:
        """What the mean loss was divided by: the sum of the weights, or the number of labelled rows."""
        return self.weights.sum(dtype=torch.float64).item() if self.labels is None else float(len(self.labels))

    @classmethod
    def of(cls, rows: Sequence[TokenizedExample]) -> "Batch":
        longest = max(map(len, rows))
        ids = torch.zeros((len(rows), longest), dtype=torch.long)
        weights = torch.zeros((len(rows), longest))
        for place, row in enumerate(rows):
            ids[place, : len(row)] = torch.tensor(row.ids)
            weights[place, : len(row) - 1] = torch.tensor(row.weights()[1:])
        targets = torch.full_like(ids, _IGNORED)
        targets[:, :-1] = ids[:, 1:].where(weights[:, :-1] > 0, _IGNORED)
        labels = [row.label for row in rows if row.label is not None]
        lengths = torch.tensor([len(row) for row in rows])
        return cls(ids, targets, weights, lengths, torch.tensor(labels) if labels else None)


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Batches of an epoch; the last one may be smaller."""
    return -(-rows // batch_size)


def epoch_order(lengths: Sequence[int], batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices of the rows of each batch of an epoch: shuffled, then sorted by length within stretches of 8 batches, so
    that a batch holds rows of like length and padding stays small. Every row comes once; the order depends on the
    seed and the epoch alone."""
    draw = random.Random(f"{seed}:{epoch}")  # noqa: S311 - a shuffle, no secret
    order = list(range(len(lengths)))
    draw.shuffle(order)
    stretch = batch_size * _BUCKET_BATCHES
    order = [
        index
        for start in range(0, len(order), stretch)
        for index in sorted(order[start : start + stretch], key=lengths.__getitem__)
    ]
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    draw.shuffle(batches)
    return batches


def endless_batches(rows: Sequence[TokenizedExample], batch_size: int, seed: int, done: int = 0) -> Iterator[Batch]:
    """Batches of epoch after epoch, without the first `done`."""
    lengths = [len(row) for row in rows]
    epoch, skipped = divmod(done, steps_per_epoch(len(rows), batch_size))
    while True:
        for indices in epoch_order(lengths, batch_size, seed, epoch)[skipped:]:
            yield Batch.of([rows[index] for index in indices])
        epoch, skipped = epoch + 1, 0

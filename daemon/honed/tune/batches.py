"""Rows to micro-batches: one stream of tokens without padding. Pure but for torch as the container.

    prefix p p p | row a a a a | row b b | row c c c

The tokens that all rows of a micro-batch begin with stand in the stream once, when `share` allows it: a causal model
computes the same states for them in every row, and a gradient that reaches them from every row is summed by autograd.
B rows, N tokens in the stream, P of the prefix, S behind it in the longest row.
"""

import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from honed.data import TokenizedExample
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Where the rows of a stream stand.

    Attributes:
        prefix: P, tokens that all rows share.
        places: [B, S] place of each row's tokens behind the prefix, counted from there; padding repeats 0.
        flat: [N - P] place in the flattened `places` of each token behind the prefix.
    """

    prefix: int
    places: Tensor
    flat: Tensor

    @classmethod
    def of(cls, prefix: int, lengths: Sequence[int]) -> "Layout":
        """The layout of rows with so many tokens behind the prefix."""
        longest = max(lengths)
        places = torch.zeros((len(lengths), longest), dtype=torch.long)
        flat: list[Tensor] = []
        start = 0
        for row, length in enumerate(lengths):
            places[row, :length] = torch.arange(start, start + length)
            flat.append(torch.arange(row * longest, row * longest + length))
            start += length
        return cls(prefix, places, torch.cat(flat))

    def real(self, lengths: Tensor) -> Tensor:
        """[B, S] which of the places are none of padding, of rows with so many tokens [B] behind the prefix."""
        return torch.arange(self.places.shape[1], device=lengths.device) < lengths[:, None]

    def to(self, device: torch.device) -> "Layout":
        return Layout(self.prefix, self.places.to(device), self.flat.to(device))


@dataclass(frozen=True)
class MicroBatch:
    """Rows that go through the model together.

    Attributes:
        ids, positions: [N] token ids and their places in their rows.
        row_lengths: [N] tokens of the row that a token belongs to; of the longest row for the prefix.
        ends: [B] places in the stream of the rows' last tokens.
        states: [L] places in the stream whose next token is trained.
        targets: [L] those next tokens.
        weights: [L] float32; by how much each counts in the loss.
        labels: [B] numbers of the rows' labels, where a head learns them; None elsewhere.
    """

    ids: Tensor
    positions: Tensor
    row_lengths: Tensor
    layout: Layout
    ends: Tensor
    states: Tensor
    targets: Tensor
    weights: Tensor
    labels: Tensor | None

    @property
    def row_tokens(self) -> Tensor:
        """[B] tokens of the rows."""
        return self.positions[self.ends] + 1

    @property
    def weight(self) -> float:
        """What the sum of the losses is divided by for their mean: the sum of the weights, or the labelled rows."""
        return self.weights.sum(dtype=torch.float64).item() if self.labels is None else float(len(self.labels))

    @classmethod
    def of(cls, rows: Sequence[TokenizedExample], *, share: bool) -> "MicroBatch":
        """Packs rows; `share` is for models that compute the same for the same tokens: no dropout, no noise."""
        whole = [row.ids for row in rows]
        prefix = _shared(rows, whole) if share else 0
        ids, positions = list(whole[0][:prefix]), list(range(prefix))
        row_lengths = [max(map(len, rows))] * prefix
        labels = [row.label for row in rows if row.label is not None]
        ends: list[int] = []
        trained: list[tuple[int, int, float]] = []  # state, target, weight
        for row, tokens in zip(rows, whole, strict=True):
            begins = len(ids) - prefix  # where the row's token 0 would stand
            for place, weight in enumerate(row.weights()):
                if weight:
                    trained.append((begins + place - 1, tokens[place], weight))
            ids += tokens[prefix:]
            ends.append(len(ids) - 1)
            positions += range(prefix, len(tokens))
            row_lengths += [len(tokens)] * (len(tokens) - prefix)
        return cls(
            torch.tensor(ids),
            torch.tensor(positions),
            torch.tensor(row_lengths),
            Layout.of(prefix, [len(tokens) - prefix for tokens in whole]),
            torch.tensor(ends),
            torch.tensor([state for state, _, _ in trained], dtype=torch.long),
            torch.tensor([target for _, target, _ in trained], dtype=torch.long),
            torch.tensor([weight for _, _, weight in trained], dtype=torch.float32),
            torch.tensor(labels) if labels else None,
        )

    def to(self, device: torch.device) -> "MicroBatch":
        """On a device."""
        moved: dict[str, Any] = {
            each.name: None if (value := getattr(self, each.name)) is None else value.to(device)
            for each in fields(self)
        }
        return MicroBatch(**moved)


def _first_state(row: TokenizedExample) -> int:
    """The first place of a row whose state is under the loss; a head reads the last one."""
    return next((place - 1 for place, weight in enumerate(row.weights()) if weight), len(row) - 1)


def _shared(rows: Sequence[TokenizedExample], whole: Sequence[tuple[int, ...]]) -> int:
    """Tokens that all rows begin with, up to before the first state under the loss: a loss counts once a row."""
    if len(rows) < 2:
        return 0
    limit = min(map(_first_state, rows))
    first, last = min(whole), max(whole)  # what these two share, all share
    return next((place for place in range(limit) if first[place] != last[place]), limit)


def micro_batches(rows: Sequence[TokenizedExample], most_tokens: int, *, share: bool) -> list[MicroBatch]:
    """Rows in as few micro-batches as streams of so many tokens allow, or of one longer row, filled evenly; rows of
    like length together."""
    ordered = sorted(rows, key=len)
    fewest = len(_filled(ordered, most_tokens, share=share))
    limits = range(most_tokens)
    even = bisect_left(limits, -fewest, key=lambda limit: -len(_filled(ordered, limit, share=share)))
    return [MicroBatch.of(group, share=share) for group in _filled(ordered, even, share=share)]


def largest_micro_batch(rows: Sequence[TokenizedExample], most_tokens: int, *, share: bool) -> MicroBatch:
    """The micro-batch of most tokens, and the longest rows, that rows can give."""
    longest_first = sorted(rows, key=len, reverse=True)
    return MicroBatch.of(_filled(longest_first, most_tokens, share=share)[0], share=share)


def _filled(rows: Sequence[TokenizedExample], most_tokens: int, *, share: bool) -> list[list[TokenizedExample]]:
    """Rows in groups, each filled before the next is begun."""
    shared = _shared(rows, [row.ids for row in rows]) if share else 0
    groups: list[list[TokenizedExample]] = []
    filled = most_tokens
    for row in rows:
        filled += len(row) - shared
        if filled > most_tokens:
            groups.append([])
            filled = len(row)
        groups[-1].append(row)
    return groups


def steps_per_epoch(rows: int, batch_size: int) -> int:
    """Batches of an epoch; the last one may be smaller."""
    return -(-rows // batch_size)


def epoch_order(rows: int, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Indices of the rows of each batch of an epoch, shuffled; every row comes once. The order depends on the seed and
    the epoch alone; a stream gains nothing from batches of rows of like length."""
    order = list(range(rows))
    random.Random(f"{seed}:{epoch}").shuffle(order)  # noqa: S311 - a shuffle, no secret
    return [order[start : start + batch_size] for start in range(0, rows, batch_size)]


def endless_batches(
    rows: Sequence[TokenizedExample], batch_size: int, seed: int, done: int = 0
) -> Iterator[list[TokenizedExample]]:
    """The rows of batch after batch, epoch after epoch, without the first `done`."""
    epoch, skipped = divmod(done, steps_per_epoch(len(rows), batch_size))
    while True:
        for indices in epoch_order(len(rows), batch_size, seed, epoch)[skipped:]:
            yield [rows[index] for index in indices]
        epoch, skipped = epoch + 1, 0

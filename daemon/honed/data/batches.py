"""Items of unlike size, some at a time: few of large ones."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from honed.data.messages import Example

MAX_ITEMS = 500
MAX_CHARACTERS = 1 << 21

Item = TypeVar("Item")


def batches(items: Iterable[Item], size: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Lists of at most MAX_ITEMS; one that reaches more than MAX_CHARACTERS, by `size`, takes no further item."""
    batch: list[Item] = []
    total = 0
    for item in items:
        batch.append(item)
        total += size(item)
        if len(batch) >= MAX_ITEMS or total > MAX_CHARACTERS:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


def characters(example: Example) -> int:
    """Characters of all that an example says."""
    return len(example.reply) + len(example.rejected) + sum(len(turn.content) for turn in example.messages)

"""What the metrics need of a model: callables over token ids. Who supplies them is unknown here."""

from collections.abc import Callable, Sequence
from typing import Protocol

Progress = Callable[[int, int], None]


class Generator(Protocol):
    """A model that answers. `progress` is told (rows done, rows)."""

    def generate(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop_ids: frozenset[int], progress: Progress
    ) -> list[list[int]]:
        """Greedy replies, each up to and without its stop token."""
        ...


class Scorer(Protocol):
    """A model that says how likely an answer is. `progress` is told (rows done, rows)."""

    def score(
        self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]], progress: Progress
    ) -> list[list[float]]:
        """For each prompt the log-likelihood (nats) of each reply after it."""
        ...

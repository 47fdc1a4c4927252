"""What the metrics need of a model: callables over token ids. Who supplies them is unknown here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Reply:
    """A greedy reply up to and without its stop token, and the wall clock from its prompt to its end.

    Rows that are answered together wait for each other, so their times overlap.
    """

    tokens: list[int]
    seconds: float


class Generator(Protocol):
    """A model that answers. `progress` is told (rows done, rows)."""

    def generate(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop_ids: frozenset[int], progress: Progress
    ) -> list[Reply]:
        """Greedy replies."""
        ...


class Scorer(Protocol):
    """A model that says how likely given replies are. `progress` is told (rows done, rows)."""

    def score(
        self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]], progress: Progress
    ) -> list[list[float]]:
        """For each prompt the log-likelihood (nats) of each reply after it."""
        ...


class Reader(Protocol):
    """A model that says how likely texts are. `progress` is told (rows done, rows)."""

    def log_likelihoods(
        self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]], progress: Progress
    ) -> list[float]:
        """The log-likelihood (nats) of each prompt's own reply."""
        ...


class Predictor(Generator, Reader, Protocol):
    """A model under test."""

"""What the metrics need of a model: two callables over token ids. Who supplies them, torch or onnxruntime, is unknown here."""

from collections.abc import Callable, Sequence
from typing import Protocol

Progress = Callable[[int, int], None]


class Predictor(Protocol):
    """A model under test. `progress`, where given, is told (rows done, rows)."""

    def generate(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop_ids: frozenset[int], progress: Progress
    ) -> list[list[int]]:
        """Greedy replies, each up to and without its stop token."""
        ...

    def score(
        self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]], progress: Progress
    ) -> list[list[float]]:
        """For each prompt the log-likelihood (nats) of each reply after it."""
        ...

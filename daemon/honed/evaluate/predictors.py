"""What the metrics need of a model: callables over token ids. Who supplies them is unknown here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Reply:
    """A greedy reply up to and without its stop token, and the wall clock from its prompt to its end.

    Rows that are answered together wait for each other, so their times overlap. `stopped`: a stop token ended it, not
    the limit or the end of the context.
    """

    tokens: list[int]
    seconds: float
    stopped: bool = True


class Predictor(Protocol):
    """A model under test. `progress` is told (rows done, rows)."""

    @property
    def context_length(self) -> int:
        """Tokens that a prompt and its reply may have together."""
        ...

    def generate(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop_ids: frozenset[int], progress: Progress
    ) -> list[Reply]:
        """Greedy replies; each ends at a stop token, after `max_new_tokens`, or where the context is full."""
        ...

    def log_likelihoods(
        self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]], progress: Progress
    ) -> list[float]:
        """The log-likelihood (nats) of each prompt's own reply."""
        ...


@runtime_checkable
class Classifier(Protocol):
    """A model under test that weighs a closed set of labels and writes nothing."""

    def classify(
        self, prompts: Sequence[Sequence[int]], labels: Sequence[str], progress: Progress
    ) -> list[list[float]]:
        """For each prompt the log-probability (nats) of each of these labels, which are some or all of its own."""
        ...


@runtime_checkable
class Scorer(Predictor, Protocol):
    """A model that can also weigh the same replies, such as labels, after every prompt."""

    def score(
        self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]], progress: Progress
    ) -> list[list[float]]:
        """For each prompt the log-likelihood (nats) of each reply after it."""
        ...

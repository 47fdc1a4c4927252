"""An exported graph as a predictor, on the path that serves: prompts by prefill, then a token a step, rows together."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from honed.evaluate import Progress, Reply, log_softmax
from honed.serve.graph import Graph, Logits
from honed.serve.scheduler import Scheduler
from numpy.typing import NDArray


@dataclass(eq=False)
class _Row:
    """A prompt in a slot, and the tokens that were put behind it; the last of them is not in the slot yet."""

    index: int
    prompt: Sequence[int]
    began: float
    tokens: list[int] = field(default_factory=list[int])

    @property
    def cached(self) -> int:
        return len(self.prompt) + len(self.tokens) - 1


class GraphPredictor:
    """Greedy replies and likelihoods of a graph; as many rows together as it has slots."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.context_length = graph.capacity

    def generate(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop_ids: frozenset[int], progress: Progress
    ) -> list[Reply]:
        """Greedy replies; a row that is done makes room for the next."""
        replies: list[Reply] = [Reply([], 0.0)] * len(prompts)

        def draw(row: _Row, logits: Logits) -> int | None:
            token = int(logits.argmax())
            stopped = token in stop_ids
            if not stopped:
                row.tokens.append(token)
            if stopped or len(row.tokens) == max_new_tokens or row.cached >= self._graph.capacity:
                replies[row.index] = Reply(row.tokens, time.monotonic() - row.began, stopped)
                return None
            return token

        self._run(prompts, draw, progress)
        return replies

    def log_likelihoods(
        self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]], progress: Progress
    ) -> list[float]:
        """Log-likelihood of each prompt's own reply."""
        found = [0.0] * len(prompts)

        def follow(row: _Row, logits: Logits) -> int | None:
            reply = replies[row.index]
            token = reply[len(row.tokens)]
            found[row.index] += float(log_softmax(logits)[token])
            row.tokens.append(token)
            return token if len(row.tokens) < len(reply) else None

        self._run(prompts, follow, progress)
        return found

    def logits(self, prompt: Sequence[int], reply: Sequence[int]) -> NDArray[np.float32]:
        """Logits [T, V] at the T tokens of a reply."""
        rows = [self._graph.prefill(0, prompt).copy()]
        rows += [self._graph.decode([token], [len(prompt) + place])[0].copy() for place, token in enumerate(reply[:-1])]
        return np.stack(rows)

    def _run(
        self, prompts: Sequence[Sequence[int]], step: Callable[[_Row, Logits], int | None], progress: Progress
    ) -> None:
        """Takes every prompt through the graph; `step` appends the next token to a row, or ends it with None."""
        scheduler = Scheduler[_Row](self._graph.slots, max_waiting=1)
        done = 0
        order = iter(range(len(prompts)))
        while done < len(prompts):
            index = next(order, None) if len(scheduler.active) < self._graph.slots else None
            if index is not None:
                row = _Row(index, prompts[index], time.monotonic())
                scheduler.submit(row)
                scheduler.admit()
                rows, logits = [row], self._graph.prefill(len(scheduler.active) - 1, row.prompt)[None]
            else:
                rows = list(scheduler.active)
                logits = self._graph.decode([row.tokens[-1] for row in rows], [row.cached for row in rows])
            for ended in [row for row, values in zip(rows, logits, strict=True) if step(row, values) is None]:
                move = scheduler.release(ended)
                if move is not None:
                    source, target = move
                    self._graph.move(source, target, scheduler.active[target].cached)
                done += 1
                progress(done, len(prompts))

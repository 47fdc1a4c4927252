"""An exported graph as a predictor, on the path that serves: a prompt by prefill, then one token a step."""

from collections.abc import Sequence

import numpy as np
from honed.serve.graph import Graph
from numpy.typing import NDArray


class GraphPredictor:
    """Greedy replies and teacher-forced logits of a graph, one row at a time in slot 0."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    def generate(self, prompt: Sequence[int], max_new_tokens: int, stop_ids: frozenset[int]) -> list[int]:
        """A greedy reply up to and without its stop token."""
        reply: list[int] = []
        token = int(self._graph.prefill(0, prompt).argmax())
        while token not in stop_ids and len(reply) < max_new_tokens:
            reply.append(token)
            token = int(self._graph.decode([token], [len(prompt) + len(reply) - 1])[0].argmax())
        return reply

    def logits(self, prompt: Sequence[int], reply: Sequence[int]) -> NDArray[np.float32]:
        """Logits [T, V] at the T tokens of a reply."""
        rows = [self._graph.prefill(0, prompt).copy()]
        rows += [self._graph.decode([token], [len(prompt) + place])[0].copy() for place, token in enumerate(reply[:-1])]
        return np.stack(rows)

"""The torch side of evaluation and parity: greedy replies, likelihoods of replies, and reference log-probabilities.

Prompts that begin alike (few-shot prompts do) share one pass over what they have in common.
"""

import copy
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from honed.evaluate import Progress, Reply
from honed.tune.methods import virtual_cache, virtual_tokens
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import DynamicCache

_BATCH_ROWS = 16
_SHORTEST_SHARED_PREFIX = 16


@dataclass(frozen=True)
class _Suffixes:
    """What is left of some prompts behind a shared prefix, padded on the left.

    Attributes:
        ids: [B, S] token ids.
        real: [B, S] False on padding.
        positions: [B, S] places in the whole prompt.
        cache: keys and values of the prefix, repeated for B rows.
        prefix: tokens of the prefix, virtual ones included.
    """

    ids: Tensor
    real: Tensor
    positions: Tensor
    cache: DynamicCache
    prefix: int


class TorchPredictor:
    """A causal language model of transformers as a `honed.evaluate.Predictor`."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._causal: Any = model.get_base_model() if hasattr(model, "get_base_model") else model
        self._device = next(self._causal.parameters()).device
        self.dtype: torch.dtype = self._causal.dtype
        self.context_length: int = self._causal.config.max_position_embeddings - virtual_tokens(model)

    @torch.inference_mode()
    def generate(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int, stop_ids: frozenset[int], progress: Progress
    ) -> list[Reply]:
        """Greedy replies; the rows of a batch end together."""
        replies: list[list[int]] = [[] for _ in prompts]
        stopped = [False] * len(prompts)
        seconds = [0.0] * len(prompts)
        done = 0
        began = time.monotonic()
        for rows, suffixes in self._batches(prompts):
            mask = torch.cat([suffixes.real.new_ones(len(rows), suffixes.prefix), suffixes.real], dim=1)
            ids, positions = suffixes.ids, suffixes.positions
            open_rows = set(rows)
            for _ in range(max_new_tokens):
                output = self._causal(
                    input_ids=ids,
                    attention_mask=mask.long(),
                    position_ids=positions,
                    past_key_values=suffixes.cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
                best = output.logits[:, -1].argmax(dim=-1)
                for row, token in zip(rows, best.tolist(), strict=True):
                    if row not in open_rows:
                        continue
                    stopped[row] = token in stop_ids
                    if not stopped[row]:
                        replies[row].append(token)
                    if stopped[row] or len(prompts[row]) + len(replies[row]) > self.context_length:
                        open_rows.discard(row)
                if not open_rows:
                    break
                ids, positions = best[:, None], positions[:, -1:] + 1
                mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
            for row in rows:
                seconds[row] = time.monotonic() - began
            began = time.monotonic()
            done += len(rows)
            progress(done, len(prompts))
        return [Reply(*reply) for reply in zip(replies, seconds, stopped, strict=True)]

    @torch.inference_mode()
    def score(
        self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]], progress: Progress
    ) -> list[list[float]]:
        """Log-likelihood of each reply after each prompt.

        All replies go through in one pass behind their prompt, as a tree in which replies that begin alike share their
        beginning; a token sees the prompt and the branch that leads to it (tree attention, as in Miao et al. 2024,
        arXiv 2305.09781).
        """
        tree = _Tree.of(replies)
        flat = torch.tensor(tree.tokens, dtype=torch.long, device=self._device)  # [R]
        depth = torch.tensor(tree.depths, dtype=torch.long, device=self._device)
        branch = torch.zeros(len(flat), len(flat), dtype=torch.bool, device=self._device)  # [R, R]
        for node, parent in enumerate(tree.parents):
            if parent >= 0:
                branch[node] = branch[parent]
            branch[node, node] = True
        # What is asked of the model: token after state, where state 0 is the prompt and state r + 1 the node r.
        states, tokens = (torch.tensor(each, device=self._device) for each in zip(*tree.steps, strict=True))
        scores: list[list[float]] = [[] for _ in prompts]
        done = 0
        for rows, suffixes in self._batches(prompts):
            batch, length = suffixes.ids.shape
            tail = flat.expand(batch, -1)  # [B, R]
            ends = suffixes.positions[:, -1:] + 1
            causal = torch.ones(length, length, dtype=torch.bool, device=self._device).tril()
            visible = torch.zeros(
                batch, length + len(flat), suffixes.prefix + length + len(flat), dtype=torch.bool, device=self._device
            )
            visible[:, :, : suffixes.prefix] = True
            visible[:, :length, suffixes.prefix : suffixes.prefix + length] = causal & suffixes.real[:, None, :]
            visible[:, length:, suffixes.prefix : suffixes.prefix + length] = suffixes.real[:, None, :]
            visible[:, length:, suffixes.prefix + length :] = branch
            dtype = self._causal.dtype
            mask = torch.zeros(visible.shape, dtype=dtype, device=self._device)
            mask.masked_fill_(~visible, torch.finfo(dtype).min)
            hidden = self._causal.get_decoder()(
                input_ids=torch.cat([suffixes.ids, tail], dim=1),
                attention_mask=mask[:, None],
                position_ids=torch.cat([suffixes.positions, ends + depth], dim=1),
                past_key_values=suffixes.cache,
                use_cache=True,
            ).last_hidden_state[:, length - 1 :]  # the prompt's last place, then the nodes [B, 1 + R, D]
            for row, states_of_row in zip(rows, hidden, strict=True):
                logits = self._causal.get_output_embeddings()(states_of_row).float()  # [1 + R, V]
                steps = (logits[states, tokens] - logits.logsumexp(dim=-1)[states]).tolist()
                scores[row] = [sum(steps[step] for step in path) for path in tree.paths]
            done += len(rows)
            progress(done, len(prompts))
        return scores

    @torch.inference_mode()
    def log_likelihoods(
        self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]], progress: Progress
    ) -> list[float]:
        """Log-likelihood of each prompt's own reply."""
        found = [0.0] * len(prompts)
        order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]) + len(replies[row]))
        for start in range(0, len(order), _BATCH_ROWS):
            rows = order[start : start + _BATCH_ROWS]
            longest = max(len(prompts[row]) + len(replies[row]) for row in rows)
            ids = torch.zeros((len(rows), longest), dtype=torch.long)
            for place, row in enumerate(rows):
                whole = (*prompts[row], *replies[row])
                ids[place, : len(whole)] = torch.tensor(whole)  # padding on the right is never looked at
            hidden = self._hidden(ids)
            for place, row in enumerate(rows):
                first, end = len(prompts[row]), len(prompts[row]) + len(replies[row])
                logits = self._causal.get_output_embeddings()(hidden[place, first - 1 : end - 1]).float()
                targets = torch.tensor(replies[row], device=self._device)
                found[row] = -functional.cross_entropy(logits, targets, reduction="sum").item()
            progress(min(start + _BATCH_ROWS, len(order)), len(order))
        return found

    @torch.inference_mode()
    def log_probabilities(
        self, prompts: Sequence[Sequence[int]], replies: Sequence[Sequence[int]]
    ) -> Iterator[NDArray[np.float32]]:
        """Teacher-forced log-probabilities [T, V] at the T tokens of each prompt's reply."""
        for prompt, reply in zip(prompts, replies, strict=True):
            hidden = self._hidden(torch.tensor([[*prompt, *reply]]))[0]
            logits = self._causal.get_output_embeddings()(hidden[len(prompt) - 1 : -1])
            yield logits.float().log_softmax(dim=-1).cpu().numpy()

    def _hidden(self, ids: Tensor) -> Tensor:
        """The last hidden states [B, T, D] of rows without a prefix, behind the virtual tokens if there are any."""
        before = virtual_cache(self._model, len(ids))
        decoder = self._causal.get_decoder()
        return decoder(input_ids=ids.to(self._device), past_key_values=before, use_cache=False).last_hidden_state

    def _batches(self, prompts: Sequence[Sequence[int]]) -> Iterator[tuple[list[int], _Suffixes]]:
        """Rows of like length together, with the shared prefix already in their cache."""
        shared = _shared_prefix(prompts)
        before = virtual_cache(self._model, 1)
        cache = DynamicCache() if before is None else before
        if shared:
            ids = torch.tensor([prompts[0][:shared]], device=self._device)
            cache = self._causal.get_decoder()(input_ids=ids, past_key_values=cache, use_cache=True).past_key_values
        prefix = cache.get_seq_length()
        order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
        for start in range(0, len(order), _BATCH_ROWS):
            rows = order[start : start + _BATCH_ROWS]
            longest = max(len(prompts[row]) for row in rows) - shared
            ids = torch.zeros((len(rows), longest), dtype=torch.long)
            real = torch.zeros((len(rows), longest), dtype=torch.bool)
            for place, row in enumerate(rows):
                suffix = prompts[row][shared:]
                ids[place, longest - len(suffix) :] = torch.tensor(suffix)
                real[place, longest - len(suffix) :] = True
            positions = prefix + (real.long().cumsum(dim=1) - 1).clamp(min=0)
            own = copy.deepcopy(cache)
            if prefix:
                own.batch_repeat_interleave(len(rows))
            yield (
                rows,
                _Suffixes(ids.to(self._device), real.to(self._device), positions.to(self._device), own, prefix),
            )


@dataclass
class _Tree:
    """Replies as a tree of R nodes, the tokens that others follow; a parent stands before its children.

    Attributes:
        tokens, depths: of each node; a reply's first token has depth 0.
        parents: node before each node; -1 behind the prompt.
        steps: (state, token), what is asked after the prompt (state 0) and after each node r (state r + 1).
        paths: steps of each reply.
    """

    tokens: list[int]
    depths: list[int]
    parents: list[int]
    steps: list[tuple[int, int]]
    paths: list[list[int]]

    @classmethod
    def of(cls, replies: Sequence[Sequence[int]]) -> "_Tree":
        tree = cls([], [], [], [], [])
        nodes: dict[tuple[int, int], int] = {}
        numbers: dict[tuple[int, int], int] = {}
        for reply in replies:
            path: list[int] = []
            node = -1
            for depth, token in enumerate(reply):
                step = (node + 1, token)
                if step not in numbers:
                    numbers[step] = len(tree.steps)
                    tree.steps.append(step)
                path.append(numbers[step])
                if depth == len(reply) - 1:
                    break  # nothing follows the last token, so the model need not read it
                if step not in nodes:
                    nodes[step] = len(tree.tokens)
                    tree.tokens.append(token)
                    tree.depths.append(depth)
                    tree.parents.append(node)
                node = nodes[step]
            tree.paths.append(path)
        return tree


def _shared_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Tokens with which all prompts begin, if worth a pass of their own; never a whole prompt."""
    if len(prompts) < 2:
        return 0
    limit = min(map(len, prompts)) - 1
    length = next(
        (place for place in range(limit) if any(prompt[place] != prompts[0][place] for prompt in prompts)), limit
    )
    return length if length >= _SHORTEST_SHARED_PREFIX else 0

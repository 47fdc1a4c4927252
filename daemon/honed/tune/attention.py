"""Attention over a stream of rows (see batches.py): each token sees its own row up to itself, and nothing else.

The linear layers see the stream without padding; here alone the rows lie side by side, as long as the longest. Keys
that stand before the stream (those of virtual tokens, in a cache) and the shared prefix are seen by all rows.
B rows, H query heads, K key heads, G = H / K, S tokens of a row, P seen by all, d per head.
"""

from typing import Any

import torch
from honed.tune.batches import Layout
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

# What a model is loaded with. Where a call names no `rows` it is torch's own attention.
NAME = "honed_rows"
# On a CPU the backward of torch's fused attention takes longer than all of the plain one for short rows
# (docs/decisions.md has the figures); the plain one's score matrices grow with the square of the length.
_LONGEST_PLAIN = 512


def rows_arguments(layout: Layout) -> dict[str, Any]:
    """What a decoder is called with for a stream: the layout, and a mask of four dimensions, which transformers passes
    on as it is, in place of one over the whole stream."""
    return {"rows": layout, "attention_mask": torch.empty((1, 1, 0, 0), device=layout.places.device)}


def _attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float,
    rows: Layout | None = None,
    sliding_window: int | None = None,
    **rest: Any,
) -> tuple[Tensor, None]:
    """[1, H, N, d], [1, K, V + N, d] twice, with V keys before the stream -> [1, N, H, d].

    A base's own attention dropout is left out: what is frozen is not regularised.
    """
    if rows is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **rest)
    stream = query.shape[2]
    seen = key.shape[2] - stream + rows.prefix
    query = query * scaling
    batch, longest = rows.places.shape
    places = rows.places.flatten()

    def side_by_side(states: Tensor) -> Tensor:  # [1, h, N - P, d] -> [B, h, S, d]
        chosen = states[0].index_select(1, places)
        return chosen.unflatten(1, (batch, longest)).transpose(0, 1)

    def with_seen(states: Tensor) -> Tensor:
        own = side_by_side(states[:, :, seen:])
        return torch.cat([states[:, :, :seen].expand(batch, -1, -1, -1), own], dim=2) if seen else own

    own = _causal(side_by_side(query[:, :, rows.prefix :]), with_seen(key), with_seen(value), sliding_window)
    own = own.transpose(1, 2).flatten(0, 1).index_select(0, rows.flat)  # [N - P, H, d]
    if not rows.prefix:
        return own[None], None
    first = _causal(query[:, :, : rows.prefix], key[:, :, :seen], value[:, :, :seen], sliding_window)
    return torch.cat([first[0].transpose(0, 1), own])[None], None


def _causal(query: Tensor, key: Tensor, value: Tensor, window: int | None) -> Tensor:
    """[B, H, S, d], already scaled, over [B, K, P + S, d], the last token of each aligned -> [B, H, S, d]."""
    length, keys = query.shape[2], key.shape[2]
    mask = None
    if length < keys or query.device.type == "cpu" or (window is not None and keys > window):
        place = torch.arange(keys, device=query.device)
        age = place[keys - length :, None] - place
        mask = (age >= 0) & (age < (window or keys))  # [S, P + S]
    if query.device.type != "cpu" or keys > _LONGEST_PLAIN:
        return functional.scaled_dot_product_attention(
            query, key, value, mask, is_causal=mask is None, scale=1.0, enable_gqa=True
        )
    assert mask is not None
    groups = query.shape[1] // key.shape[1]
    grouped = query.unflatten(1, (-1, groups)).flatten(2, 3)  # [B, K, G S, d]
    scores = grouped @ key.transpose(2, 3)
    hidden = torch.zeros(mask.shape, dtype=scores.dtype, device=scores.device).masked_fill_(~mask, float("-inf"))
    weights = (scores + hidden.repeat(groups, 1)).softmax(dim=-1, dtype=torch.float32).to(value.dtype)
    return (weights @ value).unflatten(2, (groups, -1)).flatten(1, 2)


AttentionInterface.register(NAME, _attend)
AttentionMaskInterface.register(NAME, sdpa_mask)

"""The last hidden states of a stream of rows (see batches.py), under every loss.

B rows, N tokens in the stream, S of the longest row, D width.
"""

from typing import Any

import torch
from honed.tune.attention import NAME, rows_arguments
from honed.tune.base import is_encoder
from honed.tune.batches import MicroBatch
from honed.tune.methods import TunedModel, virtual_cache, virtual_tokens
from torch import Tensor


def hidden_states(model: TunedModel, batch: MicroBatch, noise_alpha: float = 0.0) -> Tensor:
    """[N, D] of a micro-batch that is where the model is.

    Args:
        noise_alpha: uniform noise up to this / sqrt(tokens of the row · D) on the embeddings (NEFTune: Jain et al.
            2023, arXiv 2310.05914).
    """
    base: Any = model.get_base_model()
    embedded = base.get_input_embeddings()(batch.ids)  # [N, D]
    if noise_alpha:
        reach = noise_alpha / (batch.row_lengths * embedded.shape[-1]).sqrt()  # [N]
        embedded = embedded + torch.empty_like(embedded).uniform_(-1, 1) * reach[:, None].to(embedded.dtype)
    if is_encoder(base.config):
        return _encoded(base, batch, embedded)
    assert base.config._attn_implementation == NAME, "another attention knows no rows"  # noqa: SLF001 - no getter
    return base.get_decoder()(
        inputs_embeds=embedded[None],
        position_ids=batch.positions[None] + virtual_tokens(model),
        past_key_values=virtual_cache(model, 1),
        use_cache=False,
        **rows_arguments(batch.layout),
    ).last_hidden_state[0]


def layers(model: TunedModel) -> list[Any]:
    """The model's layers, which it computes one after the other."""
    base: Any = model.get_base_model()
    return list(base.encoder.layer if is_encoder(base.config) else base.get_decoder().layers)


def _encoded(encoder: Any, batch: MicroBatch, embedded: Tensor) -> Tensor:
    """An encoder's tokens see their whole row, so its rows lie side by side, padded, and share no prefix."""
    assert not batch.layout.prefix, "rows of an encoder share no prefix"
    real = batch.layout.real(batch.row_tokens)
    padded = embedded[batch.layout.places]  # [B, S, D]; padding repeats token 0, which no token sees
    # Of four dimensions, transformers passes it on as it is, and asks no tensor without data what is in it.
    hidden = encoder(inputs_embeds=padded, attention_mask=real[:, None, None]).last_hidden_state
    return hidden.flatten(0, 1)[batch.layout.flat]

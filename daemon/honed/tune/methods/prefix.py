"""Learned keys and values before every prompt, in every layer (prefix tuning: Li & Liang 2021, arXiv 2101.00190).

    attention(q, [K_p; K], [V_p; V])        K_p, V_p [P, heads, head width] of each layer train

They start as the keys and values that the base computes for tokens drawn from its vocabulary; the paper finds real
activations far better than random numbers. Without its reparametrisation by an MLP, which they make up for.
By PEFT; `virtual` puts them before the tokens.
"""

from typing import Any

import torch
from honed.tune.methods.settings import Settings
from peft import PeftModel, PrefixTuningConfig, get_peft_model
from torch import Tensor
from transformers import DynamicCache


def attach(model: Any, settings: Settings) -> PeftModel:
    """Adds the keys and values of drawn tokens."""
    ids = torch.randint(0, model.get_input_embeddings().num_embeddings, (1, settings.virtual_tokens))
    config = PrefixTuningConfig(num_virtual_tokens=settings.virtual_tokens, task_type="CAUSAL_LM")
    flat = _flat(model, ids)
    heads = model.config.num_key_value_heads
    config.token_dim = flat.shape[1] // (2 * model.config.num_hidden_layers)  # PEFT's guess ignores head_dim
    config.num_attention_heads = heads
    adapted = get_peft_model(model, config)
    adapted.prompt_encoder["default"].load_prompt_embeddings(flat)
    return adapted


@torch.no_grad()
def _flat(model: Any, ids: Tensor) -> Tensor:
    """Keys and values [P, layers · 2 · heads · head width] of tokens [1, P], in the order that PEFT keeps them in."""
    cache = model.get_decoder()(
        input_ids=ids.to(model.device), past_key_values=DynamicCache(), use_cache=True
    ).past_key_values
    both = [each for layer in cache.layers for each in (layer.keys, layer.values)]  # each [1, heads, P, head width]
    return torch.stack(both).squeeze(1).permute(2, 0, 1, 3).flatten(1).float()

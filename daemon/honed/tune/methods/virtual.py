"""Virtual tokens: what prefix and prompt tuning put before the tokens of every row.

To a decoder both are a key/value cache that is there before it reads anything. PEFT prepends them in its model's own
forward; the loop and the predictor call the decoder itself, and give it this cache.
"""

from pathlib import Path
from typing import Any

from honed.errors import InvalidInput
from honed.tune.methods.peft_folder import read_config
from honed.tune.methods.settings import Settings
from peft import PeftModel
from transformers import DynamicCache, PreTrainedModel


def check(model: PreTrainedModel, settings: Settings) -> None:
    """Raises InvalidInput if the virtual tokens leave no room for others."""
    context_length: int = model.config.max_position_embeddings
    if settings.virtual_tokens >= context_length:
        raise InvalidInput(
            f"virtual_tokens: {settings.virtual_tokens} fill the model's context of {context_length} tokens; "
            "give fewer.",
            reason="VIRTUAL_TOKENS_TOO_MANY",
            limit_tokens=context_length,
        )


def virtual_tokens(model: Any) -> int:
    """How many virtual tokens stand before the tokens of a row now; none while the adapter is switched off."""
    if not isinstance(model, PeftModel) or model._adapters_disabled:  # noqa: SLF001 - PEFT tells it of layers only
        return 0
    return getattr(model.active_peft_config, "num_virtual_tokens", 0)


def virtual_cache(model: Any, rows: int) -> DynamicCache | None:
    """Keys and values of the virtual tokens for a batch, with their gradient; None if there are none.

    The decoder counts positions on from what is in its cache.
    """
    if not virtual_tokens(model):
        return None
    if model.active_peft_config.peft_type == "PREFIX_TUNING":
        return model.get_prompt(rows)
    causal = model.get_base_model()
    embedded = model.get_prompt(1).to(causal.dtype)  # [1, P, D]
    cache = DynamicCache()
    causal.get_decoder()(inputs_embeds=embedded, past_key_values=cache, use_cache=True)
    cache.batch_repeat_interleave(rows)
    return cache


def saved_virtual_tokens(folder: Path) -> int:
    """How many virtual tokens a saved adapter has."""
    return read_config(folder).get("num_virtual_tokens", 0)

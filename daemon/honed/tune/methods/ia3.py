"""Learned scales of keys, values and the MLP's inner activations ((IA)³: Liu et al. 2022, arXiv 2205.05638).

    k' = l_k ∘ k      v' = l_v ∘ v      down_proj(l_ff ∘ x)        every l starts at one

By PEFT.
"""

from honed.tune.methods.settings import Settings
from honed.tune.methods.targets import ending_with
from peft import IA3Config, PeftModel, get_peft_model
from transformers import PreTrainedModel

_INNER = "down_proj"  # its input is scaled
_LAYERS = ("k_proj", "v_proj", _INNER)


def check(model: PreTrainedModel, _settings: Settings) -> None:
    """Raises InvalidInput if the model has no such layers."""
    ending_with(model, *_LAYERS)


def attach(model: PreTrainedModel, _settings: Settings) -> PeftModel:
    """Adds scales of one."""
    config = IA3Config(
        target_modules=ending_with(model, *_LAYERS),
        feedforward_modules=ending_with(model, _INNER),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)

"""LoRA with the length of each output's weights apart from their direction (DoRA: Liu et al. 2024, arXiv 2402.09353).

    y = m ∘ (W + s · B A) x / ‖W + s · B A‖        m [out] trains beside A and B and starts as the lengths of W's rows

The forward is PEFT's, which computes the adapter in float32 on a base of any dtype.
"""

from honed.tune.methods import lora
from honed.tune.methods.settings import Settings
from peft import PeftModel, get_peft_model
from transformers import PreTrainedModel


def attach(model: PreTrainedModel, settings: Settings) -> PeftModel:
    """Adds fresh adapters, which change nothing yet."""
    return get_peft_model(model, lora.config(model, settings))

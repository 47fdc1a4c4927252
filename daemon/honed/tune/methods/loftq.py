"""LoRA that begins by making up for the quantising (LoftQ: Li et al. 2023, arXiv 2310.08659).

    y = Q x + s · B A x        s · B A starts as the best approximation of rank r to W − Q

The paper alternates between quantising and decomposing. Here Q is fixed, the NF4 base that the contract names, so the
one decomposition of W − Q is the optimum (Eckart & Young 1936).
"""

from collections.abc import Mapping

from honed.errors import InvalidInput
from honed.tune.methods import lora
from honed.tune.methods.low_rank import factors
from honed.tune.methods.settings import Settings
from peft import PeftModel
from peft.utils.integrations import dequantize_module_weight
from torch import Tensor
from transformers import PreTrainedModel


def attach(model: PreTrainedModel, settings: Settings, original: Mapping[str, Tensor]) -> PeftModel:
    """Adds adapters to a quantised base.

    Args:
        original: weights of the linear layers before they were quantised, by the layers' names.

    Raises:
        InvalidInput: the base is not quantised; there is nothing to make up for.
    """
    adapted = lora.attach(model, settings)
    for name, layer in lora.layers(adapted):
        lost = original[name].float() - dequantize_module_weight(layer.base_layer).float()
        if not lost.any():
            raise InvalidInput(
                f"loftq makes up for what quantising loses, and {name} is not quantised; tune with base precision NF4, "
                "or with lora.",
                reason="NOTHING_TO_COMPENSATE",
                layer=name,
            )
        a, b = factors(lost, settings.rank, layer.scaling[lora.ADAPTER])
        layer.lora_A[lora.ADAPTER].weight.data.copy_(a)
        layer.lora_B[lora.ADAPTER].weight.data.copy_(b)
    return adapted

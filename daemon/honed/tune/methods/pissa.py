"""LoRA from the principal singular directions (PiSSA: Meng et al. 2024, arXiv 2404.02948).

    y = W x + s · (B A − B₀ A₀) x        s · B₀ A₀ the best approximation of rank r to W; A and B start as A₀ and B₀

The paper takes s · B₀ A₀ out of W. Here W stays as it is and the difference is added: the same function, and the base
that the contract names is the one in use, in NF4 too, where W − s · B₀ A₀ would have to be rounded anew. Dropout is on
both terms. [A; A₀] and [B, −B₀] are a plain LoRA of rank 2r on W: it is what the forward computes and what is saved.
A₀ and B₀ follow from the base and the seed.
"""

from pathlib import Path

import torch
from honed.tune.methods import lora, peft_folder
from honed.tune.methods.low_rank import factors
from honed.tune.methods.settings import Settings
from peft import PeftModel, get_peft_model
from peft.utils.integrations import dequantize_module_weight
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel


def attach(model: PreTrainedModel, settings: Settings) -> PeftModel:
    """Adds adapters that begin in the principal directions and change nothing yet."""
    adapted = get_peft_model(model, lora.config(model, settings))
    for _, layer in lora.layers(adapted):
        a, b = factors(dequantize_module_weight(layer.base_layer), settings.rank, layer.scaling[lora.ADAPTER])
        layer.lora_A[lora.ADAPTER].weight.data.copy_(a)
        layer.lora_B[lora.ADAPTER].weight.data.copy_(b)
        layer.first = a, b
    return lora.with_our_forward(adapted, _Doubled)


def save(model: PeftModel, folder: Path, method: str, base_digest: str) -> None:
    """Writes the adapter as a plain LoRA of twice the rank on the untouched base."""
    peft_folder.save(model, folder, method, base_digest)
    weights = load_file(folder / peft_folder.WEIGHTS_FILE)
    for name, layer in lora.layers(model):
        a, b = layer.factors()
        weights[f"base_model.model.{name}.lora_A.weight"] = a.detach().cpu().contiguous()
        weights[f"base_model.model.{name}.lora_B.weight"] = b.detach().cpu().contiguous()
    save_file(weights, folder / peft_folder.WEIGHTS_FILE, metadata={"format": "pt"})
    config = peft_folder.read_config(folder)
    doubled = {"r": 2 * config["r"], "lora_alpha": 2 * config["lora_alpha"]}  # s = alpha / r stays
    peft_folder.write_config(folder, config | doubled, method, base_digest)


class _Doubled(lora.Adapted):
    first: tuple[Tensor, Tensor]  # A₀ and B₀

    def factors(self) -> tuple[Tensor, Tensor]:
        """[A; A₀] and [B, −B₀]."""
        (a, b), (first_a, first_b) = super().factors(), self.first
        return torch.cat([a, first_a]), torch.cat([b, -first_b], dim=1)

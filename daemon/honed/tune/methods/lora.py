"""Low-rank adapters (Hu et al. 2021, arXiv 2106.09685; QLoRA: Dettmers et al. 2023, arXiv 2305.14314).

    y = W x + s · B A x        W [out, in] frozen, A [r, in], B [out, r], B starts at zero
    s = alpha / r              rsLoRA: s = alpha / √r (Kalajdzievski 2023, arXiv 2312.03732), stable as r grows

PEFT builds, saves and loads them. Their forward is ours: PEFT casts the input to the adapter's float32 and back in
every layer; here the float32 parameters are cast to the input's dtype, which the matrix units are fast in
(docs/decisions.md has the figures).
"""

import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from honed.errors import InvalidInput
from honed.tune.methods import peft_folder
from honed.tune.methods.settings import Settings
from honed.tune.methods.targets import require_rank, targets
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel

ADAPTER = "default"


def check(model: PreTrainedModel, settings: Settings) -> None:
    """Raises InvalidInput if a pattern matches nothing or the rank is above a layer's width."""
    require_rank(targets(model, settings.target_modules), settings.rank)


def attach(model: PreTrainedModel, settings: Settings) -> PeftModel:
    """Adds fresh adapters; their parameters are float32 and the only ones that train."""
    return with_our_forward(get_peft_model(model, config(model, settings)))


def load(model: PreTrainedModel, folder: Path) -> PeftModel:
    """Attaches saved adapters."""
    return with_our_forward(peft_folder.load(model, folder))


def config(model: PreTrainedModel, settings: Settings) -> LoraConfig:
    """The settings in PEFT's words."""
    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # pyright: ignore[reportArgumentType] - PEFT takes any number, its annotation says int
        lora_dropout=settings.dropout,
        use_rslora=settings.method == "rslora",
        use_dora=settings.method == "dora",
        target_modules=list(targets(model, settings.target_modules)),
        task_type="CAUSAL_LM" if model.can_generate() else "FEATURE_EXTRACTION",
    )


def values(folder: Path) -> dict[str, Tensor]:
    """The parameters of saved adapters: `….lora_A.weight` [r, in] and `….lora_B.weight` [out, r] of every layer."""
    return load_file(folder / "adapter_model.safetensors")


def scale(folder: Path) -> float:
    """s of saved adapters."""
    saved = peft_folder.read_config(folder)
    return saved["lora_alpha"] / (math.sqrt(saved["r"]) if saved["use_rslora"] else saved["r"])


def fill(model: Any, parameters: Mapping[str, Tensor]) -> None:
    """Gives adapters the parameters of others, as `values` gives them; what trains stays so.

    Raises:
        InvalidInput: they are those of other layers or another rank.
    """
    ours = get_peft_model_state_dict(model, save_embedding_layers=False)
    found = {name: tuple(each.shape) for name, each in parameters.items()}
    expected = {name: tuple(each.shape) for name, each in ours.items()}
    if found != expected:
        name = min(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise InvalidInput(
            f"The adapter does not fit the one that is to take its weights: at {name} it has "
            f"{found.get(name, 'nothing')}, expected {expected.get(name, 'nothing')}.",
            reason="ADAPTER_MISMATCH",
            parameter=name,
        )
    set_peft_model_state_dict(model, dict(parameters))


def detach(model: Any) -> None:
    """Takes adapters off again: the base is as it was before `attach`, and may be given others."""
    model.unload()


def layers(model: PeftModel) -> Iterator[tuple[str, Any]]:
    """The adapted layers, by their names in the base."""
    for name, layer in model.get_base_model().named_modules():
        if isinstance(layer, LoraLayer):
            yield name, layer


def with_our_forward(model: PeftModel, ours: type["Adapted"] | None = None) -> PeftModel:
    """Puts our forward into every adapted layer: that of the class `ours`, by default of `Adapted`."""
    for _, layer in layers(model):
        layer.__class__ = _derived(ours or Adapted, type(layer))
    return model


class Adapted:
    """One adapted layer. A class in front of PEFT's own, so that all layers have one forward, and are compiled once."""

    def forward(self, x: Tensor) -> Tensor:
        layer: Any = self
        y = layer.base_layer(x)
        if layer.disable_adapters:
            return y
        a, b = self.factors()
        scaled_b = (b * layer.scaling[ADAPTER]).to(x.dtype)
        return y + functional.linear(functional.linear(layer.lora_dropout[ADAPTER](x), a.to(x.dtype)), scaled_b)

    def factors(self) -> tuple[Tensor, Tensor]:
        """A and B."""
        layer: Any = self
        return layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight


@cache
def _derived(ours: type[Adapted], theirs: type) -> type:
    return type(theirs.__name__, (ours, theirs), {})

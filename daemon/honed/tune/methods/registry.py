"""The methods by name, behind one interface."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from honed.errors import InvalidInput
from honed.tune.methods import (
    bottleneck,
    dora,
    full,
    ia3,
    loftq,
    lora,
    oft,
    own,
    peft_folder,
    pissa,
    prefix,
    prompt,
    virtual,
)
from honed.tune.methods.own import OwnModel
from honed.tune.methods.settings import Settings
from honed.tune.methods.targets import linear_layers
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

TunedModel = PeftModel | OwnModel


def _fits(_model: PreTrainedModel, _settings: Settings) -> None:
    """The method asks nothing of the model."""


@dataclass(frozen=True)
class Method:
    """One method; its file says what it is.

    Attributes:
        compensates: whether `attach` takes the weights before they were quantised.
    """

    attach: Callable[..., TunedModel]
    check: Callable[[PreTrainedModel, Settings], None] = _fits
    load: Callable[[PreTrainedModel, Path], TunedModel] = peft_folder.load
    save: Callable[[Any, Path, str, str], None] = peft_folder.save
    compensates: bool = False


METHODS: dict[str, Method] = {
    "lora": Method(lora.attach, lora.check, lora.load),
    "rslora": Method(lora.attach, lora.check, lora.load),
    "dora": Method(dora.attach, lora.check),
    "pissa": Method(pissa.attach, lora.check, lora.load, pissa.save),
    "loftq": Method(loftq.attach, lora.check, lora.load, compensates=True),
    "ia3": Method(ia3.attach, ia3.check),
    "oft": Method(oft.attach, oft.check),
    "prefix": Method(prefix.attach, virtual.check),
    "prompt": Method(prompt.attach, virtual.check),
    "bottleneck": Method(bottleneck.attach, bottleneck.check, bottleneck.load, own.save),
    "full": Method(full.attach, load=full.load, save=own.save),
}


def check(model: PreTrainedModel, settings: Settings) -> None:
    """Raises InvalidInput if the settings do not fit the model; nothing is attached."""
    METHODS[settings.method].check(model, settings)


def to_compensate(model: PreTrainedModel, settings: Settings) -> dict[str, Tensor]:
    """What `attach` has to know of a model before it is quantised: the weights of its linear layers, for methods that
    make up for the quantising."""
    if not METHODS[settings.method].compensates:
        return {}
    return {name: layer.weight.detach().clone() for name, layer in linear_layers(model).items()}


def attach(
    model: PreTrainedModel, settings: Settings, original: Mapping[str, Tensor] = MappingProxyType({})
) -> TunedModel:
    """Makes a frozen base a model that can be tuned: what trains is float32, and all the rest stays as it is.

    Args:
        original: what `to_compensate` gave before the model was quantised.

    Raises:
        InvalidInput: the settings do not fit the model, or nothing would train.
    """
    method = METHODS[settings.method]
    method.check(model, settings)
    torch.manual_seed(settings.seed)
    tuned = method.attach(model, settings, original) if method.compensates else method.attach(model, settings)
    if not any(parameter.numel() for parameter in trainable_parameters(tuned)):
        raise InvalidInput(
            f"With these settings {settings.method} has no parameters to train.", reason="NOTHING_TO_TRAIN"
        )
    return tuned


def load(model: PreTrainedModel, folder: Path) -> TunedModel:
    """Attaches what `save` wrote to its base, frozen, in evaluation mode."""
    method = METHODS[peft_folder.read_config(folder)["method"]]
    return method.load(model, folder).eval().requires_grad_(False)


def save(model: TunedModel, method: str, folder: Path, base_digest: str) -> None:
    """Writes adapter_model.safetensors and adapter_config.json, which names the method, and the base by its digest."""
    METHODS[method].save(model, folder, method, base_digest)


def trainable_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Parameters that train."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]

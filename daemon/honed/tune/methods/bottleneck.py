"""Bottleneck layers behind the attention and the MLP of every block (Houlsby et al. 2019, arXiv 1902.00751).

    h' = h + U gelu(D h + d) + u        D [w, n], d [w], U [n, w], u [n]; U and u start at zero

They stand behind o_proj and down_proj, the last product of either sublayer, before the block adds its residual. They
compute in the dtype of the base, from float32 parameters.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from honed.tune.methods.own import OwnModel, load_tensors
from honed.tune.methods.settings import Settings
from honed.tune.methods.targets import ending_with
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

_LAYERS = ("o_proj", "down_proj")


class Bottleneck(nn.Module):
    """A linear layer and the bottleneck behind it: x [..., in] to [..., out]."""

    def __init__(self, layer: nn.Linear, width: int) -> None:
        super().__init__()
        self.base_layer = layer
        self.down = nn.Linear(layer.out_features, width)
        self.up = nn.Linear(width, layer.out_features)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        self.disabled = False
        self.down.to(layer.weight.device)
        self.up.to(layer.weight.device)

    def forward(self, x: Tensor) -> Tensor:
        h = self.base_layer(x)
        if self.disabled:
            return h
        down, up = self.down, self.up
        inner = functional.gelu(functional.linear(h, down.weight.to(h.dtype), down.bias.to(h.dtype)))
        return h + functional.linear(inner, up.weight.to(h.dtype), up.bias.to(h.dtype))


class BottleneckModel(OwnModel):
    """A model with bottlenecks."""

    def __init__(self, model: PreTrainedModel, width: int) -> None:
        super().__init__(model)
        self._bottlenecks: dict[str, Bottleneck] = {}
        for name in ending_with(model, *_LAYERS):
            parent, _, child = name.rpartition(".")
            self._bottlenecks[name] = Bottleneck(model.get_submodule(name), width)  # pyright: ignore[reportArgumentType] - linear
            setattr(model.get_submodule(parent), child, self._bottlenecks[name])

    @contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """Within it the bottlenecks are passed by."""
        for each in self._bottlenecks.values():
            each.disabled = True
        try:
            yield
        finally:
            for each in self._bottlenecks.values():
                each.disabled = False

    def tensors(self) -> dict[str, Tensor]:
        """The parameters of the bottlenecks."""
        return {
            f"{name}.{part}": value
            for name, each in self._bottlenecks.items()
            for part, value in each.named_parameters()
            if not part.startswith("base_layer.")
        }


def check(model: PreTrainedModel, _settings: Settings) -> None:
    """Raises InvalidInput if the model has no such layers."""
    ending_with(model, *_LAYERS)


def attach(model: PreTrainedModel, settings: Settings) -> BottleneckModel:
    """Adds bottlenecks that change nothing yet."""
    return BottleneckModel(model, settings.width)


def load(model: PreTrainedModel, folder: Path) -> BottleneckModel:
    """Attaches saved bottlenecks."""
    saved = load_tensors(folder)
    width = next(value.shape[0] for name, value in saved.items() if name.endswith(".down.weight"))
    adapted = BottleneckModel(model, width)
    with torch.no_grad():
        for name, parameter in adapted.tensors().items():
            parameter.copy_(saved[name])
    return adapted

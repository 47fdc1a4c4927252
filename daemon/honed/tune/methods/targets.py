"""Which linear layers of a model a method works on."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from honed.errors import InvalidInput
from torch import nn
from transformers import PreTrainedModel

_SHOWN = 8


def linear_layers(model: PreTrainedModel) -> dict[str, nn.Linear]:
    """All linear layers but the head, by name."""
    head = model.get_output_embeddings()
    layers = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    return {name: layer for name, layer in layers.items() if layer is not head}


def targets(model: PreTrainedModel, patterns: Sequence[str]) -> dict[str, nn.Linear]:
    """The linear layers whose names match one of the shell patterns; all but the head without patterns.

    Raises:
        InvalidInput: a pattern matches none.
    """
    layers = linear_layers(model)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in layers):
            last = list(layers)[-_SHOWN:]
            raise InvalidInput(
                f"target_modules: {pattern[:200]!r} matches none of the model's {len(layers)} linear layers. "
                f"Patterns are matched with whole names, such as {', '.join(last)}.",
                reason="TARGET_NOT_FOUND",
                pattern=pattern[:200],
            )
    if not patterns:
        return layers
    return {name: layer for name, layer in layers.items() if any(fnmatchcase(name, each) for each in patterns)}


def ending_with(model: PreTrainedModel, *endings: str) -> list[str]:
    """Names of the linear layers whose last part is one of `endings`.

    Raises:
        InvalidInput: there is none, as in a model of another family.
    """
    layers = linear_layers(model)
    names = [name for name in layers if name.rpartition(".")[2] in endings]
    if not names:
        raise InvalidInput(
            f"The method works on layers called {', '.join(endings)}, and the model has none; its last linear layers "
            f"are {', '.join(list(layers)[-_SHOWN:]) or 'none'}. Choose another method.",
            reason="TARGET_NOT_FOUND",
        )
    return names


def require_rank(layers: dict[str, nn.Linear], rank: int) -> None:
    """Raises InvalidInput if `rank` is above the smaller width of a layer: more directions than the layer has."""
    for name, layer in layers.items():
        width = min(layer.in_features, layer.out_features)
        if rank > width:
            raise InvalidInput(
                f"rank: {rank} is above the smaller width of {name}, {width} ({layer.in_features} inputs, "
                f"{layer.out_features} outputs); give at most {width}, or target_modules without this layer.",
                reason="RANK_TOO_LARGE",
                layer=name,
                width=width,
            )

"""Full fine-tuning: all weights of the base train.

They are float32, and so is the computing: at a learning rate of 2e-5 an update is smaller than half a step of bfloat16
at the size of a weight, and would be rounded away. The base's own weights are kept beside them, to switch back to and
to tell what has changed.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from honed.tune.methods.own import OwnModel, load_tensors
from honed.tune.methods.settings import Settings
from torch import Tensor
from transformers import PreTrainedModel


class FullModel(OwnModel):
    """A model of which all weights train.

    Attributes:
        original: the base's own.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__(model)
        self.original = {name: each.detach().clone() for name, each in model.named_parameters()}
        model.float().requires_grad_()  # pyright: ignore[reportAttributeAccessIssue] - transformers decorates `float`

    @contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """Within it the base's weights are in place."""
        tuned = {name: each.data for name, each in self.base_model.named_parameters()}
        self._put(self.original)
        try:
            yield
        finally:
            self._put(tuned)

    def tensors(self) -> dict[str, Tensor]:
        """The weights that are no longer the base's."""
        return {
            name: each
            for name, each in self.base_model.named_parameters()
            if not torch.equal(each, self.original[name].to(each.dtype))
        }

    def merge_and_unload(self, safe_merge: bool = False) -> PreTrainedModel:
        """The model itself.

        Raises:
            ValueError: with `safe_merge`, a weight is not finite.
        """
        for name, each in self.base_model.named_parameters():
            if safe_merge and not each.isfinite().all():
                raise ValueError(f"NaNs detected in the tuned weights of {name}")
        return self.base_model

    def _put(self, weights: dict[str, Tensor]) -> None:
        for name, each in self.base_model.named_parameters():
            each.data = weights[name].to(each.dtype)


def attach(model: PreTrainedModel, _settings: Settings) -> FullModel:
    """Lets all weights train."""
    return FullModel(model)


def load(model: PreTrainedModel, folder: Path) -> FullModel:
    """Puts saved weights into their base."""
    tuned = FullModel(model)
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in load_tensors(folder).items():
            parameters[name].copy_(value)
    return tuned

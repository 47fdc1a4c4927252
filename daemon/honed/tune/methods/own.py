"""What our own methods share: the part of PEFT's model that honed uses, and a format of their own on disk."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from honed.tune.methods.peft_folder import WEIGHTS_FILE, write_config
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel


class OwnModel(nn.Module, ABC):
    """A causal language model with a method of ours in it, used as PEFT's model is."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.base_model = model

    def get_base_model(self) -> PreTrainedModel:
        """The model below, the method in it."""
        return self.base_model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.base_model(*args, **kwargs)

    @abstractmethod
    def disable_adapter(self) -> AbstractContextManager[None]:
        """Within it the model computes what its base does."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """What is saved, by its name in the base."""


def save(model: OwnModel, folder: Path, method: str, base_digest: str) -> None:
    """Writes adapter_model.safetensors and adapter_config.json."""
    tensors = {name: each.detach().cpu().contiguous() for name, each in model.tensors().items()}
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    write_config(folder, {}, method, base_digest)


def load_tensors(folder: Path) -> dict[str, Tensor]:
    """What `save` wrote."""
    return load_file(folder / WEIGHTS_FILE)

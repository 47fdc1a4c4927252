"""A tuned model as it was trained: the base in its training precision, the adapter attached, its contract checked."""

from pathlib import Path

import torch
from honed import manifest
from honed.data import Renderer
from honed.tune import base, heads, methods
from honed.worker.adapter_contract import Contract


def load(model_folder: Path, adapter: Path, renderer: Renderer, dtype: torch.dtype) -> methods.TunedModel:
    """Loads a tuned model that computes in `dtype`, with its classification head if it has one.

    Raises:
        InvalidInput: a file of the base or the adapter was changed.
        WrongState: the contract does not hold.
    """
    manifest.verify(model_folder)
    manifest.verify(adapter)
    contract = Contract.load(adapter)
    model = base.load_to_tune(model_folder, dtype)
    digest = base.quantize_linears(model, contract.base_precision, keep_dequantized=True)
    contract.require(Contract.of(model_folder, contract.base_precision, digest, renderer))
    adapted = methods.load(model, adapter)
    heads.load(adapted, adapter)
    return adapted

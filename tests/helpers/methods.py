"""Every tuning method on a tiny model."""

from pathlib import Path

import torch
from honed.tune import base, methods

METHODS = tuple(methods.METHODS)
SERVED = ("lora", "rslora", "dora", "pissa", "loftq", "ia3", "oft", "full")
UNSERVED = ("prefix", "prompt", "bottleneck")
# Each on a base that it takes; those that treat it in a way of their own on both.
ON_BASES = [
    *((method, "bf16") for method in METHODS if method != "loftq"),
    *((method, "nf4") for method in METHODS if method != "full"),
]
# High enough that a few steps on a tiny random model show.
RATES = dict.fromkeys(METHODS, 1e-2) | {"ia3": 5e-2, "prefix": 5e-2, "prompt": 5e-2, "full": 1e-3}


def settings(method: str, **values) -> methods.Settings:
    small = {"rank": 4, "alpha": 8.0, "virtual_tokens": 5, "block_size": 8, "width": 8}
    return methods.Settings(method, **small | values)


def frozen(folder: Path, precision: str, dtype: torch.dtype = torch.float32):
    """The base as a tune job prepares it."""
    model = base.load_to_tune(folder, dtype)
    base.quantize_linears(model, precision, keep_dequantized=True)
    return model


def attached(folder: Path, method: str, precision: str, dtype: torch.dtype = torch.float32, **values):
    """The base with a fresh method in it."""
    model, chosen = base.load_to_tune(folder, dtype), settings(method, **values)
    original = methods.to_compensate(model, chosen)
    base.quantize_linears(model, precision, keep_dequantized=True)
    return methods.attach(model, chosen, original)


@torch.inference_mode()
def logits(model, ids: torch.Tensor) -> torch.Tensor:
    """What the model says to rows of ids."""
    return model(input_ids=ids).logits

"""4-bit NormalFloat with double quantisation: tensors in, tensors out, and the error they cost.

A weight is cut into blocks of 64; each is scaled by its largest magnitude and rounded to 16 quantiles of a normal
distribution; the scales are themselves quantised to 8 bits in blocks of 256 (Dettmers et al. 2023, QLoRA, arXiv
2305.14314). The arithmetic is bitsandbytes'; it runs on CPU and CUDA alike.
"""

from dataclasses import dataclass
from importlib import metadata
from typing import Any

import torch
from bitsandbytes import functional
from torch import Tensor

_bnb: Any = functional  # untyped


@dataclass(frozen=True)
class Nf4:
    """A quantised weight: two 4-bit codes a byte, and the scales."""

    packed: Tensor
    state: Any  # bitsandbytes' QuantState, which has no public type

    @classmethod
    def quantize(cls, weight: Tensor) -> "Nf4":
        """Quantises a weight of any shape, floating point."""
        packed, state = _bnb.quantize_4bit(weight, quant_type="nf4", compress_statistics=True)
        return cls(packed, state)

    def dequantize(self) -> Tensor:
        """The weight that every product with the quantised one uses, in the shape and dtype of the original."""
        return _bnb.dequantize_4bit(self.packed, self.state).reshape(self.state.shape)  # a vector comes back as a row

    def to_bytes(self) -> bytes:
        """Codes and scales: what a digest of the quantised weight is taken over."""
        tensors = (self.packed, self.state.absmax, self.state.state2.absmax, self.state.offset)
        return b"".join(tensor.cpu().reshape(-1).view(torch.uint8).numpy().tobytes() for tensor in tensors)


def version() -> str:
    """What made the codes: part of every digest of quantised weights."""
    return f"bitsandbytes {metadata.version('bitsandbytes')} nf4 block 64, double quantisation"


def relative_error(original: Tensor, approximation: Tensor) -> float:
    """Frobenius norm of the difference over that of the original."""
    exact = original.float()
    return ((approximation.float() - exact).square().sum() / exact.square().sum()).sqrt().item()

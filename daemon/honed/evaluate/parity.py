"""How closely one model follows another, token by token, from their log-probabilities. numpy only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NEAR_TIE_NATS = 0.05
LogProbabilities = NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """Teacher-forced agreement over reply tokens; see honed.v1.Parity for the fields."""

    rows: int
    tokens: int
    top1_agreement: float
    near_ties: int
    near_tie_nats: float
    mean_kl: float
    max_kl: float
    reference_accuracy: float
    accuracy: float


def measure(rows: Iterable[tuple[Sequence[int], LogProbabilities, LogProbabilities]]) -> Agreement:
    """Agreement over rows of (reply, reference, candidate): T token ids, and log-probabilities [T, V] at each of them.

    KL(reference || candidate) = Σ_v p_ref(v) · (log p_ref(v) - log p_cand(v)), in nats. A row is answered correctly if
    every token of the reply is the most likely one behind those before it: then, and only then, the greedy reply is
    the expected one.
    """
    count = agreed = near_ties = reference_correct = correct = 0
    divergences: list[NDArray[np.float64]] = []
    for reply, reference, candidate in rows:
        count += 1
        exact, other = reference.astype(np.float64), candidate.astype(np.float64)
        divergences.append((np.exp(exact) * (exact - other)).sum(axis=-1))
        top, other_top = exact.argmax(axis=-1), other.argmax(axis=-1)
        same = top == other_top
        reference_correct += top.tolist() == list(reply)
        correct += other_top.tolist() == list(reply)
        best = np.partition(exact, -2, axis=-1)[:, -2:]
        agreed += int(same.sum())
        near_ties += int((~same & (best[:, 1] - best[:, 0] < NEAR_TIE_NATS)).sum())
    kl = np.maximum(np.concatenate(divergences), 0.0)  # rounding may take a KL of zero just below it
    return Agreement(
        rows=count,
        tokens=len(kl),
        top1_agreement=agreed / len(kl),
        near_ties=near_ties,
        near_tie_nats=NEAR_TIE_NATS,
        mean_kl=float(kl.mean()),
        max_kl=float(kl.max()),
        reference_accuracy=reference_correct / count,
        accuracy=correct / count,
    )


def log_softmax(logits: NDArray[np.float32]) -> LogProbabilities:
    """Log-probabilities of logits [..., V], computed in float64."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    return (wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))).astype(np.float32)

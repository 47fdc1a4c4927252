"""Says when a run has diverged, so that it ends while its last good checkpoint is still there.

A loss that is no number ends it at once. One that explodes must be out of bounds so often in a row that no unlucky draw
of rows explains it (docs/decisions.md has real divergences, and the false alarms in a simulation).
"""

import math
from statistics import fmean
from typing import Final

from honed.errors import InvalidInput

PATIENCE: Final = 5  # steps in a row
_FIRST: Final = 8  # steps that say what the loss was before anything was learned
_FACTOR: Final = 2.0


class Diverged(InvalidInput):
    """The run cannot come to anything. Its metadata names the last step before the trouble: `last_good_step`."""


class Guard:
    """Watches the losses of one run, from its first step on.

    The bound is max(ln V, 2 · the mean of the first 8 losses that were in bounds). ln V is the loss of a model that
    knows nothing and gives each of V tokens, or labels of a head, the same probability; the other term lets a base pass
    that is worse than that on the user's data, and a run that explodes within its first steps does not raise it.
    Exploded means above the bound for PATIENCE steps in a row.
    """

    def __init__(self, alternatives: int, learning_rate: float, warmup_fraction: float) -> None:
        self._uniform = math.log(alternatives)
        self._learning_rate = learning_rate
        self._warmup_fraction = warmup_fraction
        self._first: list[float] = []
        self._in_a_row = 0

    @property
    def in_doubt(self) -> bool:
        """Whether the last loss was out of bounds: what is learned now is not worth a checkpoint."""
        return self._in_a_row > 0

    def check(self, step: int, loss: float, gradient_norm: float) -> None:
        """Takes note of a step, the first being 1; each step comes once, in order.

        Raises:
            Diverged: LOSS_NOT_FINITE, or LOSS_EXPLODED.
        """
        last_good_step = step - 1 - self._in_a_row
        if not math.isfinite(loss) or not math.isfinite(gradient_norm):
            what = "gradient" if math.isfinite(loss) else "loss"
            raise self._diverged(
                "LOSS_NOT_FINITE", step, loss, last_good_step, f"The {what} was no number at step {step}"
            )
        first = fmean(self._first or [loss])
        bound = max(self._uniform, _FACTOR * first)
        self._in_a_row = self._in_a_row + 1 if loss > bound else 0
        if not self._in_a_row and len(self._first) < _FIRST:
            self._first.append(loss)
        if self._in_a_row == PATIENCE:
            what = (
                f"The loss exploded: {loss:.4g} at step {step}, above {bound:.4g} for {PATIENCE} steps in a row (it "
                f"began at {first:.4g}; guessing gives {self._uniform:.4g})"
            )
            raise self._diverged("LOSS_EXPLODED", step, loss, last_good_step, what)

    def _diverged(self, reason: str, step: int, loss: float, last_good_step: int, what: str) -> Diverged:
        return Diverged(
            f"{what}; lower the learning rate (now {self._learning_rate:g}), or raise warmup_fraction (now "
            f"{self._warmup_fraction:g}).",
            reason=reason,
            step=step,
            loss=loss,
            learning_rate=self._learning_rate,
            last_good_step=last_good_step,
        )

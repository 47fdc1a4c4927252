"""How fast a tuning is now, which need not be how fast it has been: compiling is over, or a neighbour has come."""

from collections import deque
from typing import Final

from honed.tune.loop import Step

RECENT_STEPS: Final = 20


class Pace:
    """The pace of the last RECENT_STEPS steps; validation and checkpoints do not count, as in `Step.seconds`."""

    def __init__(self) -> None:
        self._sums: deque[tuple[int, float]] = deque([(0, 0.0)], maxlen=RECENT_STEPS + 1)

    def after(self, step: Step) -> tuple[float, float]:
        """Tokens a second of the recent steps, and the seconds that all steps still to come will take at their pace."""
        self._sums.append((step.tokens, step.seconds))
        tokens, seconds = (last - first for first, last in zip(self._sums[0], self._sums[-1], strict=True))
        return tokens / seconds, seconds / (len(self._sums) - 1) * (step.total_steps - step.step)

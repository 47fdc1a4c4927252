"""When checkpoints of a run are written, and how a run goes on from the last one."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from honed.tune import checkpoint
from torch import Tensor, nn
from torch.optim import Optimizer

_MOST_OVERHEAD = 0.05


class Stopped(Exception):
    """The run was asked to stop; its last checkpoint is that of its last step."""


class Checkpoints:
    """The checkpoints of one run.

    Attributes:
        stopping: set it to end the run behind the step that it is at, by Stopped.
        notes: what is to be said of how the run went on.
        resumed_steps: steps that an earlier attempt had done.
        in_force: what was decided when the run began, as JSON, and holds for all attempts; empty before.
    """

    def __init__(self, folder: Path, identity: str, every_s: float) -> None:
        """`identity` is what a run must be to go on from these: its settings, data and base. With `every_s` 0 every
        step is followed by a checkpoint; else writing takes a twentieth of the time at most.

        Raises:
            InvalidInput: the newest checkpoint is that of another run.
        """
        self.stopping = False
        self.notes: list[str] = []
        self.resumed_steps = 0
        self._folder = folder
        self._identity = identity
        self._every_s = every_s
        self._written_at = time.monotonic()
        self._cost_s = 0.0
        self._found, wrong = checkpoint.newest(folder, identity)
        self.notes += [f"A checkpoint was passed over: {reason}" for reason in wrong]
        self.in_force: dict[str, Any] = self._found.state["in_force"] if self._found else {}

    def resume(self, model: nn.Module, optimizer: Optimizer) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
        """Puts the newest good checkpoint into model, optimiser and random generators; returns its steps, if any, and
        the values of the best epoch, if one is kept."""
        found = self._found
        if found is None:
            return [], {}
        best = checkpoint.restore(found, model, optimizer)
        self.notes.append(f"The run goes on behind step {found.step}.")
        now = checkpoint.environment()
        if changed := [name for name, value in now.items() if found.environment.get(name) != value]:
            was = ", ".join(f"{name} {found.environment.get(name)} (now {now[name]})" for name in changed)
            self.notes.append(f"The checkpoint was written with {was}: the losses to come may differ in the last bits.")
        steps: list[dict[str, Any]] = found.state["steps"]
        self.resumed_steps = len(steps)
        return steps, best

    def after_step(
        self, steps: list[dict[str, Any]], model: nn.Module, optimizer: Optimizer, best: Mapping[str, Tensor]
    ) -> None:
        """Writes a checkpoint if it is time for one.

        Args:
            steps: all steps so far, as JSON.
            best: the values of the parameters after the best epoch; empty if no epoch is to be kept.

        Raises:
            Stopped: the run was asked to stop, and its checkpoint is written.
            OSError: the disk is full; the checkpoint before is untouched.
        """
        began = time.monotonic()
        wait_s = max(self._every_s, self._cost_s / _MOST_OVERHEAD) if self._every_s else 0.0
        if not self.stopping and began - self._written_at < wait_s:
            return
        state = {"steps": steps, "in_force": self.in_force}
        checkpoint.save(self._folder, len(steps), self._identity, state, model, optimizer, best)
        self._written_at = time.monotonic()
        self._cost_s = self._written_at - began
        if self.stopping:
            raise Stopped

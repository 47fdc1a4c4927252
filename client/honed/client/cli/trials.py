"""The trials of a sweep as text."""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from honed.client.cli.values import duration

if TYPE_CHECKING:
    from honed.v1.jobs_pb2 import Trial


def trial_text(trial: Trial) -> str:
    """A trial as one line."""
    settings = f"learning rate {trial.learning_rate:.3g}, rank {trial.rank}, epochs {trial.epochs:.3g}"
    loss = f"validation loss {_loss(trial)}" if _loss(trial) else ""
    return "  ".join(filter(None, [f"trial {trial.number} {_state(trial)}: {settings}", loss, trial.message]))


def _state(trial: Trial) -> str:
    from honed.v1.jobs_pb2 import Trial as TrialMessage

    return TrialMessage.State.Name(trial.state).removeprefix("STATE_").lower()


def _loss(trial: Trial) -> str:
    return f"{trial.validation_loss:.4f}" if trial.HasField("validation_loss") else ""


TRIAL_COLUMNS: dict[str, Callable[[Trial], str]] = {
    "TRIAL": lambda trial: str(trial.number),
    "LR": lambda trial: f"{trial.learning_rate:.3g}",
    "RANK": lambda trial: str(trial.rank),
    "EPOCHS": lambda trial: f"{trial.epochs:.3g}",
    "VALIDATION LOSS": _loss,
    "STEPS": lambda trial: str(trial.steps),
    "TIME": lambda trial: duration(trial.duration.ToTimedelta().total_seconds()),
    "STATE": _state,
    "WHY": lambda trial: trial.message,
}

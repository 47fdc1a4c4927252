"""The ended trials of a sweep, and what the best one has learnt, kept beside its checkpoints for the attempts to come.

trials.json   best-0003/ {model.safetensors, steps.json, manifest.json}
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from honed import durable, manifest
from honed.tune.loop import Step
from honed.tune.methods import TunedModel
from safetensors.torch import load_file, save_file
from torch import nn

_FILE = "trials.json"


@dataclass(frozen=True)
class Trial:
    """A trial that has ended; see honed.v1.Trial.

    Attributes:
        epoch_losses: validation losses that decided whether it went on.
    """

    number: int
    learning_rate: float
    rank: int
    epochs: float
    state: Literal["complete", "pruned", "failed"]
    validation_loss: float | None
    steps: int
    seconds: float
    message: str
    epoch_losses: list[float]

    def facts(self) -> dict[str, Any]:
        """The fields of honed.v1.Trial, the time in seconds."""
        return {name: value for name, value in asdict(self).items() if name != "epoch_losses" and value is not None}


class Trials:
    """The ended trials of one sweep.

    Attributes:
        ended: in their order.
    """

    def __init__(self, folder: Path) -> None:
        """Takes over what an earlier attempt kept in the folder."""
        self._folder = folder
        file = folder / _FILE
        kept: list[dict[str, Any]] = json.loads(file.read_text("utf-8")) if file.exists() else []
        self.ended = [Trial(**trial) for trial in kept]

    @property
    def best(self) -> Trial | None:
        """The complete trial of the least validation loss, the first of equals; None before there is one."""
        complete = [trial for trial in self.ended if trial.state == "complete"]
        return min(complete, key=lambda trial: trial.validation_loss or 0, default=None)

    @property
    def seconds(self) -> float:
        """Wall clock of their training."""
        return sum(trial.seconds for trial in self.ended)

    def add(self, trial: Trial, adapted: TunedModel, steps: Sequence[Step]) -> None:
        """Keeps a trial; if it is the best so far, with its trained parameters and its steps."""
        self.ended.append(trial)
        if self.best is trial:
            place = self._place(trial)
            shutil.rmtree(place, ignore_errors=True)  # of an attempt that ended before the trial was written down
            place.mkdir()
            values = {name: each.detach().cpu().contiguous() for name, each in _trained(adapted).items()}
            save_file(values, place / "model.safetensors")
            (place / "steps.json").write_text(json.dumps([asdict(step) for step in steps]), "utf-8")
            manifest.write(place)
            for path in (*place.iterdir(), place):
                durable.sync(path)
        durable.write(self._folder / _FILE, json.dumps([asdict(each) for each in self.ended]))
        for place in self._folder.glob("best-*"):
            if self.best is None or place != self._place(self.best):
                shutil.rmtree(place)

    def restore(self, trial: Trial, adapted: TunedModel) -> list[Step]:
        """Puts what the best trial has learnt into adapters of its settings, and returns its steps.

        Raises:
            InvalidInput: a file was changed.
        """
        place = self._place(trial)
        manifest.verify(place)
        values = load_file(place / "model.safetensors")
        with torch.no_grad():
            for name, parameter in _trained(adapted).items():
                parameter.copy_(values[name])
        adapted.eval()
        return [Step(**step) for step in json.loads((place / "steps.json").read_text("utf-8"))]

    def _place(self, trial: Trial) -> Path:
        return self._folder / f"best-{trial.number:04d}"


def _trained(adapted: TunedModel) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in adapted.named_parameters() if parameter.requires_grad}

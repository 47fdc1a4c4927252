"""Fine-tunes with several settings, a trial each, on the same rows and the same base, and finishes the best trial.

A trial is trained as a tune job of its settings would be, to the same losses bit for bit. The best trial alone is asked
for the test rows.
"""

import math
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

from honed.errors import InvalidInput
from honed.tune.loop import Step
from honed.tune.methods import lora
from honed.tune.search import Candidate, Point, Search, Space
from honed.worker.contract import SweepWork, TuneWork
from honed.worker.ready import Ready
from honed.worker.report import Report
from honed.worker.trials import Trial, Trials
from honed.worker.tune import attach, checkpoints_of, finish, kept_step, prepare, train


def run(work: SweepWork, output: Path, report: Report) -> dict[str, Any]:
    """Writes output/adapter. An attempt after another repeats no trial that has ended, and goes on with the next one.

    Raises:
        InvalidInput: every trial failed; the other errors are those of a tune job.
        SystemExit: SIGTERM asked to stop, and all is kept.
    """
    tune = TuneWork(**work.tune)
    ready = prepare(tune, output, report, "a sweep")
    trials = Trials(ready.folder)
    search = Search(Space(work.learning_rates, work.ranks, work.epochs), work.strategy, work.trials, tune.seed)
    for number in range(1, len(search) + 1):
        candidate = search.next()
        if number <= len(trials.ended):
            trial = trials.ended[number - 1]
            for loss in trial.epoch_losses:
                candidate.tell(loss)
        else:
            left_s = None if work.time_limit_s is None or not trials.best else work.time_limit_s - trials.seconds
            if left_s is not None and left_s <= 0:
                report.log(f"The time limit is reached: {number - 1} of {len(search)} trials were made.")
                break
            report.phase(f"trial {number} of {len(search)}: {_in_words(candidate.point)}")
            trial = _make(
                _settings(work, tune, candidate.point), ready, trials, _Watch(number, candidate, left_s), report
            )
        report.trial(trial.facts())
    best = trials.best
    if best is None:
        raise InvalidInput(
            f"All {len(trials.ended)} trials failed; the first: {trials.ended[0].message}", reason="ALL_TRIALS_FAILED"
        )
    report.log(f"Trial {best.number} has the least validation loss, {best.validation_loss:.4f}.")
    point = Point(best.learning_rate, best.rank, best.epochs)
    settings = _settings(work, tune, point)
    adapted = attach(settings, ready, report)
    steps = trials.restore(best, adapted)
    if ready.evaluation:
        ready.evaluation.evidence.choices.append(
            {
                "what": "learning rate, rank and epochs",
                "value": _in_words(point),
                "split": f"{len(ready.validation)} training rows held out",
                "why": f"the least validation loss, {best.validation_loss:.4f}, of {len(trials.ended)} trials",
            }
        )
    result = finish(settings, ready, adapted, steps, output, report)
    result["adapter"]["facts"] |= {
        "searched": asdict(point) | {"alpha": settings.alpha},
        "trials": [trial.facts() for trial in trials.ended],
    }
    return result


class _Watch:
    """Follows a trial step by step, and says when to give it up.

    Attributes:
        epoch_losses: what successive halving was told.
        why: why it was given up; empty if it was not.
        steps: all so far.
    """

    def __init__(self, number: int, candidate: Candidate, left_s: float | None) -> None:
        """`left_s`: seconds that it may train, None for no limit."""
        self.number = number
        self.point = candidate.point
        self.epoch_losses: list[float] = []
        self.why = ""
        self.steps: list[Step] = []
        self._candidate = candidate
        self._left_s = left_s

    def __call__(self, step: Step) -> bool:
        """Whether to end the trial behind this step.

        Raises:
            InvalidInput: the validation loss is no longer a number.
        """
        self.steps.append(step)
        loss = step.validation_loss
        if loss is not None and not math.isfinite(loss):
            raise InvalidInput(
                f"The validation loss was no longer a number at step {step.step} of {step.total_steps}; lower the "
                f"learning rate (now {self.point.learning_rate:g}).",
                reason="LOSS_NOT_FINITE",
                step=step.step,
            )
        if step.step == step.total_steps:
            return False
        if loss is not None:
            self.epoch_losses.append(loss)
            if self._candidate.tell(loss):
                self.why = f"Its loss after epoch {len(self.epoch_losses)} was not in the better half."
        if self._left_s is not None and step.seconds >= self._left_s:
            self.why = "The time limit was reached."
        return bool(self.why)

    def ended(self, state: Literal["complete", "pruned", "failed"], loss: float | None, message: str) -> Trial:
        """The trial as it is kept."""
        last = self.steps[-1] if self.steps else None
        return Trial(
            number=self.number,
            learning_rate=self.point.learning_rate,
            rank=self.point.rank,
            epochs=self.point.epochs,
            state=state,
            validation_loss=loss,
            steps=last.step if last else 0,
            seconds=last.seconds if last else 0.0,
            message=message,
            epoch_losses=self.epoch_losses,
        )


def _make(work: TuneWork, ready: Ready, trials: Trials, watch: _Watch, report: Report) -> Trial:
    """Trains a trial, keeps what came of it, and leaves the base as it was."""
    folder = ready.folder / f"trial-{watch.number:04d}"
    checkpoints = checkpoints_of(work, ready, folder)
    adapted = attach(work, ready, report)
    try:
        train(work, ready, adapted, checkpoints, report, watch)
    except InvalidInput as error:
        trial = watch.ended("failed", _last(watch.epoch_losses), error.message)
    else:
        if watch.why:
            trial = watch.ended("pruned", _last(watch.epoch_losses), watch.why)
        else:
            trial = watch.ended("complete", kept_step(work, watch.steps).validation_loss, "")
    trials.add(trial, adapted, watch.steps)
    lora.detach(adapted)
    shutil.rmtree(folder, ignore_errors=True)
    if checkpoints.stopping:  # asked for when no step was left to end at
        sys.exit(0)
    return trial


def _settings(work: SweepWork, tune: TuneWork, point: Point) -> TuneWork:
    """The tune job that a trial is."""
    return replace(tune, **asdict(point), alpha=2.0 * point.rank if work.alpha is None else work.alpha)


def _in_words(point: Point) -> str:
    return f"learning rate {point.learning_rate:.3g}, rank {point.rank}, epochs {point.epochs:.3g}"


def _last(losses: Sequence[float]) -> float | None:
    return losses[-1] if losses else None

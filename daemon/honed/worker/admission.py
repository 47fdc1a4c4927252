"""Under which settings a tuning runs: what fits, seen to fit, and whether its layers are compiled."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from honed.data import TokenizedExample
from honed.tune import compiled, memory, methods
from honed.tune.batches import steps_per_epoch
from honed.tune.checkpoints import Checkpoints
from honed.tune.loop import LoopSettings, backward, shares, total_steps
from honed.worker.contract import TuneWork
from honed.worker.ready import Ready
from honed.worker.report import Report
from honed.worker.settings import labels, loop_settings, method_settings


def admit(
    work: TuneWork, ready: Ready, adapted: methods.TunedModel, checkpoints: Checkpoints, report: Report
) -> LoopSettings:
    """The settings of a run whose largest step has been seen to fit; those of an earlier attempt stay.

    Raises:
        NoRoom: no setting fits.
    """
    settings = loop_settings(work)
    if not checkpoints.in_force:
        sketch = memory.sketch(Path(work.model), ready.model.dtype, method_settings(work), labels(work, ready.data))
        rows = (*ready.train, *ready.validation)
        fit = memory.fit(sketch, rows, settings, ready.room, work.gradient_checkpointing)
        memory.bound(ready.room)
        fit = memory.tried(adapted, ready.train, ready.validation, settings, fit)
        fast = compiles(work, adapted, ready.train, fit.gradient_checkpointing)
        how = "layers computed again" if fit.gradient_checkpointing else f"layers {'' if fast else 'not '}compiled"
        needed, there = fit.needed_bytes / 2**30, ready.room.device_bytes / 2**30
        report.log(f"{fit.micro_batch_tokens:,} tokens at once, {how}: about {needed:.1f} of {there:.1f} GiB.")
        checkpoints.in_force = {
            "micro_batch_tokens": fit.micro_batch_tokens,
            "gradient_checkpointing": fit.gradient_checkpointing,
            "compiled": fast,
        }
    settings = replace(settings, **checkpoints.in_force)
    return _compile(adapted, ready, settings, report) if settings.compiled else settings


def compiles(work: TuneWork, model: methods.TunedModel, train: Sequence[TokenizedExample], recomputed: bool) -> bool:
    """Whether a tuning compiles its layers: where it is asked to, or is long enough, and it can."""
    wanted = compiled.pays(products(model, train, loop_settings(work))) if work.compile is None else work.compile
    return wanted and compiled.can(model, work.method, recomputed=recomputed)


def products(model: methods.TunedModel, train: Sequence[TokenizedExample], settings: LoopSettings) -> float:
    """Floating-point operations of a run's matrix products.

    Forward, and the gradient by the states: two products a parameter each (Kaplan et al. 2020, arXiv 2001.08361).
    """
    per_step = sum(map(len, train)) / steps_per_epoch(len(train), settings.batch_size)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return 4.0 * parameters * per_step * total_steps(len(train), settings)


def _compile(adapted: methods.TunedModel, ready: Ready, settings: LoopSettings, report: Report) -> LoopSettings:
    """Compiles on the largest micro-batch, by which the compiler decides, in every attempt; without a C++ compiler the
    run goes on uncompiled."""
    report.log("Compiling the layers.")
    compiled.prepare(ready.folder / "compiled")
    batch = memory.longest_batch(ready.train, settings, share=shares(adapted, settings))
    began = time.monotonic()
    with compiled.compiled_layers(adapted.train(), wanted=True):
        failure = compiled.failure(lambda: backward(adapted, [batch], settings))
    adapted.zero_grad(set_to_none=True)
    if failure:
        report.log(f"The layers are not compiled here, the run goes on without, with other last bits: {failure}")
        return replace(settings, compiled=False)
    report.log(f"The layers are compiled, in {time.monotonic() - began:.0f} s.")
    return settings

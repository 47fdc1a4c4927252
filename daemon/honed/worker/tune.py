"""Fine-tunes: evaluates the base, quantises it, trains adapters, evaluates again, saves.

The four parts, `prepare`, `attach`, `train` and `finish`, are those of a sweep too.
"""

import hashlib
import json
import random
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from honed import manifest
from honed.data import Example, Prepared, Renderer, ServingTemplate, load_renderer
from honed.data.augment import augment
from honed.data.replay import replay
from honed.errors import InvalidInput
from honed.evaluate import Who
from honed.tune import base, checkpoint, heads, memory, methods
from honed.tune.checkpoints import Checkpoints, Stopped
from honed.tune.guard import Diverged
from honed.tune.loop import Step
from honed.tune.loop import run as run_loop
from honed.tune.methods import lora
from honed.tune.predict import TorchPredictor
from honed.tune.usage import memory_bytes
from honed.worker.adapter_contract import Contract, weights_digest
from honed.worker.admission import admit
from honed.worker.contract import CHECKPOINTS_FOLDER, TuneWork
from honed.worker.evaluation import Evaluation, require_fit
from honed.worker.kept import Kept
from honed.worker.pace import Pace
from honed.worker.paraphrase import paraphrase
from honed.worker.ready import Ready
from honed.worker.report import Report
from honed.worker.settings import labels, learned, method_settings


def run(work: TuneWork, output: Path, report: Report) -> dict[str, Any]:
    """Writes output/adapter. An attempt after another goes on from what that one kept in the checkpoints' folder.

    Raises:
        SystemExit: SIGTERM asked to stop, and a checkpoint is written.
        NoRoom: the tuning does not fit the memory.
        Diverged: nothing can come of it.
    """
    ready = prepare(work, output, report, "patience" if work.patience else "")
    adapted = attach(work, ready, report)
    ready.original.clear()
    report.phase("tuning")
    try:
        steps = train(work, ready, adapted, checkpoints_of(work, ready, ready.folder), report)
    except Diverged as error:
        name_last_good(error, ready.folder, report)
        raise
    return finish(work, ready, adapted, steps, output, report)


def prepare(work: TuneWork, output: Path, report: Report, needs_validation: str = "") -> Ready:
    """Reads the data, asks the base, quantises it; what an earlier attempt had asked is not asked again.

    Args:
        needs_validation: what cannot do without validation rows; empty if nothing.

    Raises:
        InvalidInput: a file was changed, rows do not fit the context, or there are no validation rows.
    """
    report.phase("reading data")
    room = memory.room(work.memory_bytes)
    model_folder = Path(work.model)
    manifest.verify(model_folder)
    for folder in (work.dataset, *([work.adapter] if work.adapter else ()), *(each["folder"] for each in work.replay)):
        manifest.verify(Path(folder))
    data = Prepared.load(Path(work.dataset))
    renderer = load_renderer(model_folder)
    train_examples, validation_examples = hold_out(data.train, work.validation_fraction, work.seed)

    classifies = bool(labels(work, data))

    report.phase("loading the base")
    dtype = base.compute_dtype()
    report.log(f"Computing in {base.name(dtype)} with {torch.get_num_threads()} CPU thread(s).")
    model = base.load_to_tune(model_folder, dtype)
    settings = method_settings(work)
    methods.check(model, settings)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    virtual = work.virtual_tokens or 0
    context_length: int = model.config.max_position_embeddings
    train, validation = (
        learned(work, data, examples, renderer.examples(examples)) for examples in (train_examples, validation_examples)
    )
    what = f"training row(s), with {virtual} virtual tokens before them," if virtual else "training row(s)"
    require_fit(what, [virtual + len(row) for row in (*train, *validation)], context_length)
    if needs_validation and not validation:
        raise InvalidInput(
            f"{needs_validation} needs validation rows, and {work.validation_fraction:g} of {len(train)} training rows "
            "is none; give a larger validation_fraction.",
            reason="TRAINING_ROWS_TOO_FEW",
            rows=len(train),
        )
    evaluation = _evaluation(work, data, report) if work.evaluate else None
    encoder = base.is_encoder(model.config)
    if evaluation:
        if encoder:
            report.log("An encoder cannot be asked before it is tuned, so there is nothing to compare with.")
        else:
            evaluation.check("the base", renderer, context_length, tuned=False)
        evaluation.check("the adapter", renderer, context_length - virtual, tuned=True, head=classifies)
    kept_folder = output.parent / CHECKPOINTS_FOLDER
    kept = Kept.load(kept_folder)
    if kept is None:
        known = {example.messages for example in (*validation_examples, *data.test)}
        added = [
            (kind, example)
            for kind, example in _augmented(work, data, train_examples, TorchPredictor(model), renderer, report)
            if example.messages not in known and _fits(example, renderer, context_length - virtual)
        ]
        if evaluation and not encoder:
            shots = [] if work.few_shot is None else [work.few_shot]
            evaluation.untuned(TorchPredictor(model), renderer, work.model_name, shots, "per_label")
        kept = Kept(added, evaluation.kept() if evaluation else {})
        kept.save(kept_folder)
    elif evaluation:
        evaluation.recall(kept.evaluation)
    kinds = dict(Counter(kind for kind, _ in kept.added))
    if work.augmentation:
        report.log(f"Changed copies added to {len(train_examples)} training rows: {kinds or 'none'}.")
    copies = [example for _, example in kept.added]
    train += learned(work, data, copies, renderer.examples(copies))
    replayed = _replayed(work, len(train), (*validation_examples, *data.test), report)
    for name, examples in replayed.items():
        rows = learned(work, data, examples, renderer.examples(examples))
        require_fit(f"row(s) replayed of {name}", list(map(len, rows)), context_length - virtual)
        train += rows
    longest = max(map(len, (*train, *validation)))
    report.log(f"{len(train)} training rows, {len(validation)} validation rows, longest {longest} tokens.")

    report.phase("quantising")
    original = methods.to_compensate(model, settings)
    digest = base.quantize_linears(model, work.base_precision, keep_dequantized=base.has_room_for_dequantized())
    contract = Contract.of(model_folder, work.base_precision, digest, renderer)
    return Ready(
        kept_folder,
        data,
        renderer,
        model,
        original,
        parameters,
        contract,
        train,
        validation,
        kinds,
        replayed,
        evaluation,
        room,
    )


def attach(work: TuneWork, ready: Ready, report: Report) -> methods.TunedModel:
    """Adds adapters to the base: fresh ones, or with the values of those to go on from; and a head to learn labels.

    Raises:
        WrongState: those were trained with something else.
    """
    adapted = methods.attach(ready.model, method_settings(work), ready.original)
    if known := labels(work, ready.data):
        heads.attach(adapted, known)
    if work.adapter:
        Contract.load(Path(work.adapter)).require(ready.contract)
        lora.fill(adapted, lora.values(Path(work.adapter)))
    trainable, all_parameters = _trainable(adapted), ready.parameters
    share = trainable / all_parameters
    report.log(
        f"{trainable:,} parameters train by {work.method}: {share:.2%} as many as the base's {all_parameters:,}."
    )
    return adapted


def checkpoints_of(work: TuneWork, ready: Ready, folder: Path) -> Checkpoints:
    """The checkpoints in a folder of a training with these settings."""
    return Checkpoints(folder, _identity(work, ready), work.checkpoint_every_s)


def finish(
    work: TuneWork, ready: Ready, adapted: methods.TunedModel, steps: Sequence[Step], output: Path, report: Report
) -> dict[str, Any]:
    """Evaluates trained adapters, writes output/adapter and the report, and returns what is published of both."""
    evaluation, renderer = ready.evaluation, ready.renderer
    summary = _summary(steps, len(ready.train), work.batch_size, _trainable(adapted))
    summary["model_parameters"] = ready.parameters
    if work.patience:
        best = kept_step(work, steps)
        report.log(f"The adapter is that of step {best.step}: no validation loss was below {best.validation_loss:.4f}.")
        summary["validation_loss"] = best.validation_loss
    replayed_rows = {name: len(examples) for name, examples in ready.replayed.items()}
    made_report: dict[str, Any] = {}
    if evaluation:
        classifies = heads.of(adapted) is not None
        predictor = heads.HeadPredictor(adapted) if classifies else TorchPredictor(adapted)
        who = Who("tuned", work.adapter_name, f"torch {base.name(predictor.dtype)}", tuned=True)
        evaluation.asked(predictor, renderer, who)
        if not classifies:
            evaluation.forgetting(adapted, renderer, "tuned")
        evaluation.evidence.training = {
            "steps": [_shown(step) for step in steps],
            "summary": summary,
            "augmented_rows": ready.copies,
            "replayed_rows": replayed_rows,
        }
        made_report = {"report": evaluation.write(output / "report")}

    report.phase("saving")
    folder = output / "adapter"
    folder.mkdir()
    methods.save(adapted, work.method, folder, weights_digest(Path(work.model)))
    heads.save(adapted, folder)
    ready.contract.save(folder)
    ServingTemplate(ready.data.template).save(folder)
    made = manifest.write(folder)
    facts = {
        "contract": asdict(ready.contract),
        "training": summary,
        "evaluations": [result.summary() for result in evaluation.evidence.results] if evaluation else [],
        "augmented_rows": ready.copies,
        "replayed_rows": replayed_rows,
        "labels": labels(work, ready.data),
    }
    return {"adapter": {"digest": made.digest, "size_bytes": made.size_bytes, "facts": facts}} | made_report


def train(
    work: TuneWork,
    ready: Ready,
    adapted: methods.TunedModel,
    checkpoints: Checkpoints,
    report: Report,
    is_last: Callable[[Step], bool] = lambda _: False,
) -> list[Step]:
    """Runs the loop to its end; SIGTERM ends it, and the process, behind the step that it is at.

    Args:
        is_last: asked after every step, those of earlier attempts included, whether to end the run there.
    """
    settings = admit(work, ready, adapted, checkpoints, report)

    def stop(*_: object) -> None:
        checkpoints.stopping = True

    before = signal.signal(signal.SIGTERM, stop)
    steps: list[Step] = []
    pace = Pace()
    try:
        for step in run_loop(adapted, ready.train, ready.validation, settings, checkpoints):
            while checkpoints.notes:
                report.log(checkpoints.notes.pop(0))
            steps.append(step)
            tokens_per_s, eta_s = pace.after(step)
            if step.step > checkpoints.resumed_steps:  # an earlier attempt has reported the others
                report.progress(
                    step=step.step,
                    total_steps=step.total_steps,
                    loss=step.loss,
                    validation_loss=step.validation_loss,
                    learning_rate=step.learning_rate,
                    gradient_norm=step.gradient_norm,
                    tokens=step.tokens,
                    tokens_per_s=tokens_per_s,
                    eta_s=eta_s,
                    memory_bytes=memory_bytes(),
                )
            if is_last(step):
                break
    except Stopped:
        sys.exit(0)
    finally:
        if not checkpoints.stopping:  # else the handler stays: a second SIGTERM, on the way out, changes nothing
            signal.signal(signal.SIGTERM, before)
    return steps


def name_last_good(error: Diverged, kept_folder: Path, report: Report) -> None:
    """Says which checkpoint is from before the trouble, if there is one."""
    good = [step for step in checkpoint.steps_of(kept_folder) if step <= int(error.metadata["last_good_step"])]
    if good:
        error.metadata["checkpoint_step"] = str(good[0])
        place = f"jobs/{kept_folder.parent.name}/{kept_folder.name}"
        report.log(f"The checkpoint of step {good[0]} stays in {place} of the state folder until the job is deleted.")


def kept_step(work: TuneWork, steps: Sequence[Step]) -> Step:
    """The step whose adapter is kept: with patience that of the least validation loss, else the last."""
    validated = [step for step in steps if step.validation_loss is not None]
    return min(validated, key=lambda step: step.validation_loss or 0) if work.patience else steps[-1]


def _identity(work: TuneWork, ready: Ready) -> str:
    """SHA-256 of what a run must have in common with one whose checkpoint it goes on from."""
    # Paths, and what changes no loss.
    beside = {"model", "dataset", "earlier", "adapter", "replay", "checkpoint_every_s", "memory_bytes"}
    settings = {name: value for name, value in asdict(work).items() if name not in beside}
    whole = {
        "settings": settings,
        "data": ready.data.digest,
        "replayed": [row.to_json() for rows in ready.replayed.values() for row in rows],
        "start": manifest.measure(Path(work.adapter)).digest if work.adapter else "",
        "contract": asdict(ready.contract),
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def _evaluation(work: TuneWork, data: Prepared, report: Report) -> Evaluation:
    title = f"{work.adapter_name} on {work.dataset_name}"
    return Evaluation(
        title,
        data,
        work.dataset_name,
        report,
        max_rows=work.max_evaluation_rows,
        seed=work.seed,
        earlier=work.earlier,
    )


def _augmented(
    work: TuneWork,
    data: Prepared,
    examples: Sequence[Example],
    predictor: TorchPredictor,
    renderer: Renderer,
    report: Report,
) -> list[tuple[str, Example]]:
    """Changed copies of training rows, each with its kind."""
    if not work.augmentation:
        return []
    report.phase("augmenting")
    by_rule = {kind: count for kind, count in work.augmentation.items() if kind != "paraphrase"}
    added = augment(examples, by_rule, work.seed)
    if copies := work.augmentation.get("paraphrase"):
        added += paraphrase(predictor, renderer, data, examples, copies, report)
    return added


def _replayed(work: TuneWork, new_rows: int, held_out: Sequence[Example], report: Report) -> dict[str, list[Example]]:
    """Training rows of earlier data sets, by data set; none that is a test row of any data set that is measured."""
    if work.replay_fraction is None:
        return {}
    measured = [row for each in work.earlier for row in Prepared.load(Path(each["folder"])).test]
    pools = {each["name"]: Prepared.load(Path(each["folder"])).train for each in work.replay}
    drawn = replay(pools, new_rows, work.replay_fraction, work.seed, (*held_out, *measured))
    count = sum(map(len, drawn.values()))
    told = ", ".join(f"{name} {len(rows)}" for name, rows in drawn.items())
    report.log(f"Replayed beside {new_rows} training rows: {told}; {count / (count + new_rows):.1%} of an epoch.")
    return drawn


def _fits(example: Example, renderer: Renderer, context_length: int) -> bool:
    """Whether a changed copy can be trained: it may have become too long, or spell a control token."""
    try:
        return len(renderer.example(example)) <= context_length
    except InvalidInput:
        return False


def hold_out(examples: Sequence[Example], fraction: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Training and validation examples; the validation rows are drawn by seed, fewer than all."""
    count = min(round(len(examples) * fraction), len(examples) - 1)
    drawn = set(random.Random(f"validation:{seed}").sample(range(len(examples)), count))  # noqa: S311 - no secret
    train = [example for index, example in enumerate(examples) if index not in drawn]
    return train, [examples[index] for index in sorted(drawn)]


def _shown(step: Step) -> dict[str, Any]:
    return {
        "step": step.step,
        "loss": step.loss,
        "learning_rate": step.learning_rate,
        "validation_loss": step.validation_loss,
    }


def _trainable(adapted: methods.TunedModel) -> int:
    return sum(parameter.numel() for parameter in methods.trainable_parameters(adapted))


def _summary(steps: Sequence[Step], rows: int, batch_size: int, trainable: int) -> dict[str, Any]:
    last = steps[-1]
    epoch = steps[-max(1, rows // batch_size) :]
    summary = {
        "steps": last.step,
        "tokens": last.tokens,
        "seconds": last.seconds,
        "tokens_per_s": last.tokens / last.seconds,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "trainable_parameters": trainable,
        "final_loss": sum(step.loss for step in epoch) / len(epoch),
    }
    return summary | ({} if last.validation_loss is None else {"validation_loss": last.validation_loss})

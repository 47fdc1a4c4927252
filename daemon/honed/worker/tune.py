"""Fine-tunes: evaluates the base, quantises it, trains adapters, evaluates again, saves."""

import hashlib
import json
import random
import resource
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from honed import manifest
from honed.data import Example, Prepared, Renderer, ServingTemplate, TokenizedExample, all_tokens, load_renderer
from honed.data.augment import augment
from honed.errors import InvalidInput
from honed.evaluate import Who
from honed.tune import base, heads, lora
from honed.tune.checkpoints import Checkpoints, Stopped
from honed.tune.loop import LoopSettings, Step, mean_loss
from honed.tune.loop import run as run_loop
from honed.tune.predict import TorchPredictor
from honed.worker.adapter_contract import Contract, weights_digest
from honed.worker.contract import CHECKPOINTS_FOLDER, TuneWork
from honed.worker.evaluation import Evaluation, require_fit
from honed.worker.kept import Kept
from honed.worker.paraphrase import paraphrase
from honed.worker.report import Report
from peft import PeftModel


def run(work: TuneWork, output: Path, report: Report) -> dict[str, Any]:
    """Writes output/adapter. An attempt after another goes on from what that one kept in the checkpoints' folder.

    Raises:
        SystemExit: SIGTERM asked to stop, and a checkpoint is written.
    """
    report.phase("reading data")
    model_folder = Path(work.model)
    manifest.verify(model_folder)
    manifest.verify(Path(work.dataset))
    data = Prepared.load(Path(work.dataset))
    renderer = load_renderer(model_folder)
    train_examples, validation_examples = hold_out(data.train, work.validation_fraction, work.seed)

    classifies = work.objective == "classification"
    if classifies:
        report.log("The adapter will read labels off a classification head; such an adapter cannot be exported yet.")

    report.phase("loading the base")
    dtype = base.compute_dtype()
    report.log(f"Computing in {base.name(dtype)}.")
    model = base.load_to_tune(model_folder, dtype)
    context_length: int = model.config.max_position_embeddings
    train, validation = (
        learned(work, data, examples, renderer.examples(examples)) for examples in (train_examples, validation_examples)
    )
    require_fit("training row(s)", list(map(len, (*train, *validation))), context_length)
    if work.patience and not validation:
        raise InvalidInput(
            f"patience needs validation rows, and {work.validation_fraction:g} of {len(train)} training rows is none; "
            "give a larger validation_fraction, or leave patience out.",
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
        evaluation.check("the adapter", renderer, context_length, tuned=True, head=classifies)
    kept_folder = output.parent / CHECKPOINTS_FOLDER
    kept = Kept.load(kept_folder)
    if kept is None:
        known = {example.messages for example in (*validation_examples, *data.test)}
        added = [
            (kind, example)
            for kind, example in _augmented(work, data, train_examples, TorchPredictor(model), renderer, report)
            if example.messages not in known and _fits(example, renderer, context_length)
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
    longest = max(map(len, (*train, *validation)))
    report.log(f"{len(train)} training rows, {len(validation)} validation rows, longest {longest} tokens.")

    report.phase("quantising")
    digest = base.quantize_linears(model, work.base_precision, keep_dequantized=base.has_room_for_dequantized())
    contract = Contract.of(model_folder, work.base_precision, digest, renderer)
    adapted = lora.attach(model, work.rank, work.alpha, work.dropout, work.seed)
    if classifies:
        heads.attach(adapted, data.labels)
    trainable = sum(parameter.numel() for parameter in lora.trainable_parameters(adapted))
    report.log(f"{trainable:,} trained parameters.")

    report.phase("tuning")
    base.prepare_attention(model, longest)
    checkpoints = Checkpoints(kept_folder, _identity(work, data, contract), work.checkpoint_every_s)
    steps = _tune(work, adapted, train, validation, checkpoints, report)
    summary = _summary(steps, len(train), work.batch_size, trainable)
    if work.patience:
        best = min(
            (step for step in steps if step.validation_loss is not None), key=lambda step: step.validation_loss or 0
        )
        report.log(f"The adapter is that of step {best.step}: no validation loss was below {best.validation_loss:.4f}.")
        summary["validation_loss"] = best.validation_loss
    made_report: dict[str, Any] = {}
    if evaluation:
        who = Who("tuned", work.adapter_name, f"torch {base.name(dtype)}", tuned=True)
        evaluation.asked(heads.HeadPredictor(adapted) if classifies else TorchPredictor(adapted), renderer, who)
        if not classifies:
            evaluation.forgetting(adapted, renderer, "tuned")
        evaluation.evidence.training = {
            "steps": [_shown(step) for step in steps],
            "summary": summary,
            "augmented_rows": kinds,
        }
        made_report = {"report": evaluation.write(output / "report")}

    report.phase("saving")
    folder = output / "adapter"
    folder.mkdir()
    lora.save(adapted, folder, weights_digest(model_folder))
    heads.save(adapted, folder)
    contract.save(folder)
    ServingTemplate(data.template).save(folder)
    made = manifest.write(folder)
    facts = {
        "contract": asdict(contract),
        "training": summary,
        "evaluations": [result.summary() for result in evaluation.evidence.results] if evaluation else [],
        "augmented_rows": kinds,
        "labels": list(data.labels) if classifies else [],
    }
    return {"adapter": {"digest": made.digest, "size_bytes": made.size_bytes, "facts": facts}} | made_report


def _tune(
    work: TuneWork,
    adapted: PeftModel,
    train: Sequence[TokenizedExample],
    validation: Sequence[TokenizedExample],
    checkpoints: Checkpoints,
    report: Report,
) -> list[Step]:
    """Runs the loop to its end; SIGTERM ends it, and the process, behind the step that it is at."""
    settings = LoopSettings(**{each.name: getattr(work, each.name) for each in fields(LoopSettings)})

    def stop(*_: object) -> None:
        checkpoints.stopping = True

    loss_of = heads.mean_loss if work.objective == "classification" else mean_loss
    before = signal.signal(signal.SIGTERM, stop)
    steps: list[Step] = []
    try:
        for step in run_loop(adapted, train, validation, settings, checkpoints, loss_of):
            while checkpoints.notes:
                report.log(checkpoints.notes.pop(0))
            steps.append(step)
            if step.step <= checkpoints.resumed_steps:
                continue  # an earlier attempt has reported it
            report.progress(
                step=step.step,
                total_steps=step.total_steps,
                loss=step.loss,
                validation_loss=step.validation_loss,
                learning_rate=step.learning_rate,
                gradient_norm=step.gradient_norm,
                tokens_per_s=step.tokens / step.seconds,
                eta_s=step.seconds / step.step * (step.total_steps - step.step),
            )
    except Stopped:
        sys.exit(0)  # the handler stays: a second SIGTERM, on the way out, changes nothing
    signal.signal(signal.SIGTERM, before)
    return steps


def learned(
    work: TuneWork, data: Prepared, examples: Sequence[Example], rows: Sequence[TokenizedExample]
) -> list[TokenizedExample]:
    """The tokenised rows of examples as the objective learns them."""
    if work.objective == "classification":
        numbers = {label: number for number, label in enumerate(data.labels)}
        return [
            TokenizedExample(row.prompt, (), label=numbers[example.reply])
            for example, row in zip(examples, rows, strict=True)
        ]
    return list(map(all_tokens, rows)) if work.objective == "all_tokens" else list(rows)


def _identity(work: TuneWork, data: Prepared, contract: Contract) -> str:
    """SHA-256 of what a run must have in common with one whose checkpoint it goes on from."""
    beside = {"model", "dataset", "earlier", "checkpoint_every_s"}  # paths, and what changes no loss
    settings = {name: value for name, value in asdict(work).items() if name not in beside}
    whole = {"settings": settings, "data": data.digest, "contract": asdict(contract)}
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

"""`hone tune`, `hone eval` and `hone export`: the commands that put work into the queue."""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from honed.client.cli.options import AsJson, NoWait
from honed.client.cli.progress import present, settle
from honed.client.cli.session import session
from honed.client.cli.values import share

if TYPE_CHECKING:
    from honed.v1.types_pb2 import Parity

FewShot = Annotated[
    int | None, typer.Option(help="Examples shown to the base model, 0 to 64. [default: one a label, at most 16]")
]


class Base(StrEnum):
    """Number formats of the frozen base."""

    NF4 = "nf4"
    BF16 = "bf16"


class GraphFormat(StrEnum):
    """Formats of an export."""

    ONNX_INT8 = "onnx-int8"
    ONNX_FP32 = "onnx-fp32"


def tune(
    ctx: typer.Context,
    adapter_id: Annotated[str, typer.Argument(metavar="ADAPTER", help="Id of the new adapter.")],
    *,
    model: Annotated[str, typer.Option(help="The base: ID or models/ID.")],
    data: Annotated[str, typer.Option(help="The data: ID or datasets/ID.")],
    base: Annotated[Base, typer.Option(help="Number format of the frozen base.")] = Base.NF4,
    rank: Annotated[int | None, typer.Option(help="Rank of the adapter, 1 to 512. [default: 16]")] = None,
    alpha: Annotated[
        float | None, typer.Option(help="Scale: the update is alpha/rank · BA. [default: 2 · rank]")
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout before A, 0 to 0.9. [default: 0]")] = None,
    learning_rate: Annotated[float | None, typer.Option("--lr", help="Peak learning rate. [default: 1e-3]")] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over the training rows. [default: 3]")] = None,
    max_steps: Annotated[int | None, typer.Option(help="End after this many steps. [default: no limit]")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Rows a step, 1 to 4096. [default: 16]")] = None,
    warmup_fraction: Annotated[
        float | None, typer.Option(help="Share of the steps in which the learning rate rises. [default: 0.06]")
    ] = None,
    max_gradient_norm: Annotated[
        float | None, typer.Option(help="Gradients are scaled down to this norm. [default: 1]")
    ] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Decoupled weight decay, 0 to 1. [default: 0]")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of initialisation, order and dropout. [default: 0]")] = None,
    validation_fraction: Annotated[
        float | None, typer.Option(help="Share of the training rows for the validation loss. [default: 0.05]")
    ] = None,
    few_shot: FewShot = None,
    skip_evaluation: Annotated[
        bool, typer.Option("--skip-evaluation", help="Leave out the evaluation before and after.")
    ] = False,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Tune an adapter on a data set.

    The base before and the adapter after are evaluated on the held-out rows.
    """
    with session(ctx, as_json) as (client, out):
        from honed.v1.jobs_pb2 import BASE_PRECISION_BF16, BASE_PRECISION_NF4, TuneSpec

        spec = TuneSpec(
            model=model,
            dataset=data,
            adapter_id=adapter_id,
            base_precision=BASE_PRECISION_BF16 if base is Base.BF16 else BASE_PRECISION_NF4,
            rank=rank,
            alpha=alpha,
            dropout=dropout,
            learning_rate=learning_rate,
            epochs=epochs,
            max_steps=max_steps,
            batch_size=batch_size,
            warmup_fraction=warmup_fraction,
            max_gradient_norm=max_gradient_norm,
            weight_decay=weight_decay,
            seed=seed,
            validation_fraction=validation_fraction,
            few_shot=few_shot,
            skip_evaluation=skip_evaluation,
        )
        if job := settle(client, out, client.tune(spec), wait=not no_wait):
            present(out, job)


def evaluate(
    ctx: typer.Context,
    subject: Annotated[str, typer.Argument(metavar="SUBJECT", help="models/ID, adapters/ID or exports/ID.")],
    *,
    data: Annotated[str, typer.Option(help="The data: ID or datasets/ID.")],
    few_shot: FewShot = None,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate on a data set's test rows.

    A model is asked zero-shot and few-shot, an adapter and an export as they are.
    """
    with session(ctx, as_json) as (client, out):
        queued = client.evaluate(subject, data, few_shot=few_shot)
        if job := settle(client, out, queued, wait=not no_wait):
            present(out, job)


def export(
    ctx: typer.Context,
    export_id: Annotated[str, typer.Argument(metavar="EXPORT", help="Id of the new export.")],
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="adapters/ID or models/ID.")],
    *,
    graph_format: Annotated[GraphFormat, typer.Option("--format", help="Format of the graph.")] = GraphFormat.ONNX_INT8,
    data: Annotated[
        str | None,
        typer.Option(help="Data set that measures the parity. [default: the adapter's own, or a built-in probe]"),
    ] = None,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Convert into what the engine serves.

    How closely the export follows its source is measured, and printed when it is done.
    """
    with session(ctx, as_json) as (client, out):
        queued = client.export(export_id, source, format=graph_format.value, dataset=data)
        if job := settle(client, out, queued, wait=not no_wait):
            present(out, job)
            if not out.as_json:
                print(parity_text(client.get_export(job.result).parity))


def parity_text(parity: Parity) -> str:
    """The parity of an export in a few lines."""
    ties = f"{parity.near_ties} of the others are ties within {parity.near_tie_nats:g} nats"
    lines = [
        f"parity on {parity.rows} rows ({parity.tokens} tokens) of {parity.source}",
        f"same most likely token  {share(parity.top1_agreement)} ({ties})",
        f"KL                      mean {parity.mean_kl:.2e}, max {parity.max_kl:.2e} nats",
    ]
    if parity.HasField("reference_accuracy") and parity.HasField("accuracy"):
        lines.append(f"accuracy                {share(parity.accuracy)}, its source {share(parity.reference_accuracy)}")
    return "\n".join(lines)

"""`hone tune`: an adapter from a model and a data set."""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer
from honed.client.cli.options import AsJson, Earlier, NoWait
from honed.client.cli.output import note
from honed.client.cli.progress import present, report_of, settle
from honed.client.cli.reports import HtmlFile, check_waits, save
from honed.client.cli.session import session


class Base(StrEnum):
    """Number formats of the frozen base."""

    NF4 = "nf4"
    BF16 = "bf16"


class Objective(StrEnum):
    """What is learned."""

    COMPLETION = "completion"
    ALL_TOKENS = "all-tokens"
    CLASSIFICATION = "classification"


def tune(
    ctx: typer.Context,
    adapter_id: Annotated[str, typer.Argument(metavar="ADAPTER", help="Id of the new adapter.")],
    *,
    model: Annotated[str, typer.Option(help="The base: ID or models/ID.")],
    data: Annotated[str, typer.Option(help="The data: ID or datasets/ID.")],
    base: Annotated[Base, typer.Option(help="Number format of the frozen base.")] = Base.NF4,
    objective: Annotated[
        Objective,
        typer.Option(
            help="What is learned: the replies, every token of a row, or the label, by a head in the place of written "
            "labels."
        ),
    ] = Objective.COMPLETION,
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
    label_smoothing: Annotated[
        float | None,
        typer.Option(help="Share of a target's probability spread over all tokens, 0 to 0.5. [default: 0]"),
    ] = None,
    noise_alpha: Annotated[
        float | None, typer.Option(help="NEFTune: noise on the embeddings, 0 to 100. [default: 0]")
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(
            help="End after so many epochs without a better validation loss, and keep the best. [default: never]"
        ),
    ] = None,
    few_shot: Annotated[
        int | None, typer.Option(help="Examples shown to the base model, 0 to 64. [default: one a label, at most 16]")
    ] = None,
    skip_evaluation: Annotated[
        bool, typer.Option("--skip-evaluation", help="Leave out the evaluation before and after.")
    ] = False,
    max_evaluation_rows: Annotated[
        int | None, typer.Option(help="Test rows asked at most before and after. [default: 500]")
    ] = None,
    earlier: Earlier = None,
    typos: Annotated[
        int | None, typer.Option(help="Copies with typing mistakes for each training row, 0 to 10. [default: 0]")
    ] = None,
    casing: Annotated[int | None, typer.Option(help="Copies in another casing, 0 to 10. [default: 0]")] = None,
    punctuation: Annotated[
        int | None, typer.Option(help="Copies with punctuation taken away or doubled, 0 to 10. [default: 0]")
    ] = None,
    word_dropout: Annotated[int | None, typer.Option(help="Copies with words left out, 0 to 10. [default: 0]")] = None,
    paraphrase: Annotated[
        int | None, typer.Option(help="Copies that the base model has rephrased, 0 to 4. [default: 0]")
    ] = None,
    html: HtmlFile = None,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Tune an adapter on a data set.

    The base before and the adapter after are evaluated on the held-out rows.
    """
    check_waits(no_wait, html)
    if html is not None and skip_evaluation:
        raise typer.BadParameter("--html needs the evaluation that --skip-evaluation leaves out")
    copies = {
        "typos": typos,
        "casing": casing,
        "punctuation": punctuation,
        "word_dropout": word_dropout,
        "paraphrase": paraphrase,
    }
    with session(ctx, as_json) as (client, out):
        from honed.v1.jobs_pb2 import BASE_PRECISION_BF16, BASE_PRECISION_NF4, Augmentation, TuneSpec

        spec = TuneSpec(
            model=model,
            dataset=data,
            adapter_id=adapter_id,
            base_precision=BASE_PRECISION_BF16 if base is Base.BF16 else BASE_PRECISION_NF4,
            objective=f"OBJECTIVE_{objective.name}",
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
            label_smoothing=label_smoothing,
            noise_alpha=noise_alpha,
            patience=patience,
            few_shot=few_shot,
            skip_evaluation=skip_evaluation,
            max_evaluation_rows=max_evaluation_rows,
            earlier_datasets=earlier,
            augmentation=Augmentation(**copies) if any(copies.values()) else None,
        )
        if job := settle(client, out, client.tune(spec), wait=not no_wait):
            present(client, out, job)
            if html is not None:
                if report := report_of(client, job):
                    save(client, report, html)
                else:
                    note(f"{html} is not written: nothing was evaluated, as the data set has no test rows")

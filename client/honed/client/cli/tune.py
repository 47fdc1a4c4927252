"""`hone tune`: an adapter from a model and a data set."""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from honed.client.cli.options import AsJson, Earlier, NoWait, TensorBoard, with_options_of
from honed.client.cli.output import note
from honed.client.cli.progress import present, report_of, settle
from honed.client.cli.reports import HtmlFile, check_waits, save
from honed.client.cli.session import session

if TYPE_CHECKING:
    from honed.client import Client
    from honed.v1.jobs_pb2 import Job


class Optimizer(StrEnum):
    """Optimisers."""

    ADAMW = "adamw"
    ADAMW_8BIT = "adamw-8bit"
    PAGED_ADAMW_8BIT = "paged-adamw-8bit"


class Base(StrEnum):
    """Number formats of the frozen base."""

    NF4 = "nf4"
    BF16 = "bf16"


class Objective(StrEnum):
    """What is learned."""

    COMPLETION = "completion"
    ALL_TOKENS = "all-tokens"
    CLASSIFICATION = "classification"


class Method(StrEnum):
    """Tuning methods; the names of honed.v1.Method."""

    LORA = "lora"
    RSLORA = "rslora"
    DORA = "dora"
    PISSA = "pissa"
    LOFTQ = "loftq"
    IA3 = "ia3"
    OFT = "oft"
    PREFIX = "prefix"
    PROMPT = "prompt"
    BOTTLENECK = "bottleneck"
    FULL = "full"


def tune_spec(
    adapter_id: Annotated[str, typer.Argument(metavar="ADAPTER", help="Id of the new adapter.")],
    *,
    data: Annotated[str, typer.Option(help="The data: ID or datasets/ID.")],
    model: Annotated[str, typer.Option(help="The base: ID or models/ID. Needed but with --from.")] = "",
    adapter: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="ADAPTER",
            help="Go on from this adapter, ID or adapters/ID, on its base and with its method, format, rank and alpha.",
        ),
    ] = "",
    base: Annotated[
        Base | None, typer.Option(help="Number format of the base. [default: nf4; with full, bf16]")
    ] = None,
    objective: Annotated[
        Objective,
        typer.Option(
            help="What is learned: the replies, every token of a row, or the label, by a head in the place of written "
            "labels."
        ),
    ] = Objective.COMPLETION,
    method: Annotated[
        Method | None, typer.Option(help="What trains; docs/tuning.md compares the methods. [default: lora]")
    ] = None,
    rank: Annotated[int | None, typer.Option(help="Rank of the adapter, 1 to 512. [default: 16]")] = None,
    alpha: Annotated[
        float | None,
        typer.Option(help="Scale: the update is alpha/rank · BA. [default: 2 · rank; with rslora, alpha/√rank, 8]"),
    ] = None,
    dropout: Annotated[float | None, typer.Option(help="Dropout before A, 0 to 0.9. [default: 0]")] = None,
    target_modules: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            metavar="PATTERN",
            help="Shell pattern over names of linear layers, as '*.q_proj'; repeatable. [default: all but the head]",
        ),
    ] = None,
    virtual_tokens: Annotated[
        int | None, typer.Option(help="prefix, prompt: virtual tokens, 1 to 4096. [default: 20]")
    ] = None,
    block_size: Annotated[int | None, typer.Option(help="oft: width of the blocks, 2 to 1024. [default: 32]")] = None,
    width: Annotated[
        int | None, typer.Option(help="bottleneck: width of the layers, 1 to 16384. [default: 64]")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option("--lr", help="Peak learning rate. [default: 1e-3, other methods' in docs/tuning.md]")
    ] = None,
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
    micro_batch_tokens: Annotated[
        int | None, typer.Option(help="Tokens that go through the model together. [default: what fits, at most 512]")
    ] = None,
    gradient_checkpointing: Annotated[
        bool | None,
        typer.Option(help="Compute layers again in place of keeping them. [default: where memory is short]"),
    ] = None,
    compile_layers: Annotated[
        bool | None,
        typer.Option("--compile/--no-compile", help="Compile the layers with torch. [default: where the run is long]"),
    ] = None,
    optimizer: Annotated[Optimizer, typer.Option(help="What moves the weights.")] = Optimizer.ADAMW,
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
    replay_datasets: Annotated[
        list[str] | None,
        typer.Option(
            "--replay",
            metavar="DATASET",
            help="Mix in training rows of this earlier data set against forgetting; ID or datasets/ID; repeatable.",
        ),
    ] = None,
    replay_fraction: Annotated[
        float | None, typer.Option(help="Share of the replayed rows, 0 to 0.9. [default: 0.2 with --replay]")
    ] = None,
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
) -> Any:  # a TuneSpec; the name of a heavy import would be evaluated with the options
    """What to tune. Its parameters are the options of every command that tunes."""
    from honed.v1.jobs_pb2 import Augmentation, TuneSpec

    if not model and not adapter:
        raise typer.BadParameter("a model is needed: --model, or --from for that of an adapter")
    copies = {
        "typos": typos,
        "casing": casing,
        "punctuation": punctuation,
        "word_dropout": word_dropout,
        "paraphrase": paraphrase,
    }
    return TuneSpec(
        model=model,
        dataset=data,
        adapter_id=adapter_id,
        base_precision=None if base is None else f"BASE_PRECISION_{base.name}",
        objective=f"OBJECTIVE_{objective.name}",
        method=None if method is None else f"METHOD_{method.name}",
        rank=rank,
        alpha=alpha,
        dropout=dropout,
        target_modules=target_modules,
        virtual_tokens=virtual_tokens,
        block_size=block_size,
        width=width,
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
        micro_batch_tokens=micro_batch_tokens,
        gradient_checkpointing=gradient_checkpointing,
        compile=compile_layers,
        optimizer=f"OPTIMIZER_{optimizer.upper().replace('-', '_')}",
        few_shot=few_shot,
        skip_evaluation=skip_evaluation,
        max_evaluation_rows=max_evaluation_rows,
        earlier_datasets=earlier,
        augmentation=Augmentation(**copies) if any(copies.values()) else None,
        adapter=adapter,
        replay_datasets=replay_datasets,
        replay_fraction=replay_fraction,
    )


@with_options_of(tune_spec)
def tune(
    ctx: typer.Context,
    *,
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what it would do: rows, tokens, steps, memory, time.")
    ] = False,
    html: HtmlFile = None,
    tensorboard: TensorBoard = None,
    no_wait: NoWait = False,
    as_json: AsJson = False,
    **options: Any,
) -> None:
    """Tune an adapter on a data set.

    The base before and the adapter after are evaluated on the held-out rows.
    """
    check_html(options, html, no_wait)
    if no_wait and tensorboard is not None:
        raise typer.BadParameter(
            "--tensorboard needs the events that --no-wait does not follow; later: hone jobs logs JOB --tensorboard DIR"
        )
    if plan:
        with session(ctx, as_json) as (client, out):
            out.record(client.plan(tune_spec(**options)).plan)
        return
    follow(ctx, lambda client: client.tune(tune_spec(**options)), html, no_wait, as_json, tensorboard)


def check_html(options: dict[str, Any], html: HtmlFile, no_wait: bool) -> None:
    """Refuses a report that would not be made.

    Raises:
        typer.BadParameter: It would not.
    """
    check_waits(no_wait, html)
    if html is not None and options["skip_evaluation"]:
        raise typer.BadParameter("--html needs the evaluation that --skip-evaluation leaves out")


def follow(
    ctx: typer.Context,
    start: Callable[[Client], Job],
    html: HtmlFile,
    no_wait: bool,
    as_json: bool,
    tensorboard: TensorBoard = None,
) -> None:
    """Starts a job that makes an adapter, follows it, and prints what it made."""
    with session(ctx, as_json) as (client, out):
        if job := settle(client, out, start(client), wait=not no_wait, tensorboard=tensorboard):
            present(client, out, job)
            if html is not None:
                if report := report_of(client, job):
                    save(client, report, html)
                else:
                    note(f"{html} is not written: nothing was evaluated, as the data set has no test rows")

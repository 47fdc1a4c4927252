"""`hone adapters`: what tuning has made, and what is combined of it."""

from enum import StrEnum
from typing import Annotated

import typer
from honed.client.cli.options import AsJson, NoWait, pairs
from honed.client.cli.output import note
from honed.client.cli.progress import present, settle
from honed.client.cli.session import session
from honed.client.cli.values import moment, size

app = typer.Typer(no_args_is_help=True, help="Keep and combine what tuning has made.")

Name = Annotated[str, typer.Argument(metavar="ADAPTER", help="ID or adapters/ID.")]


class Method(StrEnum):
    """How adapters are combined."""

    LINEAR = "linear"
    CAT = "cat"
    SVD = "svd"
    TIES = "ties"
    DARE_LINEAR = "dare-linear"
    DARE_TIES = "dare-ties"


@app.command("ls")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List adapters, the newest first."""
    with session(ctx, as_json) as (client, out):
        out.listing(
            client.list_adapters(),
            {
                "NAME": lambda adapter: adapter.name,
                "MODEL": lambda adapter: adapter.model,
                "DATASET": lambda adapter: adapter.dataset,
                "RANK": lambda adapter: str(adapter.spec.rank),
                "STEPS": lambda adapter: str(adapter.training.steps or ""),
                "LOSS": lambda adapter: f"{adapter.training.final_loss:.4f}" if adapter.HasField("training") else "",
                "SIZE": lambda adapter: size(adapter.size_bytes),
                "CREATED": lambda adapter: moment(adapter.create_time),
            },
        )


@app.command("show")
def show(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show one adapter, with its contract, its training and its evaluations."""
    with session(ctx, as_json) as (client, out):
        out.record(client.get_adapter(name))


@app.command("combine")
def combine(
    ctx: typer.Context,
    adapter_id: Annotated[str, typer.Argument(metavar="NEW", help="Id of the new adapter.")],
    adapters: Annotated[
        list[str],
        typer.Argument(
            metavar="ADAPTER=WEIGHT...", help="2 to 8 adapters of one base, ID or adapters/ID, with weights."
        ),
    ],
    *,
    method: Annotated[
        Method, typer.Option(help="How they are combined; cat is exactly the weighted sum, at the sum of the ranks.")
    ] = Method.CAT,
    rank: Annotated[
        int | None, typer.Option(help="Rank of the new adapter, for svd. [default: the highest of theirs]")
    ] = None,
    density: Annotated[
        float | None, typer.Option(help="Share of the values kept, 0.01 to 1, for ties and dare. [default: 0.5]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of dare and of the evaluation's draws. [default: 0]")] = None,
    data: Annotated[
        str | None,
        typer.Option(help="On whose test rows it is evaluated: ID or datasets/ID. [default: the first adapter's]"),
    ] = None,
    skip_evaluation: Annotated[bool, typer.Option("--skip-evaluation", help="Leave out the evaluation.")] = False,
    max_evaluation_rows: Annotated[int | None, typer.Option(help="Test rows asked at most. [default: 500]")] = None,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Combine adapters of one base into a new one.

    It is evaluated on the test rows; requests to it are put into the template of the first adapter.
    """
    weights = _weights(adapters)
    with session(ctx, as_json) as (client, out):
        queued = client.combine(
            adapter_id,
            weights,
            method=method.value,
            rank=rank,
            density=density,
            seed=seed,
            dataset=data,
            skip_evaluation=skip_evaluation,
            max_evaluation_rows=max_evaluation_rows,
        )
        if job := settle(client, out, queued, wait=not no_wait):
            present(client, out, job)


@app.command("rm")
def remove(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Delete an adapter that nothing uses."""
    with session(ctx, as_json) as (client, _):
        client.delete_adapter(name)
        note(f"deleted {name}")


def _weights(adapters: list[str]) -> dict[str, float]:
    found = pairs("the combination", "ADAPTER=WEIGHT", adapters)
    try:
        return {name: float(weight) for name, weight in found.items()}
    except ValueError:
        raise typer.BadParameter(f"weights must be numbers, found {', '.join(found.values())}") from None

"""`hone adapters`: what tuning has made."""

from typing import Annotated

import typer
from honed.client.cli.options import AsJson
from honed.client.cli.output import note
from honed.client.cli.session import session
from honed.client.cli.values import moment, size

app = typer.Typer(no_args_is_help=True, help="Keep what tuning has made.")

Name = Annotated[str, typer.Argument(metavar="ADAPTER", help="ID or adapters/ID.")]


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
                "STEPS": lambda adapter: str(adapter.training.steps),
                "LOSS": lambda adapter: f"{adapter.training.final_loss:.4f}",
                "SIZE": lambda adapter: size(adapter.size_bytes),
                "CREATED": lambda adapter: moment(adapter.create_time),
            },
        )


@app.command("show")
def show(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show one adapter, with its contract, its training and its evaluations."""
    with session(ctx, as_json) as (client, out):
        out.record(client.get_adapter(name))


@app.command("rm")
def remove(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Delete an adapter that nothing uses."""
    with session(ctx, as_json) as (client, _):
        client.delete_adapter(name)
        note(f"deleted {name}")

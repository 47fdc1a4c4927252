"""`hone exports`: what the engine serves."""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from honed.client.cli.options import AsJson
from honed.client.cli.output import note
from honed.client.cli.session import session
from honed.client.cli.values import moment, share, size

if TYPE_CHECKING:
    from honed.v1.exports_pb2 import Export

app = typer.Typer(no_args_is_help=True, help="Keep what the engine serves.")

Name = Annotated[str, typer.Argument(metavar="EXPORT", help="ID or exports/ID.")]


@app.command("ls")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List exports, the newest first."""
    with session(ctx, as_json) as (client, out):
        out.listing(
            client.list_exports(),
            {
                "NAME": lambda export: export.name,
                "SOURCE": lambda export: export.source,
                "FORMAT": _format,
                "AGREEMENT": lambda export: share(export.parity.top1_agreement),
                "SIZE": lambda export: size(export.size_bytes),
                "CREATED": lambda export: moment(export.create_time),
            },
        )


@app.command("show")
def show(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show one export with its parity."""
    with session(ctx, as_json) as (client, out):
        out.record(client.get_export(name))


@app.command("rm")
def remove(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Delete an export."""
    with session(ctx, as_json) as (client, _):
        client.delete_export(name)
        note(f"deleted {name}")


def _format(export: Export) -> str:
    from honed.v1.jobs_pb2 import ExportFormat

    return ExportFormat.Name(export.format).removeprefix("EXPORT_FORMAT_").lower().replace("_", "-")

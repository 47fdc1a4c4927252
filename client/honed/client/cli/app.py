"""The tree of commands and the options that stand before them."""

from pathlib import Path
from typing import Annotated

import typer
from honed.client.cli import adapters, data, exports, jobs, models, reports, templates
from honed.client.cli.chat import chat, run
from honed.client.cli.evaluate import evaluate
from honed.client.cli.export import export
from honed.client.cli.options import AsJson
from honed.client.cli.session import Globals
from honed.client.cli.status import status
from honed.client.cli.sweep import sweep
from honed.client.cli.tune import tune

app = typer.Typer(
    name="hone",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("status")(status)
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
app.add_typer(templates.app, name="templates")
app.command("tune")(tune)
app.command("sweep")(sweep)
app.add_typer(jobs.app, name="jobs")
app.command("eval")(evaluate)
app.add_typer(reports.app, name="reports")
app.add_typer(adapters.app, name="adapters")
app.command("export")(export)
app.add_typer(exports.app, name="exports")
app.command("run")(run)
app.command("chat")(chat)


@app.callback()
def hone(
    ctx: typer.Context,
    address: Annotated[
        str | None, typer.Option(help="The daemon: unix:PATH or host:port; else HONED_ADDRESS, else its usual socket.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="File with the token; else HONED_TOKEN or HONED_TOKEN_FILE."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tune small language models on your own machine, and serve exactly what was trained.

    Exit codes: 0 ok, 1 failure, 2 usage, 3 not found, 4 not allowed, 5 unavailable, 6 no room, 7 the job failed,
    130 interrupted.
    """
    ctx.obj = Globals(address, token_file, as_json)

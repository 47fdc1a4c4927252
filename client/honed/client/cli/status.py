"""`hone status`."""

import typer
from honed.client.cli.options import AsJson
from honed.client.cli.session import session


def status(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Show how the daemon is."""
    with session(ctx, as_json) as (client, out):
        out.record(client.get_status())

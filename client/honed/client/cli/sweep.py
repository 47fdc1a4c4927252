"""`hone sweep`: the best adapter of several settings."""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer
from honed.client.cli.options import AsJson, NoWait, numbers, seconds, with_options_of
from honed.client.cli.reports import HtmlFile
from honed.client.cli.tune import check_html, follow, tune_spec

if TYPE_CHECKING:
    from honed.client import Client
    from honed.v1.jobs_pb2 import Job


class Strategy(StrEnum):
    """Which settings are tried."""

    GRID = "grid"
    RANDOM = "random"
    HALVING = "halving"


@with_options_of(tune_spec, but=("adapter", "learning_rate", "rank", "epochs"))
def sweep(
    ctx: typer.Context,
    *,
    learning_rates: Annotated[
        str | None, typer.Option("--lr", metavar="A,B,...", help="Peak learning rates to try. [default: 1e-3]")
    ] = None,
    ranks: Annotated[str | None, typer.Option("--rank", metavar="A,B,...", help="Ranks to try. [default: 16]")] = None,
    epochs: Annotated[
        str | None,
        typer.Option("--epochs", metavar="A,B,...", help="Passes over the training rows to try. [default: 3]"),
    ] = None,
    strategy: Annotated[
        Strategy,
        typer.Option(
            help="Every combination; draws between the least and the largest values; or draws, the worse of which are "
            "given up early."
        ),
    ] = Strategy.GRID,
    max_trials: Annotated[
        int | None, typer.Option("--trials", help="Combinations at most, or draws, 1 to 1000. [default: 20]")
    ] = None,
    time_limit: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Training time of all trials together: 90s, 30m, 2h. [default: no limit]"),
    ] = None,
    html: HtmlFile = None,
    no_wait: NoWait = False,
    as_json: AsJson = False,
    **options: Any,
) -> None:
    """Tune adapters with several settings on the same rows, and keep the one with the least validation loss.

    It alone is evaluated on the held-out rows.
    """
    check_html(options, html, no_wait)
    tried = {
        "learning_rates": numbers("--lr", learning_rates, float),
        "ranks": numbers("--rank", ranks, int),
        "epochs": numbers("--epochs", epochs, float),
    }
    limit = None if time_limit is None else timedelta(seconds=seconds("--time-limit", time_limit))

    def start(client: Client) -> Job:
        from honed.v1.jobs_pb2 import SweepSpec

        spec = SweepSpec(
            tune=tune_spec(**options),
            strategy=f"SWEEP_STRATEGY_{strategy.name}",
            max_trials=max_trials,
            time_limit=limit,
            **tried,
        )
        return client.sweep(spec)

    follow(ctx, start, html, no_wait, as_json)

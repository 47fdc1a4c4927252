"""`hone eval`: several subjects on the same test rows, with a report that compares them."""

from __future__ import annotations

from typing import Annotated

import typer
from honed.client.cli.options import AsJson, Earlier, NoWait
from honed.client.cli.progress import present, settle
from honed.client.cli.reports import HtmlFile, JsonFile, check_waits, save
from honed.client.cli.session import session


def evaluate(
    ctx: typer.Context,
    subjects: Annotated[
        list[str], typer.Argument(metavar="SUBJECT", help="models/ID, adapters/ID or exports/ID; one to eight.")
    ],
    *,
    data: Annotated[str, typer.Option(help="The data: ID or datasets/ID.")],
    shots: Annotated[
        str,
        typer.Option(
            metavar="N[,N...]",
            help="Numbers of worked examples to try with a model on held-out training rows, each 0 to 64; the best is "
            "used. [default: one a label, at most 16; without labels 4]",
        ),
    ] = "",
    similar: Annotated[
        bool, typer.Option("--similar", help="For every row the worked examples whose words are most like its own.")
    ] = False,
    slices: Annotated[
        list[str] | None,
        typer.Option(
            "--slice", metavar="COLUMN", help="Show the metrics by the values of a column; repeatable. [default: all]"
        ),
    ] = None,
    earlier: Earlier = None,
    max_rows: Annotated[int | None, typer.Option(help="Test rows asked at most, drawn by seed. [default: all]")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of every draw. [default: 0]")] = None,
    html: HtmlFile = None,
    report_json: JsonFile = None,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate on a data set's test rows.

    A model is asked zero-shot and few-shot, an adapter and an export as they are. The report compares them all.
    """
    check_waits(no_wait, html, report_json)
    counts = _counts(shots)
    with session(ctx, as_json) as (client, out):
        queued = client.evaluate(
            subjects,
            data,
            shots=counts,
            shot_choice="similar" if similar else "per_label",
            slice_columns=slices or (),
            earlier_datasets=earlier or (),
            max_rows=max_rows,
            seed=seed,
        )
        if job := settle(client, out, queued, wait=not no_wait):
            present(client, out, job)
            save(client, job.result, html, report_json)


def _counts(shots: str) -> list[int]:
    try:
        return [int(count) for count in shots.split(",")] if shots else []
    except ValueError:
        raise typer.BadParameter(f"--shots must be whole numbers with commas between them, found {shots!r}") from None

"""`hone reports`: what evaluations found."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from honed.client.cli.files import in_a_folder, write_whole
from honed.client.cli.options import AsJson
from honed.client.cli.output import note
from honed.client.cli.report_text import summary
from honed.client.cli.session import session
from honed.client.cli.values import moment, size

if TYPE_CHECKING:
    from honed.client import Client

app = typer.Typer(no_args_is_help=True, help="Read and fetch what evaluations found.")

Name = Annotated[str, typer.Argument(metavar="REPORT", help="ID or reports/ID.")]
HtmlFile = Annotated[
    Path | None,
    typer.Option(
        "--html", metavar="FILE", dir_okay=False, callback=in_a_folder, help="Write the report there as HTML."
    ),
]
JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--report-json", metavar="FILE", dir_okay=False, callback=in_a_folder, help="Write the report there as JSON."
    ),
]


class ReportFormat(StrEnum):
    """Formats of a report."""

    HTML = "html"
    JSON = "json"


@app.command("ls")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List reports, the newest first."""
    with session(ctx, as_json) as (client, out):
        out.listing(
            client.list_reports(),
            {
                "NAME": lambda report: report.name,
                "DATASET": lambda report: report.dataset,
                "SUBJECTS": lambda report: ", ".join(report.subjects),
                "SIZE": lambda report: size(report.size_bytes),
                "CREATED": lambda report: moment(report.create_time),
                "HEADLINE": lambda report: report.headline,
            },
        )


@app.command("show")
def show(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show a report's facts and, but for --json, its figures in short."""
    with session(ctx, as_json) as (client, out):
        report = client.get_report(name)
        out.record(report)
        if not out.as_json:
            print(f"\n{summary_text(client, report.name)}")


@app.command("get")
def get(
    ctx: typer.Context,
    name: Name,
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            dir_okay=False,
            callback=in_a_folder,
            help="Where to write it; '-' is stdout. [default: ID.html or ID.json]",
        ),
    ] = None,
    report_format: Annotated[ReportFormat, typer.Option("--format", help="Format of the file.")] = ReportFormat.HTML,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fetch a report as a file: one HTML page that needs no network, or every figure as JSON."""
    with session(ctx, as_json) as (client, out):
        report = client.get_report(name)
        pieces = client.download_report(report.name, report_format.value)
        if file == Path("-"):
            sys.stdout.buffer.writelines(pieces)
            return
        target = file or Path(f"{report.name.rpartition('/')[2]}.{report_format.value}")
        if target.exists() and not force:
            raise typer.BadParameter(f"{target} exists; --force writes over it")
        write_whole(target, pieces)
        if out.as_json:
            out.answer({"name": report.name, "format": report_format.value, "file": str(target)})
        else:
            print(target)


@app.command("rm")
def remove(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Delete a report."""
    with session(ctx, as_json) as (client, _):
        client.delete_report(name)
        note(f"deleted {name}")


def summary_text(client: Client, name: str) -> str:
    """A report's figures in short."""
    return summary(client.report_json(name))


def check_waits(no_wait: bool, *files: Path | None) -> None:
    """Refuses files that are to hold a report beside --no-wait.

    Raises:
        typer.BadParameter: There are both.
    """
    if no_wait and any(files):
        raise typer.BadParameter("with --no-wait there is no report to write yet; fetch it later: hone reports get")


def save(client: Client, name: str, html: Path | None, json: Path | None = None) -> None:
    """Writes a report to the files that were asked for, over what is there."""
    if html is not None:
        write_whole(html, client.download_report(name, "html"))
        note(f"wrote {html}")
    if json is not None:
        write_whole(json, client.download_report(name, "json"))
        note(f"wrote {json}")

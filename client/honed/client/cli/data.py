"""`hone data`: data sets."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from honed.client.cli.options import AsJson
from honed.client.cli.output import note
from honed.client.cli.progress import upload_bar
from honed.client.cli.session import session
from honed.client.cli.tokens import print_row
from honed.client.cli.values import moment

app = typer.Typer(no_args_is_help=True, help="Bring data sets in and look at them as a model does.")

Name = Annotated[str, typer.Argument(metavar="DATASET", help="ID or datasets/ID.")]


class TableFormat(StrEnum):
    """Formats of a table."""

    CSV = "csv"
    JSONL = "jsonl"


@app.command("add")
def add(
    ctx: typer.Context,
    dataset_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the new data set.")],
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, metavar="FILE", help="The training table.")],
    *,
    table_format: Annotated[
        TableFormat | None, typer.Option("--format", help="Format of the tables. [default: FILE's suffix]")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Column of the text, of labelled rows.")] = None,
    label_column: Annotated[str | None, typer.Option(help="Column of the label, of labelled rows.")] = None,
    prompt_column: Annotated[str | None, typer.Option(help='Column of the prompt. [default: "prompt"]')] = None,
    completion_column: Annotated[
        str | None, typer.Option(help='Column of the completion. [default: "completion"]')
    ] = None,
    instruction: Annotated[str | None, typer.Option(help="System message put before every row.")] = None,
    test: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="A separate test table.")] = None,
    test_fraction: Annotated[
        float | None, typer.Option(help="Share of the rows held out for the test, 0 to 0.9. [default: 0.2]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the split. [default: 0]")] = None,
    as_json: AsJson = False,
) -> None:
    """Upload a table.

    Its rows are labelled (--text-column, --label-column), or prompts with completions.
    """
    with session(ctx, as_json) as (client, out):
        total_bytes = file.stat().st_size + (test.stat().st_size if test else 0)
        with upload_bar(total_bytes) as advance:
            dataset = client.upload_dataset(
                dataset_id,
                file,
                test=test,
                on_bytes=advance,
                format=table_format.value if table_format else None,
                text_column=text_column,
                label_column=label_column,
                prompt_column=prompt_column,
                completion_column=completion_column,
                instruction=instruction,
                test_fraction=test_fraction,
                seed=seed,
            )
        if out.as_json:
            out.record(dataset)
        else:
            note(f"{dataset.train_rows} training rows, {dataset.test_rows} test rows, {len(dataset.labels)} labels")
            print(dataset.name)


@app.command("ls")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List data sets, the newest first."""
    with session(ctx, as_json) as (client, out):
        out.listing(
            client.list_datasets(),
            {
                "NAME": lambda dataset: dataset.name,
                "SHAPE": lambda dataset: dataset.shape.WhichOneof("shape") or "",
                "TRAIN": lambda dataset: str(dataset.train_rows),
                "TEST": lambda dataset: str(dataset.test_rows),
                "LABELS": lambda dataset: str(len(dataset.labels)),
                "CREATED": lambda dataset: moment(dataset.create_time),
            },
        )


@app.command("show")
def show(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show one data set."""
    with session(ctx, as_json) as (client, out):
        out.record(client.get_dataset(name))


@app.command("preview")
def preview(
    ctx: typer.Context,
    name: Name,
    model: Annotated[str, typer.Option(help="The model whose tokens and chat template are used.")],
    rows: Annotated[int, typer.Option(help="Training rows to show, 1 to 100.")] = 3,
    as_json: AsJson = False,
) -> None:
    """Show rows as a model sees them.

    What it is trained on is coloured, or stands between ⟦ and ⟧.
    """
    with session(ctx, as_json) as (client, out):
        response = client.preview_dataset(name, model, rows)
        if out.as_json:
            out.record(response)
            return
        for row in response.rows:
            print_row(row)
        print(f"all training rows: {response.total_tokens} tokens, the longest {response.longest_tokens}")


@app.command("rm")
def remove(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Delete a data set that nothing uses."""
    with session(ctx, as_json) as (client, _):
        client.delete_dataset(name)
        note(f"deleted {name}")

"""`hone data`: data sets."""

from __future__ import annotations

import csv
import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer
from honed.client.cli.data_report import (
    lengths_text,
    print_dataset,
    print_histogram,
    rows_left_out,
    shape_word,
    task_word,
    upload_lines,
)
from honed.client.cli.options import AsJson, pairs
from honed.client.cli.output import note
from honed.client.cli.progress import upload_bar
from honed.client.cli.session import session
from honed.client.cli.tokens import print_row
from honed.client.cli.values import moment, visible

app = typer.Typer(no_args_is_help=True, help="Bring data sets in and look at them as a model does.")

Name = Annotated[str, typer.Argument(metavar="DATASET", help="ID or datasets/ID.")]

_SUFFIXES: Final = frozenset({".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".gz", ".zst", ".zstd"})
_SAYS_NOTHING: Final = frozenset({"train", "training", "data", "dataset", "rows"})


class TableFormat(StrEnum):
    """Formats of a table."""

    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"
    JSON = "json"
    PARQUET = "parquet"


class TableShape(StrEnum):
    """What a row is."""

    TABLE = "table"
    PROMPT_COMPLETION = "prompt_completion"
    ALPACA = "alpaca"
    SHAREGPT = "sharegpt"
    MESSAGES = "messages"
    TEXT = "text"
    PREFERENCE = "preference"


@app.command("add")
def add(
    ctx: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            exists=True,
            dir_okay=False,
            metavar="FILE",
            help="The training table: CSV, TSV, JSON lines, a JSON array or Parquet, plain or compressed (gzip, zstd).",
        ),
    ],
    *,
    dataset_id: Annotated[
        str | None, typer.Option("--id", help="Id of the new data set. [default: FILE's name, or its folder's]")
    ] = None,
    table_format: Annotated[
        TableFormat | None, typer.Option("--format", help="Format of the tables. [default: seen from the bytes]")
    ] = None,
    shape: Annotated[TableShape | None, typer.Option(help="What a row is. [default: seen from the columns]")] = None,
    template: Annotated[
        str | None, typer.Option(help="How columns become prompt and reply: ID or templates/ID.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            metavar="SLOT=COLUMN[,COLUMN...]",
            help="Columns for a slot of the template; repeatable. [default: the column of the slot's name]",
        ),
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Short for --column text=…")] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Short for --column label=…; with a text column it means classification.")
    ] = None,
    prompt_column: Annotated[str | None, typer.Option(help="Short for --column prompt=…")] = None,
    completion_column: Annotated[str | None, typer.Option(help="Short for --column completion=…")] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PARAMETER=VALUE", help="A parameter of the template; repeatable."),
    ] = None,
    verbalizer: Annotated[
        list[str] | None,
        typer.Option("--verbalize", metavar="LABEL=WORDS", help="What the model writes for a label; repeatable."),
    ] = None,
    instruction: Annotated[str | None, typer.Option(help="System message in place of the template's.")] = None,
    test: Annotated[Path | None, typer.Option(exists=True, dir_okay=False, help="A separate test table.")] = None,
    test_fraction: Annotated[
        float | None, typer.Option(help="Share of the rows held out for the test, 0 to 0.9. [default: 0.2]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the split. [default: 0]")] = None,
    group_column: Annotated[
        str | None,
        typer.Option(help="Rows with one value in this column are never on both sides of the split. Not with --test."),
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option(help="Two rows with one value in this column are refused. [default: id, if there is one]"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Count tokens and find rows that are too long as this model does.")
    ] = None,
    drop_long: Annotated[
        bool, typer.Option("--drop-long", help="Leave out rows that are too long for the model.")
    ] = False,
    split_long: Annotated[
        bool, typer.Option("--split-long", help="Cut bare text that is too long for the model into pieces that fit.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Upload a table, and say what the checks of its rows found.

    What a row is (a labelled text, a prompt with its completion, a conversation, …) is seen from the columns, unless
    --shape, --template or a column says it.
    """
    if drop_long and split_long:
        raise typer.BadParameter("rows that are too long are left out or cut, not both")
    slots = {slot: _names(slot, text) for slot, text in pairs("--column", "SLOT=COLUMN", columns).items()}
    words = pairs("--verbalize", "LABEL=WORDS", verbalizer)
    values = pairs("--set", "PARAMETER=VALUE", parameters)
    with session(ctx, as_json) as (client, out):
        total_bytes = file.stat().st_size + (test.stat().st_size if test else 0)
        with upload_bar(total_bytes) as advance:
            dataset = client.upload_dataset(
                dataset_id or _id_of(file),
                file,
                test=test,
                on_bytes=advance,
                format=table_format.value if table_format else None,
                shape=shape.value if shape else None,
                template=template,
                columns=slots,
                text_column=text_column,
                label_column=label_column,
                prompt_column=prompt_column,
                completion_column=completion_column,
                parameters=values,
                verbalizer=words,
                instruction=instruction,
                test_fraction=test_fraction,
                seed=seed,
                group_column=group_column,
                id_column=id_column,
                model=model,
                long_rows="drop" if drop_long else "split" if split_long else None,
            )
        if out.as_json:
            out.record(dataset)
        else:
            for line in upload_lines(dataset):
                note(visible(line))
            print(dataset.name)


@app.command("ls")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List data sets, the newest first."""
    with session(ctx, as_json) as (client, out):
        out.listing(
            client.list_datasets(),
            {
                "NAME": lambda dataset: dataset.name,
                "SHAPE": shape_word,
                "TASK": task_word,
                "TRAIN": lambda dataset: str(dataset.train_rows),
                "TEST": lambda dataset: str(dataset.test_rows),
                "LABELS": lambda dataset: str(len(dataset.labels)),
                "CREATED": lambda dataset: moment(dataset.create_time),
            },
        )


@app.command("show")
def show(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show one data set with what the checks of its upload found."""
    with session(ctx, as_json) as (client, out):
        dataset = client.get_dataset(name)
        if out.as_json:
            out.record(dataset)
        else:
            print_dataset(out, dataset)


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
        if said := rows_left_out(response, rows):
            note(said)
        print(f"tokens a training row: {lengths_text(response.lengths)}, {response.trained_tokens:,} under the loss")
        print_histogram(response.lengths)


@app.command("rm")
def remove(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Delete a data set that nothing uses."""
    with session(ctx, as_json) as (client, _):
        client.delete_dataset(name)
        note(f"deleted {name}")


def _id_of(file: Path) -> str:
    """An id after the file's name, or after its folder's where the name is one that every table has.

    Raises:
        typer.BadParameter: Nothing is left of the name.
    """
    name = file.name.lower()
    while Path(name).suffix in _SUFFIXES:
        name = Path(name).stem
    if name in _SAYS_NOTHING:
        name = file.resolve().parent.name.lower()
    dataset_id = re.sub(r"[^a-z0-9._-]+", "-", name).strip("-._")[:63]
    if not dataset_id:
        raise typer.BadParameter(f"no id can be made of {file}; give one with --id")
    return dataset_id


def _names(slot: str, text: str) -> list[str]:
    """The columns of a slot: one line of CSV, so that a name with a comma can be quoted."""
    names = next(csv.reader([text]), list[str]())
    if not names or "" in names:
        raise typer.BadParameter(f"--column must be SLOT=COLUMN, found {slot}={text!r}")
    return names

"""What a row of a table is, seen from its columns; and the rows that are neither conversations nor filled templates."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from honed.data.formats import Table
from honed.data.problems import BadRow, Problems
from honed.data.records import Record, kind, quoted
from honed.errors import InvalidInput

Shape = Literal["table", "prompt_completion", "alpaca", "sharegpt", "messages", "text", "preference"]

_RECORDS_FOR_SHAPE = 100


@dataclass(frozen=True, slots=True)
class ShapeSpec:
    """What makes a shape.

    Attributes:
        columns: that every row has.
        template: id of the built-in one that renders the rows; empty for rows that bring their own messages or text.
        of_lists: whether the column holds lists.
        alone: whether there is no other column.
    """

    columns: tuple[str, ...]
    template: str = ""
    of_lists: bool = False
    alone: bool = False

    def __str__(self) -> str:
        return ", ".join(self.columns) + " alone" * self.alone


# In this order, for a table may hold the columns of several; the first names the most. "table" is never seen.
SHAPES: Mapping[Shape, ShapeSpec] = {
    "messages": ShapeSpec(("messages",), of_lists=True),
    "sharegpt": ShapeSpec(("conversations",), of_lists=True),
    "preference": ShapeSpec(("prompt", "chosen", "rejected")),
    "alpaca": ShapeSpec(("instruction", "output"), template="alpaca"),
    "prompt_completion": ShapeSpec(("prompt", "completion"), template="prompt-completion"),
    "text": ShapeSpec(("text",), alone=True),
}


@dataclass(frozen=True, slots=True)
class Preference:
    """A prompt and two replies, of which one was chosen."""

    prompt: str
    chosen: str
    rejected: str


def detect_shape(table: Table) -> Shape:
    """The shape that the columns name. A labelled table is never guessed: nothing says which column is the label.

    Where none of the first rows holds a list, a column that is named "messages" holds no conversations.

    Raises:
        InvalidInput: SHAPE_UNKNOWN, with the columns and the options that would do.
    """
    for shape, spec in SHAPES.items():
        fits = spec.columns == table.columns if spec.alone else set(spec.columns) <= set(table.columns)
        if fits and not (spec.of_lists and not _holds_lists(table, spec.columns[0])):
            return shape
    known = "; ".join(f"{shape}: {spec}" for shape, spec in SHAPES.items())
    raise InvalidInput(
        f"{table.file}: the columns {quoted(table.columns)} do not say what a row is. For texts with a label give "
        "--text-column and --label-column; for anything else --template, with a column for each of its slots; or name "
        f"the columns after one of the known shapes ({known}; messages and conversations hold lists).",
        reason="SHAPE_UNKNOWN",
    )


def _holds_lists(table: Table, column: str) -> bool:
    records = islice(table.records(Problems()), _RECORDS_FOR_SHAPE)
    return any(isinstance(record.values.get(column), list) for record in records)


def bare_text(record: Record) -> str:
    """The text of a row of shape "text", as it stands; raises BadRow."""
    return _text(record, "text")


def preference(record: Record) -> Preference:
    """The texts of a row of shape "preference", outer white space stripped.

    Raises:
        BadRow: one is missing, empty or no text, or the two replies are the same.
    """
    prompt, chosen, rejected = (_text(record, column).strip() for column in ("prompt", "chosen", "rejected"))
    if chosen == rejected:
        raise BadRow("'chosen' and 'rejected' are the same text; a preference needs two")
    return Preference(prompt, chosen, rejected)


def _text(record: Record, column: str) -> str:
    value = record.values.get(column)
    if value is None:
        raise BadRow(f"{column!r} is missing")
    if isinstance(value, list):
        raise BadRow(f"{column!r} must be plain text, found a list; write each message list as one text")
    if not isinstance(value, str):
        raise BadRow(f"{column!r} must be text, found {kind(value)}")
    if not value.strip():
        raise BadRow(f"{column!r} is empty")
    return value

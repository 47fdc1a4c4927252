"""What a row of a table is, seen from its columns; and the rows that are neither conversations nor filled templates."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from honed.data.formats import Table
from honed.data.problems import BadRow
from honed.data.records import Record, kind, quoted
from honed.errors import InvalidInput

Shape = Literal["table", "prompt_completion", "alpaca", "sharegpt", "messages", "text", "preference"]

# In this order, for a table may hold the columns of several; the first names the most.
_COLUMNS: tuple[tuple[Shape, tuple[str, ...]], ...] = (
    ("messages", ("messages",)),
    ("sharegpt", ("conversations",)),
    ("preference", ("prompt", "chosen", "rejected")),
    ("alpaca", ("instruction", "output")),
    ("prompt_completion", ("prompt", "completion")),
)
_OF_LISTS = {"messages", "sharegpt"}


@dataclass(frozen=True, slots=True)
class Preference:
    """A prompt and two replies, of which one was chosen."""

    prompt: str
    chosen: str
    rejected: str


def detect_shape(table: Table, sample: Sequence[Record]) -> Shape:
    """The shape that the columns name. A labelled table is never guessed: nothing says which column is the label.

    Args:
        sample: some rows. Where none of them holds a list, a column that is named "messages" holds no conversations.

    Raises:
        InvalidInput: SHAPE_UNKNOWN, with the columns and the options that would do.
    """
    for shape, columns in _COLUMNS:
        if not set(columns) <= set(table.columns):
            continue
        if shape in _OF_LISTS and not any(isinstance(record.values.get(columns[0]), list) for record in sample):
            continue
        return shape
    if table.columns == ("text",):
        return "text"
    known = "; ".join(f"{shape}: {', '.join(columns)}" for shape, columns in (*_COLUMNS, ("text", ("text alone",))))
    raise InvalidInput(
        f"{table.file}: the columns {quoted(table.columns)} do not say what a row is. For texts with a label give "
        "--text-column and --label-column; for anything else --template, with a column for each of its slots; or name "
        f"the columns after one of the known shapes ({known}; messages and conversations hold lists).",
        reason="SHAPE_UNKNOWN",
    )


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

"""A row of a table as plain values, and the limits that every format keeps."""

import resource
from dataclasses import dataclass
from pathlib import Path

from honed.data.problems import BadRow
from honed.errors import InvalidInput

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]

MAX_ROW_BYTES = 1 << 20
MAX_COLUMNS = 1000
MAX_COLUMN_CHARACTERS = 200
MAX_DEPTH = 32
MAX_ROWS = 5_000_000

_KINDS = {str: "text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object"}
_CHECK_MEMORY_EVERY_ROWS = 512
_USABLE_MEMORY = 0.85


@dataclass(frozen=True, slots=True)
class Record:
    """One row: its number from 1 (the header and blank lines are no rows) and its values by column."""

    number: int
    values: dict[str, Value]


def kind(value: Value) -> str:
    """What a value is, in the words of an error message."""
    return "nothing" if value is None else _KINDS[type(value)]


def quoted(names: tuple[str, ...]) -> str:
    """The first names for an error message."""
    shown = ", ".join(f"{name!r:.100}" for name in names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"


def check_columns(columns: tuple[str, ...], file: str) -> None:
    """Raises InvalidInput unless there are few enough columns, each with a short name of its own."""
    if len(columns) > MAX_COLUMNS:
        raise InvalidInput(
            f"{file}: there are {len(columns)} columns; at most {MAX_COLUMNS} are allowed. Leave some out.",
            reason="TABLE_TOO_WIDE",
            limit_columns=MAX_COLUMNS,
        )
    long = tuple(column for column in columns if len(column) > MAX_COLUMN_CHARACTERS)
    if long:
        raise InvalidInput(
            f"{file}: the columns {quoted(long)} have names of more than {MAX_COLUMN_CHARACTERS} characters; rename "
            "them. Does the table have a header?",
            reason="HEADER_INVALID",
        )
    twice = tuple(sorted({column for column in columns if columns.count(column) > 1}))
    if twice:
        raise InvalidInput(
            f"{file}: the header names {quoted(twice)} more than once; every column needs a name of its own.",
            reason="HEADER_DUPLICATE",
        )


def check_count(number: int, file: str) -> None:
    """Raises InvalidInput past the last row allowed, and MemoryError before the memory is at its limit."""
    if number % _CHECK_MEMORY_EVERY_ROWS == 0:
        _check_memory()
    if number > MAX_ROWS:
        raise too_many_rows(file)


def too_many_rows(file: str) -> InvalidInput:
    return InvalidInput(
        f"{file}: more than {MAX_ROWS:,} rows, the most that a table may have. Leave some out: a random part of so "
        "many will do.",
        reason="TABLE_TOO_LONG",
        limit_rows=MAX_ROWS,
    )


def check_value(values: dict[str, Value], *, escaped: bool = True) -> None:
    """Checks the values of a row with all that they hold.

    Args:
        escaped: whether a text may hold NUL or half a character at all; saves looking.

    Raises:
        BadRow: one holds text or a number that no UTF-8 JSON can, or is nested too deep; names the column.
    """
    for column, value in values.items():
        try:
            if escaped:
                _check_text(column)
            _check(value, escaped, 2)
        except BadRow as bad:
            raise BadRow(f"{column!r:.100}: {bad.reason}") from None


def _check(value: Value, escaped: bool, depth: int) -> None:
    """`depth`: lists and objects around what the value holds, the row included."""
    if isinstance(value, str):
        if escaped:
            _check_text(value)
    elif isinstance(value, dict | list):
        if depth > MAX_DEPTH:
            raise BadRow(f"nested deeper than {MAX_DEPTH} lists and objects; flatten it, or leave the column out")
        if isinstance(value, dict):
            if escaped:
                for key in value:
                    _check_text(key)
            value = list(value.values())
        for item in value:
            _check(item, escaped, depth + 1)
    elif isinstance(value, float) and value - value != 0:
        raise BadRow(f"{value} is no number that JSON can write; leave it out, or write null")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise BadRow("a text holds a NUL character; remove it")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise BadRow("a text holds half a character (a surrogate without its pair); write the whole one") from None


def _check_memory() -> None:
    """Raises MemoryError while there is still memory to handle it in.

    CPython 3.11 can spin for good in a generator to which the kernel refuses memory (seen here near RLIMIT_AS), so the
    limit itself must not be reached.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit == resource.RLIM_INFINITY:
        return
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    if pages * resource.getpagesize() > _USABLE_MEMORY * limit:
        raise MemoryError

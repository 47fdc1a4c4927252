"""Bytes of a table to rows of text; knows CSV and JSONL, nothing of labels, prompts or models.

The bytes are untrusted: nothing longer than a line is held in memory, every limit is named in the error, and every bad
row is reported by its number (from 1, the header not counted) before anything is kept.
"""

import csv
import json
import re
import resource
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, cast

from honed.errors import InvalidInput

Format = Literal["csv", "jsonl"]

MAX_LINE_BYTES = 1 << 20
MAX_COLUMNS = 1000
MAX_ROWS = 5_000_000
SHOWN_PROBLEMS = 20
_CHECK_MEMORY_EVERY_ROWS = 4096
_USABLE_MEMORY = 0.85

_SURROGATE = re.compile(r"[\ud800-\udfff]")  # a JSON escape can make one; UTF-8 cannot hold it


@dataclass(frozen=True, slots=True)
class Row:
    """One record: its number from 1 and its text by column."""

    number: int
    values: dict[str, str]


@dataclass
class Problems:
    """Collects what is wrong with a table, so that all of it is reported at once."""

    found: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def add(self, row: int, reason: str) -> None:
        self.found.append((f"row {row}", reason))

    def raise_if_any(self, file: str) -> None:
        """Raises InvalidInput that names the first rows, and how many more there are."""
        if not self.found:
            return
        shown = tuple(self.found[:SHOWN_PROBLEMS])
        rest = len(self.found) - len(shown)
        more = f", and {rest} more" if rest else ""
        listed = "; ".join(f"{row}: {reason}" for row, reason in shown[:3])
        raise InvalidInput(
            f"{file}: {len(self.found)} bad row(s), nothing of the file was kept. {listed}"
            f"{'; ...' if len(self.found) > 3 else ''}",
            reason="ROWS_INVALID",
            violations=(*shown, ("file", f"the first {len(shown)} are listed{more}")) if rest else shown,
            bad_rows=len(self.found),
        )


def read_rows(path: Path, table_format: Format, columns: tuple[str, ...], file: str) -> list[Row]:
    """Rows of the table at `path`, with the named columns only.

    Args:
        columns: the columns wanted; each must exist.
        file: what to call the file in errors.

    Raises:
        InvalidInput: the file is empty, lacks a column, or any row is bad (`violations` names the rows).
    """
    if path.stat().st_size == 0:
        raise InvalidInput(f"{file}: the file is empty; expected a table with rows.", reason="TABLE_EMPTY")
    problems = Problems()
    with path.open("rb") as stream:
        records = _csv_records if table_format == "csv" else _jsonl_records
        rows = list(records(stream, columns, file, problems))
    problems.raise_if_any(file)
    if not rows:
        raise InvalidInput(
            f"{file}: there is no row of data; expected at least one after the header.", reason="TABLE_EMPTY"
        )
    return rows


def _lines(stream: BinaryIO, file: str) -> Iterator[str]:
    """Decoded lines with their ends; stops at the first line that is too long or not UTF-8."""
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            raise InvalidInput(
                f"{file}: line {number} is longer than {MAX_LINE_BYTES:,} bytes; expected one row a line.",
                reason="LINE_TOO_LONG",
                line=number,
                limit_bytes=MAX_LINE_BYTES,
            )
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"{file}: line {number} is not UTF-8: byte 0x{line[error.start]:02x} at position {error.start + 1}. "
                "Convert the file to UTF-8 and add it again.",
                reason="ENCODING_INVALID",
                line=number,
                position=error.start + 1,
            ) from None
        if "\0" in text:
            raise InvalidInput(
                f"{file}: line {number} contains a NUL character.", reason="ENCODING_INVALID", line=number
            )
        yield text


def _csv_records(stream: BinaryIO, columns: tuple[str, ...], file: str, problems: Problems) -> Iterator[Row]:
    csv.field_size_limit(MAX_LINE_BYTES)
    reader = csv.reader(_lines(stream, file), strict=True)
    number = 0
    header: list[str] | None = None
    try:
        for record in reader:
            if not record:
                continue  # a blank line is no row
            if header is None:
                header = record
                _check_header(header, columns, file)
                continue
            number += 1
            _check_count(number, file)
            if len(record) != len(header):
                problems.add(number, f"expected {len(header)} fields as in the header, found {len(record)}")
                continue
            values = dict(zip(header, record, strict=True))
            yield Row(number, {column: values[column] for column in columns})
    except csv.Error as error:
        raise InvalidInput(
            f"{file}: row {number + 1} (line {reader.line_num}) is not valid CSV: {error}. "
            'Fields that hold commas, quotes or line breaks go between double quotes, a quote is doubled ("").',
            reason="ROWS_INVALID",
            violations=((f"row {number + 1}", str(error)),),
            line=reader.line_num,
        ) from None


def _check_header(header: list[str], columns: tuple[str, ...], file: str) -> None:
    if len(header) > MAX_COLUMNS:
        raise InvalidInput(
            f"{file}: the header has {len(header)} columns; at most {MAX_COLUMNS} are allowed.", reason="TABLE_TOO_WIDE"
        )
    twice = sorted({column for column in header if header.count(column) > 1})
    if twice:
        raise InvalidInput(
            f"{file}: the header names {_quoted(twice)} more than once; every column needs a name of its own.",
            reason="HEADER_DUPLICATE",
        )
    for column in columns:
        if column not in header:
            raise InvalidInput(
                f"{file}: there is no column {column!r}; the header has {_quoted(header)}.",
                reason="COLUMN_MISSING",
                column=column,
            )


def _jsonl_records(stream: BinaryIO, columns: tuple[str, ...], file: str, problems: Problems) -> Iterator[Row]:
    number = 0
    for line in _lines(stream, file):
        if not line.strip():
            continue
        number += 1
        _check_count(number, file)
        try:
            record: object = json.loads(line, object_pairs_hook=_unique_object)
        except (ValueError, RecursionError) as error:
            problems.add(number, f"not valid JSON: {error}")
            continue
        if not isinstance(record, dict):
            problems.add(number, f"expected a JSON object, found {type(record).__name__}")
            continue
        values: dict[str, str] = {}
        for column in columns:
            value = cast("dict[str, object]", record).get(column)
            if isinstance(value, str) and _SURROGATE.search(value):
                problems.add(number, f"{column!r} holds half a character (a surrogate without its pair)")
            elif isinstance(value, str):
                values[column] = value
            elif value is None:
                problems.add(number, f"there is no key {column!r}")
            else:
                problems.add(number, f"{column!r} must be a string, found {type(value).__name__}")
        if len(values) == len(columns):
            yield Row(number, values)


def _unique_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a key occurs twice in one object")
    return record


def _check_count(number: int, file: str) -> None:
    if number % _CHECK_MEMORY_EVERY_ROWS == 0:
        _check_memory()
    if number > MAX_ROWS:
        raise InvalidInput(f"{file}: more than {MAX_ROWS:,} rows.", reason="TABLE_TOO_LONG", limit_rows=MAX_ROWS)


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


def _quoted(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:12])
    return shown if len(names) <= 12 else f"{shown} and {len(names) - 12} more"

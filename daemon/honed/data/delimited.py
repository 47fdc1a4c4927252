"""CSV and TSV (RFC 4180; TSV is quoted in the same way) to records; all values are text."""

import csv
from collections.abc import Iterator
from typing import BinaryIO

from honed.data.lines import decoded, lines
from honed.data.problems import Problems
from honed.data.records import MAX_ROW_BYTES, Record, check_columns, check_count
from honed.errors import InvalidInput


def read_header(stream: BinaryIO, delimiter: str, file: str) -> tuple[str, ...]:
    """The names of the columns.

    Raises:
        InvalidInput: there is none, it is broken, too wide, or names a column twice.
    """
    return _header(_rows(_Text(stream, file), delimiter), file)


def read_records(stream: BinaryIO, delimiter: str, file: str, problems: Problems) -> Iterator[Record]:
    """The rows below the header. After broken quoting nothing further is read: where a row ends is unknown."""
    text = _Text(stream, file)
    rows = _rows(text, delimiter)
    header = _header(rows, file)
    text.begin_row()
    width = len(header)
    number = 0
    try:
        for fields in rows:
            text.begin_row()
            if not fields:
                continue  # a blank line is no row
            number += 1
            check_count(number, file)
            if len(fields) == width:
                yield Record(number, dict(zip(header, fields, strict=True)))
            else:
                problems.add(number, f"expected {width} fields as in the header, found {len(fields)}")
    except csv.Error as error:
        problems.add(
            number + 1,
            f"line {text.line} is not valid: {error}; the rows after it were not read. "
            'Fields that hold the separator, quotes or line breaks go between double quotes, a quote is doubled ("")',
        )


def _header(rows: Iterator[list[str]], file: str) -> tuple[str, ...]:
    try:
        header = tuple(next((fields for fields in rows if fields), ()))
    except csv.Error as error:
        raise InvalidInput(f"{file}: the header is not valid: {error}.", reason="HEADER_INVALID") from None
    if not header:
        raise InvalidInput(f"{file}: there is no header; expected the names of the columns.", reason="TABLE_EMPTY")
    check_columns(header, file)
    return header


def _rows(text: "_Text", delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_ROW_BYTES)
    return csv.reader(iter(text), delimiter=delimiter, strict=True)


class _Text:
    """Decoded lines; bounds the bytes of a row, for an open quote joins lines without end."""

    def __init__(self, stream: BinaryIO, file: str) -> None:
        self._stream = stream
        self._file = file
        self._row_bytes = 0
        self.line = 0

    def begin_row(self) -> None:
        self._row_bytes = 0

    def __iter__(self) -> Iterator[str]:
        for line in lines(self._stream, self._file):
            self.line += 1
            self._row_bytes += len(line)
            if self._row_bytes > MAX_ROW_BYTES:
                raise InvalidInput(
                    f"{self._file}: the row that goes on in line {self.line} is longer than {MAX_ROW_BYTES:,} bytes; "
                    'is a closing quote (") missing?',
                    reason="LINE_TOO_LONG",
                    line=self.line,
                    limit_bytes=MAX_ROW_BYTES,
                )
            yield decoded(line, self.line, self._file)

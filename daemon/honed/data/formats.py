"""A table of untrusted bytes as a stream of records; knows nothing of labels, prompts or models.

No more than a row (of Parquet, a batch of them) is held in memory, every limit is named in the error, and every bad row
is reported by its number before anything is kept. `records` states what a row may hold, `problems` collects bad ones.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from honed.data import delimited, json_rows, parquet
from honed.data.compression import Compression, compression_of, open_bytes
from honed.data.problems import Problems
from honed.data.records import MAX_ROW_BYTES, Record, check_columns
from honed.errors import InvalidInput

Format = Literal["csv", "tsv", "jsonl", "json", "parquet"]

_RECORDS_FOR_COLUMNS = 100
_DELIMITERS = {"csv": ",", "tsv": "\t"}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# First bytes of what is added by mistake, and what to do about it.
_FOREIGN = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook; unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV",
    b"BZh91AY&SY": "compressed with bzip2; expected gzip, zstd or no compression",
    b"\xfd7zXZ\0": "compressed with xz; expected gzip, zstd or no compression",
    b"\x1f\x8b": "compressed twice; unpack it once",
    b"\x28\xb5\x2f\xfd": "compressed twice; unpack it once",
}


@dataclass(frozen=True)
class Table:
    """A table on disk.

    Attributes:
        path: where it lies.
        file: what to call it in errors.
        columns: the names in the header; for JSON the keys of the first 100 rows, in the order of first sight.
    """

    path: Path
    file: str
    format: Format
    compression: Compression
    columns: tuple[str, ...]

    def records(self, problems: Problems) -> Iterator[Record]:
        """Reads the rows, anew at each call; bad ones are left out and added to `problems`.

        Raises:
            InvalidInput: something is wrong with the file as a whole, or there is no row.
        """
        bad_before = problems.count
        rows = _read(self.path, self.file, self.format, self.compression, problems)
        first = next(rows, None)
        if first is not None:
            yield first
            yield from rows
        elif problems.count == bad_before:
            raise InvalidInput(
                f"{self.file}: there is no row of data; expected at least one (a header is no row).",
                reason="TABLE_EMPTY",
            )


def open_table(path: Path, table_format: Format | None, file: str) -> Table:
    """Finds out a table's compression, format and columns.

    Args:
        table_format: None: seen from the bytes.
        file: what to call the file in errors.

    Raises:
        InvalidInput: the file is empty, of no format that is known, or its columns cannot be read.
    """
    if path.stat().st_size == 0:
        raise _empty(file)
    compression = compression_of(path)
    with open_bytes(path, compression, file) as stream:
        head = stream.read(MAX_ROW_BYTES)
    if not head:
        raise _empty(file)
    _refuse_foreign(head, file)
    found = table_format or _detect(head, file)
    if found == "jsonl":
        _refuse_indented(head, file)
    return Table(path, file, found, compression, _columns(path, file, found, compression))


def _read(
    path: Path, file: str, table_format: Format, compression: Compression, problems: Problems
) -> Iterator[Record]:
    if table_format == "parquet":
        yield from parquet.read_records(path, compression, file, problems)
        return
    with open_bytes(path, compression, file) as stream:
        match table_format:
            case "csv" | "tsv":
                yield from delimited.read_records(stream, _DELIMITERS[table_format], file, problems)
            case "jsonl":
                yield from json_rows.read_lines(stream, file, problems)
            case "json":
                yield from json_rows.read_array(stream, file, problems)


def _columns(path: Path, file: str, table_format: Format, compression: Compression) -> tuple[str, ...]:
    match table_format:
        case "parquet":
            return parquet.read_columns(path, compression, file)
        case "csv" | "tsv":
            with open_bytes(path, compression, file) as stream:
                return delimited.read_header(stream, _DELIMITERS[table_format], file)
        case "json" | "jsonl":
            problems = Problems()
            rows = islice(_read(path, file, table_format, compression, problems), _RECORDS_FOR_COLUMNS)
            columns = tuple(dict.fromkeys(key for row in rows for key in row.values))
            if not columns:
                problems.raise_if_any(file)
                raise InvalidInput(
                    f"{file}: there is no row with a key; expected objects with a key for each column, such as "
                    '{"prompt": "…", "completion": "…"}.',
                    reason="TABLE_EMPTY",
                )
            check_columns(columns, file)
            return columns


def _detect(head: bytes, file: str) -> Format:
    """The format of a file that begins so."""
    if head.startswith(b"PAR1"):
        return "parquet"
    start = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if start.startswith(b"["):
        return "json"
    if start.startswith(b"{"):
        return "jsonl"
    # Of a header in which the first name is empty, as pandas writes its index, the first tab counts.
    header = head.removeprefix(_BYTE_ORDER_MARK).lstrip(b" \r\n").partition(b"\n")[0].decode(errors="replace")
    fields = {separator: _fields(header, separator) for separator in ",\t;"}
    if fields[","] == fields["\t"] == 1 < fields[";"]:
        raise InvalidInput(
            f"{file}: the columns seem to be separated by semicolons; expected commas or tabs. "
            "Export it anew, or name the format if it is one column.",
            reason="FORMAT_UNKNOWN",
        )
    # A comma in a name of a TSV header is less rare than a tab in a name of a CSV header.
    return "tsv" if fields["\t"] >= max(fields[","], 2) else "csv"


def _fields(line: str, separator: str) -> int:
    """Fields in which a separator cuts a line; quoted ones count as one."""
    try:
        return sum(len(fields) for fields in csv.reader([line], delimiter=separator))
    except csv.Error:
        return 1


def _refuse_foreign(head: bytes, file: str) -> None:
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        raise InvalidInput(
            f"{file}: line 1 begins with the byte order mark of UTF-16; expected UTF-8. "
            "Convert the file to UTF-8 and add it again.",
            reason="ENCODING_INVALID",
            line=1,
        )
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise InvalidInput(f"{file}: it is {what}.", reason="FORMAT_UNKNOWN")


def _refuse_indented(head: bytes, file: str) -> None:
    """Raises InvalidInput for JSON that is written over several lines, as people read it, and not one object a line."""
    first, _, rest = head.removeprefix(_BYTE_ORDER_MARK).lstrip().partition(b"\n")
    if rest.strip() and first.startswith(b"{") and first.rstrip().endswith((b"{", b"[", b",")):
        raise InvalidInput(
            f"{file}: line 1 begins a JSON object that goes on in line 2. Write one object a line, or one array of "
            "objects; rows inside another object are not looked for.",
            reason="JSON_INVALID",
            line=1,
        )


def _empty(file: str) -> InvalidInput:
    return InvalidInput(f"{file}: the file is empty; expected a table with rows.", reason="TABLE_EMPTY")

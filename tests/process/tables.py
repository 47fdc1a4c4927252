"""Rows as the bytes of a table: every format and compression that an upload may come in."""

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

FORMATS = ("csv", "tsv", "jsonl", "json", "parquet")
NESTED_FORMATS = ("jsonl", "json", "parquet")  # whose cells can be lists
COMPRESSIONS = ("", "gzip", "zstd")
Rows = Sequence[Mapping[str, Any]]


def encode(rows: Rows, table_format: str, compression: str = "") -> bytes:
    """The rows as a file; the columns of CSV, TSV and Parquet are those of the first row."""
    return compress(_WRITERS[table_format](rows), compression)


def compress(content: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.compress(content)
    return zstandard.compress(content) if compression == "zstd" else content


def _delimited(rows: Rows, delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _json_lines(rows: Rows) -> bytes:
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows).encode()


def _json_array(rows: Rows) -> bytes:
    return json.dumps(rows, ensure_ascii=False, indent=1).encode()


def _parquet(rows: Rows) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), buffer)
    return buffer.getvalue()


_WRITERS = {
    "csv": lambda rows: _delimited(rows, ","),
    "tsv": lambda rows: _delimited(rows, "\t"),
    "jsonl": _json_lines,
    "json": _json_array,
    "parquet": _parquet,
}

"""Apache Parquet to records through pyarrow, which is loaded here alone and only when a table needs it."""

import shutil
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson
from honed.data.compression import MAX_BYTES, Compression, open_bytes
from honed.data.problems import BadRow, Problems
from honed.data.records import (
    MAX_DEPTH,
    MAX_ROW_BYTES,
    MAX_ROWS,
    Record,
    Value,
    check_columns,
    check_count,
    check_value,
    too_many_rows,
)
from honed.errors import InvalidInput

_BATCH_ROWS = 64  # a row may have 1 MiB, and a few bytes of dictionary may say so many times


def read_columns(path: Path, compression: Compression, file: str) -> tuple[str, ...]:
    """The names of the columns.

    Raises:
        InvalidInput: the file is damaged or too large, or a column cannot become text, numbers, lists and objects.
    """
    with _open(path, compression, file) as table:
        return tuple(_target(table.schema_arrow, file).names)


def read_records(path: Path, compression: Compression, file: str, problems: Problems) -> Iterator[Record]:
    """The rows. Dates, times and decimals become text as Arrow writes them; NaN and the infinities become None."""
    number = decoded_bytes = 0
    with _open(path, compression, file) as table:
        target = _target(table.schema_arrow, file)
        names = target.names
        for batch in _batches(table, target, file):
            batch_bytes = batch.nbytes
            decoded_bytes += batch_bytes
            if decoded_bytes > MAX_BYTES:
                raise InvalidInput(
                    f"{file}: the values are more than {MAX_BYTES:,} bytes. Split the table.",
                    reason="DECOMPRESSED_TOO_LARGE",
                    limit_bytes=MAX_BYTES,
                )
            columns = [_values(column, field, number, file) for column, field in zip(batch, target, strict=True)]
            for row in zip(*columns, strict=True):
                number += 1
                check_count(number, file)
                values = dict(zip(names, row, strict=True))
                try:
                    check_value(values)
                    if batch_bytes > MAX_ROW_BYTES and len(orjson.dumps(values)) > MAX_ROW_BYTES:
                        raise BadRow(f"longer than {MAX_ROW_BYTES:,} bytes; shorten it, or cut it into several rows")
                except BadRow as bad:
                    problems.add(number, bad.reason)
                else:
                    yield Record(number, values)
        if number != table.metadata.num_rows:
            raise InvalidInput(
                f"{file}: it announces {table.metadata.num_rows:,} rows and holds {number:,}. Write it anew.",
                reason="PARQUET_INVALID",
            )


@contextmanager
def _open(path: Path, compression: Compression, file: str) -> Generator[Any]:
    """An open pyarrow ParquetFile; a compressed file is unpacked beside it first, for Parquet is read from its end."""
    parquet = import_module("pyarrow.parquet")
    with tempfile.TemporaryFile(dir=path.parent) if compression else path.open("rb") as source:
        if compression:
            with open_bytes(path, compression, file) as packed:
                shutil.copyfileobj(packed, source)
        with _typed_errors(file):
            table = parquet.ParquetFile(source)
            rows, columns = table.metadata.num_rows, tuple(table.schema_arrow.names)
        if rows > MAX_ROWS:
            raise too_many_rows(file)
        check_columns(columns, file)
        yield table


@contextmanager
def _typed_errors(file: str) -> Generator[None]:
    """Turns what pyarrow raises over damaged bytes into InvalidInput."""
    arrow = import_module("pyarrow")
    try:
        yield
    except MemoryError:
        raise
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"{file}: not a readable Parquet file: {error}. Was it copied completely?", reason="PARQUET_INVALID"
        ) from None


def _batches(table: Any, target: Any, file: str) -> Iterator[Any]:
    batches = table.iter_batches(batch_size=_BATCH_ROWS, use_threads=False)
    while True:
        with _typed_errors(file):
            batch = next(batches, None)
            if batch is None:
                return
            batch = batch if batch.schema.equals(target) else batch.cast(target)
        yield batch


def _values(column: Any, field: Any, rows_before: int, file: str) -> list[Value]:
    """A column's values as Python's."""
    types = import_module("pyarrow.types")
    try:
        values: list[Value] = column.to_pylist()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{file}: a text of column {field.name!r} in rows {rows_before + 1} to {rows_before + len(column)} is not "
            f"UTF-8: {error.reason}. Write it as UTF-8 and add the file again.",
            reason="ENCODING_INVALID",
            column=field.name,
        ) from None
    if types.is_floating(field.type) or types.is_nested(field.type):
        return [_finite(value) for value in values]
    return values


def _finite(value: Value) -> Value:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value


def _target(schema: Any, file: str) -> Any:
    """The schema to read as: text, numbers, true and false, lists and objects."""
    arrow = import_module("pyarrow")
    return arrow.schema([arrow.field(field.name, _plain_type(field.type, field.name, file)) for field in schema])


def _plain_type(kind: Any, column: str, file: str, depth: int = 1) -> Any:
    arrow, types = import_module("pyarrow"), import_module("pyarrow.types")
    if depth > MAX_DEPTH:
        raise _unsupported(file, column, f"nested deeper than {MAX_DEPTH} types")
    if types.is_dictionary(kind):
        return _plain_type(kind.value_type, column, file, depth + 1)
    if types.is_struct(kind):
        names = [field.name for field in kind]
        if len(set(names)) < len(names):
            raise _unsupported(file, column, "an object that names a field twice")
        return arrow.struct([field.with_type(_plain_type(field.type, column, file, depth + 1)) for field in kind])
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return arrow.list_(_plain_type(kind.value_type, column, file, depth + 1))
    if types.is_string(kind) or types.is_large_string(kind) or types.is_integer(kind) or types.is_floating(kind):
        return kind
    if types.is_boolean(kind) or types.is_null(kind):
        return kind
    if types.is_date(kind) or types.is_time(kind) or types.is_timestamp(kind) or types.is_decimal(kind):
        return arrow.string()
    raise _unsupported(file, column, f"of the type {kind}")


def _unsupported(file: str, column: str, what: str) -> InvalidInput:
    return InvalidInput(
        f"{file}: column {column!r} is {what:.200}; expected text, numbers, dates, lists or objects. "
        "Leave the column out, or write it as text.",
        reason="COLUMN_TYPE_UNSUPPORTED",
        column=column,
    )

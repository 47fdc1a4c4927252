"""Tables in every format, and what intake makes of them."""

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from helpers.chat_templates import family_renderer
from honed.data import Example, Prepared
from honed.data.formats import Format
from honed.data.intake import Intake, IntakeModel
from honed.data.reader import Wanted
from honed.errors import HonedError

Rows = Sequence[Mapping[str, Any]]
DETECTED = Wanted()


def _delimited(rows: Rows, delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _parquet(rows: Rows) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), buffer)
    return buffer.getvalue()


WRITE: Mapping[Format, Callable[[Rows], bytes]] = {
    "csv": lambda rows: _delimited(rows, ","),
    "tsv": lambda rows: _delimited(rows, "\t"),
    "jsonl": lambda rows: "\n".join(map(json.dumps, rows)).encode(),
    "json": lambda rows: json.dumps(rows).encode(),
    "parquet": _parquet,
}
PACK: Mapping[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}


@dataclass(frozen=True)
class Taken:
    """What became of a table.

    Attributes:
        facts: as JSON.
        files: names of the files in the data set's folder.
        train, test: the examples.
    """

    facts: dict[str, Any]
    files: list[str]
    data: Prepared
    train: tuple[Example, ...]
    test: tuple[Example, ...]

    @property
    def rows(self) -> tuple[list[str], list[str]]:
        """The names of the rows on either side."""
        return [example.row for example in self.train], [example.row for example in self.test]

    @property
    def report(self) -> dict[str, Any]:
        return self.facts["report"]

    @property
    def findings(self) -> dict[str, dict[str, Any]]:
        """Findings by code; of several of one code the last."""
        return {finding["code"]: finding for finding in self.report["findings"]}


def take(
    train: Rows | bytes,
    test: Rows | bytes | None = None,
    *,
    wanted: Wanted = DETECTED,
    table_format: Format = "jsonl",
    named: bool = False,
    compression: str = "",
    model: IntakeModel | None = None,
    fraction: float = 0.2,
    seed: int = 0,
) -> Taken:
    """Takes tables in, given as rows or bytes; `named`: with the format given, and not detected."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tables = {"train": train} if test is None else {"train": train, "test": test}
        for side, table in tables.items():
            content = table if isinstance(table, bytes) else WRITE[table_format](table)
            (folder / side).write_bytes(PACK[compression](content))
        output = folder / "data"
        output.mkdir()
        test_file = None if test is None else folder / "test"
        given = table_format if named else None
        facts = Intake(output, wanted, model).prepare(folder / "train", test_file, given, fraction, seed)
        data = Prepared.load(output)
        files = sorted(path.name for path in output.iterdir())
        return Taken(json.loads(json.dumps(facts)), files, data, data.train, data.test)


def refusal(*tables: Rows | bytes, **options: Any) -> HonedError:
    """How tables are refused."""
    with pytest.raises(HonedError) as caught:
        take(*tables, **options)
    return caught.value


def tiny(context_length: int, long_rows: Any = "refuse") -> IntakeModel:
    """A model of this context."""
    return IntakeModel("models/tiny", family_renderer("chatml"), context_length, long_rows)

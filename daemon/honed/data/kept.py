"""The rows that passed: noted by the checks, named, and spooled to disk; keys and numbers alone stay in memory."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
from honed.data.checks import Checks
from honed.data.columns import Column
from honed.data.messages import Example


@dataclass(frozen=True, slots=True)
class Row:
    """A row on its way.

    Attributes:
        number: in its table.
        group: None: that of its prompt.
        cells: of the columns that are watched.
        piece: which part of a row that was cut it is: " (1 of 3)".
    """

    number: int
    example: Example
    group: str | None
    cells: dict[str, str | None]
    piece: str = ""


class Kept:
    """Takes rows in the order of the table, those of the training table first; used as a context, it ends its files.

    Attributes:
        columns: what was noted of each column that no example is made of.
        watched: the columns whose cells are still of use.
    """

    def __init__(self, folder: Path, columns: Sequence[str], *, labelled: bool) -> None:
        """`folder` holds the spools until `close`."""
        self.checks = Checks()
        self.columns = {column: Column() for column in columns}
        self.watched = list(columns)
        self._train_rows: int | None = None
        self._labelled = labelled
        self._numbers = array("I")
        self._pieces: dict[int, str] = {}
        self._paths = folder / "rows.spool", folder / "cells.spool"
        self._rows, self._cells = (path.open("w+b") for path in self._paths)

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def prefix(self) -> str:
        """What stands before the number of a row of the table that is read."""
        return "" if self._train_rows is None else "test "

    @property
    def slices(self) -> list[str]:
        """The columns by which an evaluation may be sliced, once all rows are there."""
        return [name for name, column in self.columns.items() if column.sliceable]

    def start_test_table(self) -> int:
        """Says that the rows to come are of the test table, and how many came before."""
        self._train_rows = len(self)
        self.checks.start_table()
        return self._train_rows

    def add(self, rows: Sequence[Row]) -> None:
        """Notes, names and spools rows."""
        prefix = self.prefix
        for row in rows:
            name = f"{prefix}{row.number}{row.piece}"
            if row.piece:
                self._pieces[len(self)] = row.piece
            self._numbers.append(row.number)
            self._rows.write(orjson.dumps(row.example.to_json() | {"row": name}, option=orjson.OPT_APPEND_NEWLINE))
            if row.cells:
                self._note_cells(row.cells)
        self.watched = [name for name in self.watched if self.columns[name].watched]
        if rows:
            self.checks.add([row.example for row in rows], [row.group for row in rows], labelled=self._labelled)

    def name(self, index: int) -> str:
        """What a row is called: "17", "test 17" or "17 (1 of 3)"."""
        prefix = "" if self._train_rows is None or index < self._train_rows else "test "
        return f"{prefix}{self._numbers[index]}{self._pieces.get(index, '')}"

    def number(self, index: int) -> int:
        """A row's number in its table."""
        return self._numbers[index]

    def spooled(self) -> Iterator[tuple[bytes, bytes]]:
        """The rows, read again: the line of each, and that of its cells, empty where there is nothing to slice by."""
        slices = self.slices
        self._rows.seek(0)
        self._cells.seek(0)
        for line in self._rows:  # of a column that can be sliced by, every row has its cell
            yield line, self._cells.readline() if slices else b""

    def example(self, line: bytes, cells: bytes) -> Example:
        """A spooled row, with the cells that an evaluation may be sliced by."""
        example = Example.from_json(orjson.loads(line))
        if not cells:
            return example
        values = orjson.loads(cells)
        return replace(example, columns={column: values[column] for column in self.slices})

    def close(self) -> None:
        """Deletes the spools."""
        for file, path in zip((self._rows, self._cells), self._paths, strict=True):
            file.close()
            path.unlink()

    def _note_cells(self, cells: dict[str, str | None]) -> None:
        for column, value in cells.items():
            self.columns[column].add(value)
        if sliced := {column: value for column, value in cells.items() if self.columns[column].may_slice}:
            self._cells.write(orjson.dumps(sliced, option=orjson.OPT_APPEND_NEWLINE))

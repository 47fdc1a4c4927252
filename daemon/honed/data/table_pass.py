"""The first pass over one table: every row is read, parsed, measured and kept, or becomes a problem."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from honed.data.batches import batches, characters
from honed.data.columns import cell
from honed.data.formats import Table
from honed.data.ids import Ids
from honed.data.kept import Kept, Row
from honed.data.labels import check_count, check_label
from honed.data.long_rows import LongRows, Measure
from honed.data.problems import BadRow, Problems
from honed.data.reader import Reader
from honed.errors import InvalidInput


class TablePass:
    """Reads one table into what is kept."""

    def __init__(self, table: Table, reader: Reader, kept: Kept, long_rows: LongRows | None) -> None:
        self._table = table
        self._reader = reader
        self._kept = kept
        self._long_rows = long_rows
        self._problems = Problems()
        self._ids = Ids()

    def run(self) -> None:
        """While some rows are tokenised, on all cores, the next are parsed.

        Raises:
            InvalidInput: with all that is wrong with the rows; or no row is left.
        """
        before = len(self._kept)
        with ThreadPoolExecutor(1) as pool:
            waiting: tuple[list[Row], Future[list[Measure]] | None] | None = None
            for batch in batches(self._rows(), _characters):
                measures = (
                    pool.submit(self._long_rows.measure, [row.example for row in batch]) if self._long_rows else None
                )
                if waiting:
                    self._keep(*waiting)
                waiting = batch, measures
            if waiting:
                self._keep(*waiting)
        for row, first in self._ids.repeated():
            self._problems.add(
                row,
                f"its {self._reader.id_column!r} is that of row {first}; remove one of the two, or name another id "
                "column, or none (--id-column '')",
            )
        self._problems.raise_if_any(self._table.file)
        if len(self._kept) == before:
            dropped = self._long_rows is not None and self._long_rows.count
            raise InvalidInput(
                f"{self._table.file}: no row of data is left; expected at least one"
                f"{' that is not too long for the model' if dropped else ' after the header'}.",
                reason="TABLE_EMPTY",
            )

    def _rows(self) -> Iterator[Row]:
        """The rows that can be parsed."""
        reader, labelled = self._reader, self._reader.task == "classify"
        for record in self._table.records(self._problems):
            try:
                example = reader.example(record)
                if labelled:
                    check_label(example.reply)
                group = reader.group(record)
            except BadRow as bad:
                self._problems.add(record.number, bad.reason)
                continue
            if row_id := reader.row_id(record):
                self._ids.add(row_id, record.number)
            cells = {column: cell(record.values.get(column)) for column in self._kept.watched}
            yield Row(record.number, example, group, cells)

    def _keep(self, batch: Sequence[Row], measures: Future[list[Measure]] | None) -> None:
        self._kept.add(batch if measures is None else list(self._fitting(batch, measures)))
        check_count(self._kept.checks.labels)

    def _fitting(self, batch: Sequence[Row], measures: Future[list[Measure]]) -> Iterator[Row]:
        """The rows that fit the model, and pieces of those that do not."""
        assert self._long_rows is not None, "only what was measured can be too long"
        try:
            measured = zip(batch, measures.result(), strict=True)
        except InvalidInput:
            measured = self._long_rows.measure_each(batch, self._problems)
        for row, measure in measured:
            try:
                yield from self._long_rows.fitting(row, measure, self._kept.prefix)
            except BadRow as bad:
                self._problems.add(row.number, bad.reason)


def _characters(row: Row) -> int:
    return characters(row.example) + (sum(len(value or "") for value in row.cells.values()) if row.cells else 0)

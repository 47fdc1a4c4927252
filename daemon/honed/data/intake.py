"""A table to a prepared data set: read, checked, split and written in two passes, in bounded memory.

The first pass parses every row, counts its tokens and spools it to disk; keys, lengths and ids alone stay in memory.
Once every row is known to be good, the split is drawn and the second pass deals the rows out.
"""

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from honed.data.checks import Checks
from honed.data.dealing import deal
from honed.data.formats import Format, open_table
from honed.data.kept import Kept
from honed.data.labels import trained_labels
from honed.data.long_rows import IntakeModel, LongRows
from honed.data.prepared import Prepared
from honed.data.reader import Reader, Wanted
from honed.data.report import report
from honed.data.splits import split
from honed.data.table_pass import TablePass
from honed.errors import InvalidInput
from numpy.typing import NDArray

__all__ = ["Intake", "IntakeModel"]


class Intake:
    """Prepares one data set."""

    def __init__(self, folder: Path, wanted: Wanted, model: IntakeModel | None) -> None:
        """`folder` takes the data set; nothing in it counts until `prepare` has returned."""
        self._folder = folder
        self._wanted = wanted
        self._model = model

    def prepare(
        self, train_file: Path, test_file: Path | None, table_format: Format | None, test_fraction: float, seed: int
    ) -> dict[str, Any]:
        """Writes train.jsonl, test.jsonl and dataset.json; returns the facts of honed.worker.contract.IngestWork but
        for the report's time of tuning, and the digest.

        Raises:
            InvalidInput: anything is wrong with a file or a row.
        """
        if test_file and self._wanted.group_column:
            raise InvalidInput.of_field("header.group_column", "refused beside a separate test table: nothing is drawn")
        table = open_table(train_file, table_format, "training table")
        reader = Reader.of(table, self._wanted)
        long_rows = LongRows(self._model, reader.task) if self._model else None
        others = [column for column in table.columns if column not in reader.columns]
        with closing(Kept(self._folder, others, labelled=reader.task == "classify")) as kept:
            TablePass(table, reader, kept, long_rows).run()
            if test_file:
                test_table = open_table(test_file, table_format, "test table")
                reader.require_columns(test_table)
                train_rows = kept.start_test_table()
                TablePass(test_table, reader, kept, long_rows).run()
                held_out = np.arange(len(kept)) >= train_rows
            else:
                held_out = _drawn(kept.checks, test_fraction, seed)
            if reader.template:
                reader.template.require_labels(self._wanted.verbalizer or {})
            dropped = long_rows.dropped_labels if long_rows else ()
            labels = trained_labels(kept, held_out, dropped) if reader.task == "classify" else []
            data = Prepared(reader.shape, reader.task, reader.template, tuple(labels), tuple(kept.slices))
            with data.writer(self._folder) as writer:
                deal(kept, held_out, writer, merge=reader.merges)
        template = reader.template
        return {
            "digest": writer.digest,
            "format": table.format,
            "shape": reader.shape,
            "task": reader.task,
            "template": template.template.to_json() if template else None,
            "columns": {slot: list(names) for slot, names in template.columns.items()} if template else {},
            "parameters": template.parameters if template else {},
            "train_rows": writer.train_rows,
            "test_rows": writer.test_rows,
            "labels": labels,
            "slice_columns": kept.slices,
            "report": report(kept, held_out, reader, long_rows, drawn=test_file is None and test_fraction > 0),
        }


def _drawn(checks: Checks, test_fraction: float, seed: int) -> NDArray[np.bool_]:
    """Which rows are held out. Every label occurs in training."""
    labels = checks.label_array()
    if checks.labels:  # numbered in alphabetical order, so that the order of the table does not matter
        labels = np.argsort(np.argsort(checks.labels))[labels]
    _, _, groups = checks.key_arrays()
    held_out = split(groups, labels, test_fraction, seed)
    unseen = np.setdiff1d(labels[held_out], labels[~held_out])
    back = groups[held_out & np.isin(labels, unseen)]
    return held_out & ~np.isin(groups, back)

"""Ids of the rows of one table, to find those that two rows share: 12 bytes a row, and no id as text."""

from array import array
from collections.abc import Iterator

import numpy as np
from honed.data.splits import text_key


class Ids:
    """Collects ids, then names the rows that repeat one."""

    def __init__(self) -> None:
        self._keys = array("Q")
        self._rows = array("I")

    def add(self, row_id: str, row: int) -> None:
        """Notes the id of a row; rows come in the order of the table."""
        self._keys.append(text_key(row_id))
        self._rows.append(row)

    def repeated(self) -> Iterator[tuple[int, int]]:
        """(row, first row with its id) for each row whose id an earlier one has, in the order of the table."""
        rows = np.frombuffer(self._rows, np.uint32)
        _, first, member = np.unique(np.frombuffer(self._keys, np.uint64), return_index=True, return_inverse=True)
        before = first[member]
        for place in np.flatnonzero(before != np.arange(len(rows))).tolist():
            yield int(rows[place]), int(rows[before[place]])

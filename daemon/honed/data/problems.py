"""What is wrong with the rows of a table, collected so that all of it is reported at once."""

import heapq
from dataclasses import dataclass, field

from honed.errors import InvalidInput

SHOWN_PROBLEMS = 20


class BadRow(Exception):
    """One row cannot be used.

    It never leaves `honed.data`: who reads the rows adds the reason to `Problems` under the row's number.

    Attributes:
        reason: what was expected, what was found and what to do; names the column, not the row.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Problems:
    """Counts the bad rows of a table and keeps the first of them, in whatever order they are found.

    Attributes:
        count: how many problems were added.
    """

    count: int = 0
    # A heap of SHOWN_PROBLEMS at most, by the row minus, so that the last row is on top.
    _kept: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def add(self, row: int, reason: str) -> None:
        self.count += 1
        if len(self._kept) < SHOWN_PROBLEMS:
            heapq.heappush(self._kept, (-row, reason))
        else:
            heapq.heappushpop(self._kept, (-row, reason))

    @property
    def first(self) -> tuple[tuple[str, str], ...]:
        """Pairs of a row ("row 5") and what is wrong with it: the first SHOWN_PROBLEMS rows, in order."""
        return tuple((f"row {-row}", reason) for row, reason in sorted(self._kept, key=lambda kept: -kept[0]))

    def raise_if_any(self, file: str) -> None:
        """Raises InvalidInput that names the first rows, and how many more there are."""
        if not self.count:
            return
        first = self.first
        rest = self.count - len(first)
        listed = "; ".join(f"{row}: {reason}" for row, reason in first[:3])
        note = ("file", f"the first {len(first)} are listed, and {rest} more")
        more = "; ..." if self.count > 3 else ""
        raise InvalidInput(
            f"{file}: {self.count} bad row(s), nothing of the file was kept. {listed}{more}",
            reason="ROWS_INVALID",
            violations=(*first, note) if rest else first,
            bad_rows=self.count,
        )

"""What is wrong with the rows of a table, collected so that all of it is reported at once."""

from dataclasses import dataclass, field

from honed.errors import InvalidInput

SHOWN_PROBLEMS = 20


class BadRow(Exception):
    """One row cannot be used.

    It never leaves `honed.data`: who reads the rows adds the reason to `Problems` under the row's number.

    Attributes:
        reason: what was expected and what was found; names the column, not the row.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass
class Problems:
    """Counts the bad rows of a table and keeps the first of them.

    Attributes:
        count: how many problems were added.
        first: pairs of a row ("row 5") and what is wrong with it, at most SHOWN_PROBLEMS.
    """

    count: int = 0
    first: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def add(self, row: int, reason: str) -> None:
        self.count += 1
        if len(self.first) < SHOWN_PROBLEMS:
            self.first.append((f"row {row}", reason))

    def raise_if_any(self, file: str) -> None:
        """Raises InvalidInput that names the first rows, and how many more there are."""
        if not self.count:
            return
        rest = self.count - len(self.first)
        listed = "; ".join(f"{row}: {reason}" for row, reason in self.first[:3])
        note = ("file", f"the first {len(self.first)} are listed, and {rest} more")
        more = "; ..." if self.count > 3 else ""
        raise InvalidInput(
            f"{file}: {self.count} bad row(s), nothing of the file was kept. {listed}{more}",
            reason="ROWS_INVALID",
            violations=(*self.first, note) if rest else tuple(self.first),
            bad_rows=self.count,
        )

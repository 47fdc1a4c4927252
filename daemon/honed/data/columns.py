"""Columns of which no example is made: what is noted of each, and its cells as people write them."""

from dataclasses import dataclass, field

from honed.data.records import Value
from honed.data.splits import text_key

MAX_SLICE_VALUES = 50
_MAX_VALUE_CHARACTERS = 200


def cell(value: Value) -> str | None:
    """A value as people write it in a table, "" for null; None for a list or an object."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return "" if value is None else None


@dataclass
class Column:
    """What is noted of one column: its values while they are few, of long ones a key.

    Attributes:
        nested: whether it holds a list or an object, of which no slice can be made.
        long: whether it holds a text too long to name a slice by.
    """

    values: set[str] = field(default_factory=set[str])
    nested: bool = False
    long: bool = False

    def add(self, value: str | None) -> None:
        """Notes a `cell`."""
        if not self.watched:
            return
        if value is None:
            self.nested = True
        elif len(value) > _MAX_VALUE_CHARACTERS:
            self.long = True
            self.values.add(f"{text_key(value):x}")
        else:
            self.values.add(value)

    @property
    def watched(self) -> bool:
        """Whether a further value can still tell anything."""
        return not self.nested and len(self.values) <= (1 if self.long else MAX_SLICE_VALUES)

    @property
    def constant(self) -> bool:
        return len(self.values) == 1 and not self.nested

    @property
    def may_slice(self) -> bool:
        """Whether an evaluation may be sliced by it, if it has two values by the end."""
        return not self.nested and not self.long and len(self.values) <= MAX_SLICE_VALUES

    @property
    def sliceable(self) -> bool:
        """Whether an evaluation may be sliced by it."""
        return self.may_slice and len(self.values) >= 2

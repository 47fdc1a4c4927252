"""Cells of a table, or texts of a request, as the value of one slot of a template: the same value from either.

Text loses its outer white space, numbers and booleans are written as JSON, null and NaN count as empty. In a slot that
is written as JSON, text that is a JSON object or list counts as that object or list.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Any, cast

from honed.data.problems import BadRow
from honed.data.records import quoted
from honed.data.template_language import SlotValue, is_filled, to_json
from honed.data.templates import Slot

_STRICT_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True)
class Filling:
    """A slot and the columns that fill it.

    Attributes:
        columns: one; for a slot that takes many any number; for an optional slot perhaps none.
        structured: True if the slot is written as JSON wherever it is written, so that lists and objects may fill it.
    """

    slot: Slot
    columns: tuple[str, ...]
    structured: bool

    def of_row(self, values: Mapping[str, object]) -> SlotValue:
        """The slot's value in a row of the table, given as JSON values by column.

        Raises:
            BadRow: a column is missing or empty, or holds what cannot be written; names it.
        """
        if self.slot.many:
            return self._object(values)
        if not self.columns:
            return ""
        (column,) = self.columns
        return self._single(column, values)

    def of_text(self, text: str) -> SlotValue:
        """The slot's value in a request; of many columns a JSON object, a single one of which may be given bare.

        Raises:
            BadRow: as `of_row`.
        """
        if not self.columns and text.strip():
            raise BadRow("no column filled it when the model was tuned; leave it out")
        return (
            self._object(self._cells(text)) if self.slot.many else self._single(self.slot.name, {self.slot.name: text})
        )

    def _single(self, column: str, values: Mapping[str, object]) -> SlotValue:
        cell = _cell(column, values.get(column))
        if cell is None:
            if self.slot.optional:
                return ""
            raise BadRow(f"{column!r} is empty" if column in values else f"there is no {column!r}")
        if isinstance(cell, list | dict):
            if not self.structured:
                found = "a list" if isinstance(cell, list) else "an object"
                raise BadRow(f"{column!r} must be text, found {found}; only a slot that is written as JSON takes one")
            return cast("SlotValue", cell)
        text = cell if isinstance(cell, str) else to_json(cell)
        return _structure(text) if self.structured else text

    def _object(self, values: Mapping[str, object]) -> SlotValue:
        cells: dict[str, Any] = {}
        for column in self.columns:
            cell = _cell(column, values.get(column))
            cells[column] = _structure(cell) if self.structured and isinstance(cell, str) else cell
        # As JSON, an object of nulls is still something to learn: that a text gives none of the fields.
        if not is_filled(cells) and not self.slot.optional and not self.structured:
            raise BadRow(f"{quoted(self.columns)} {'is' if len(cells) == 1 else 'are all'} empty")
        return cells

    def _cells(self, text: str) -> dict[str, object]:
        parsed = parsed_json(text)
        if isinstance(parsed, dict):
            cells = cast("dict[str, object]", parsed)
            unknown = tuple(key for key in cells if key not in self.columns)
            if not unknown and (cells or len(self.columns) != 1):
                return cells
            if len(self.columns) != 1:
                raise BadRow(f"has no column {quoted(unknown)}; it has {quoted(self.columns)}")
        if not text.strip():
            return {}
        if len(self.columns) == 1:
            return {self.columns[0]: text}
        raise BadRow(f"expected a JSON object with the keys {quoted(self.columns)}, found {text[:40]!r}")


def parsed_json(text: str) -> object:
    """The value of JSON text; None where it is none, or none that can be written again."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if _is_sound(value) else None


def _cell(column: str, value: object) -> object:
    """A value of a table as the language takes it: text stripped, what is empty None."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, float):
        if isnan(value):
            return None
        if not isfinite(value):
            raise BadRow(f"{column!r} is infinite, which JSON cannot write")
    elif isinstance(value, list | dict) and not _is_sound(cast("object", value)):
        raise BadRow(f"{column!r} holds what JSON cannot write: NaN, an infinite number, or half a character")
    return cast("object", value)


def _structure(text: str) -> SlotValue:
    """A JSON object or list as such; other text as it is."""
    if text[0] not in "[{":
        return text
    parsed = parsed_json(text)
    return cast("SlotValue", parsed) if isinstance(parsed, list | dict) else text


def _is_sound(value: object) -> bool:
    try:
        _STRICT_JSON.encode(value).encode()  # refuses NaN and infinity; UTF-8 refuses half of a surrogate pair
    except (ValueError, RecursionError):
        return False
    return True

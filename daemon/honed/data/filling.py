"""Cells of a table, or texts of a request, as the value of one slot of a template: the same value from either.

Text loses its outer white space, numbers and booleans are written as JSON, null and NaN count as empty. In a slot that
is written as JSON they stay numbers and booleans, and text that is a JSON object or list counts as that object or list.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any, cast

from honed.data.exact_json import exact_float, unique_keys
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
            cells = {column: self._cell(column, values.get(column)) for column in self.columns}
            # As JSON, an object of nulls is still something to learn: that a text gives none of the fields.
            if not is_filled(cells) and not self.slot.optional and not self.structured:
                raise BadRow(f"{quoted(self.columns)} {'is' if len(cells) == 1 else 'are all'} empty")
            return cells
        for column in self.columns:  # one at most
            if (cell := self._cell(column, values.get(column))) is not None:
                return cell
            if not self.slot.optional:
                raise BadRow(f"{column!r} is empty" if column in values else f"there is no {column!r}")
        return ""

    def of_text(self, text: str) -> SlotValue:
        """The slot's value in a request.

        Of many columns it is a JSON object by column. A single column may be given bare; in a slot that is written as
        JSON, such an object alone can say that the value is a number or a boolean.

        Raises:
            BadRow: as `of_row`.
        """
        if not self.columns and text.strip():
            raise BadRow("no column filled it when the model was tuned; leave it out")
        return self.of_row(self._cells(text))

    def _cells(self, text: str) -> dict[str, Any]:
        """The text of a request as cells by column."""
        single = len(self.columns) == 1
        try:
            cells = parsed_json(text) if self.slot.many or self.structured else None
        except BadRow:
            if not single:
                raise
            cells = None
        if isinstance(cells, dict):
            unknown = tuple(str(key) for key in cast("dict[Any, Any]", cells) if key not in self.columns)
            if not unknown and (cells or not single):
                return cast("dict[str, Any]", cells)
            if not single:
                raise BadRow(f"has no column {quoted(unknown)}; it has {quoted(self.columns)}")
        if single or not text.strip():
            return dict.fromkeys(self.columns, text)
        raise BadRow(f"expected a JSON object with the keys {quoted(self.columns)}, found {text[:40]!r}")

    def _cell(self, column: str, value: object) -> Any:
        """A cell as the language takes it; None for what is empty."""
        if isinstance(value, str):
            text = value.strip()
            try:
                parsed = parsed_json(text) if self.structured and text.startswith(("[", "{")) else None
            except BadRow as bad:
                raise BadRow(f"{column!r}: {bad.reason}") from None
            return text or None if parsed is None else parsed
        if value is None or (isinstance(value, float) and isnan(value)):
            return None
        if not _is_sound(value):
            raise BadRow(f"{column!r} holds what JSON cannot write: NaN, an infinite number, or half a character")
        if self.structured or self.slot.many:
            return value
        if isinstance(value, list | dict):
            found = "a list" if isinstance(value, list) else "an object"
            raise BadRow(f"{column!r} must be text, found {found}; only a slot that is written as JSON takes one")
        return to_json(value)


def parsed_json(text: str) -> object:
    """The value of JSON text; None where it is none, or none that can be written again.

    Raises:
        BadRow: it is JSON, but a key occurs twice, or a number has too many digits.
    """
    try:
        value: object = json.loads(text, object_pairs_hook=unique_keys, parse_float=exact_float)
    except (ValueError, RecursionError):
        return None
    return value if _is_sound(value) else None


def _is_sound(value: object) -> bool:
    try:
        _STRICT_JSON.encode(value).encode()  # refuses NaN and infinity; UTF-8 refuses half of a surrogate pair
    except (ValueError, RecursionError):
        return False
    return True

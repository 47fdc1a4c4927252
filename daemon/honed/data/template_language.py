"""The template language: text with slots, filters and conditions, compiled once and rendered row by row.

    {{ name }}                      the value of a slot or parameter
    {{ name | filter | filter }}    the value, changed by each filter in turn
    {{# name }}...{{/ name }}       kept where the value is not empty
    {{^ name }}...{{/ name }}       kept where the value is empty
    {{{{                            two opening braces as text

Filters:

    json         the value as JSON: text as a string; of a slot that takes many columns, an object by column, in the
                 order in which the columns were given, an empty one as null
    lines        of a slot that takes many columns: a single column's value bare; of several, a line "column: value"
                 for each that is not empty. Lists and objects as JSON
    lower        lower case
    upper        upper case
    strip        without white space at either end
    words        underscores and hyphens to spaces: "lost_or-stolen" to "lost or stolen"
    first_line   up to the end of the first line that is not blank

There is nothing else: no attributes, no calls, no loops, no statements; `{%` is refused, so that a Jinja template is
not mistaken for text. Rendering takes time and memory in proportion to the template and its values, and to no more than
MAX_RENDERED_CHARACTERS. The module knows no tables, tasks or messages.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from honed.data.problems import BadRow
from honed.errors import InvalidInput

# A slot's value in a row: text; under `json` any other JSON value too; of a slot that takes many, an object by column.
SlotValue = str | int | float | list[Any] | dict[str, Any]

MAX_SOURCE_CHARACTERS = 20_000
MAX_RENDERED_CHARACTERS = 4_000_000
MAX_DEPTH = 8
NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")

_TAG = re.compile(r"\{\{([^{}]*)\}\}")
_ALLOWED = (
    "{{ name }}, {{ name | filter }}, {{# name }}...{{/ name }} or {{^ name }}...{{/ name }}, where a name is a "
    "lower-case letter, then letters, digits and '_'"
)
to_json = json.JSONEncoder(ensure_ascii=False).encode


def _lines(value: SlotValue) -> str:
    if not isinstance(value, dict):
        return _plain(value)
    if len(value) == 1:
        return _plain(next(iter(value.values())))
    return "\n".join(f"{column}: {_plain(cell)}" for column, cell in value.items() if cell is not None)


def _plain(cell: object) -> str:
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else to_json(cell)


# Filters that take any value, and those that take text alone. Each gives text.
STRUCTURE_FILTERS: Mapping[str, Callable[[Any], str]] = {"json": to_json, "lines": _lines}
TEXT_FILTERS: Mapping[str, Callable[[str], str]] = {
    "lower": str.lower,
    "upper": str.upper,
    "strip": str.strip,
    "words": lambda text: text.replace("_", " ").replace("-", " "),
    "first_line": lambda text: text.lstrip().partition("\n")[0].rstrip(),
}
_FILTERS: Mapping[str, Callable[[Any], str]] = {**STRUCTURE_FILTERS, **TEXT_FILTERS}


@dataclass(frozen=True)
class Write:
    """`{{ name | filters }}`."""

    name: str
    filters: tuple[str, ...]
    functions: tuple[Callable[[Any], str], ...]


@dataclass(frozen=True)
class Condition:
    """`{{# name }}body{{/ name }}`, or with `^` where `filled` is False."""

    name: str
    filled: bool
    body: "tuple[Part, ...]"


Part = str | Write | Condition


def is_filled(value: SlotValue) -> bool:
    """False for empty text, an empty list, and an object that holds nothing but nulls."""
    if isinstance(value, dict):
        return any(cell is not None for cell in value.values())
    return value not in ("", [])


@dataclass(frozen=True)
class Compiled:
    """A template's text, ready to render."""

    parts: tuple[Part, ...]

    def render(self, values: Mapping[str, SlotValue]) -> str:
        """The text of one row; `values` holds every name of the template.

        Raises:
            BadRow: it would be longer than MAX_RENDERED_CHARACTERS.
        """
        return _render(self.parts, values)

    def writes(self) -> tuple[Write, ...]:
        """Every place where a value is written, in order."""
        return tuple(part for part in _walk(self.parts) if isinstance(part, Write))

    def names(self) -> tuple[str, ...]:
        """Every name that is written or asked about, in order of first sight."""
        return tuple(dict.fromkeys(part.name for part in _walk(self.parts) if not isinstance(part, str)))

    def can_write(self, never_empty: frozenset[str]) -> bool:
        """Whether some row could give more than white space, where the values of `never_empty` never are empty."""
        return _can_write(self.parts, dict.fromkeys(never_empty, True))


def compile_template(source: str, field: str) -> Compiled:
    """Parses the text of a template.

    Args:
        field: what to call it in errors ("template.user").

    Raises:
        InvalidInput: reason TEMPLATE_INVALID; names the field, line, column, what was found and what is allowed.
    """
    if len(source) > MAX_SOURCE_CHARACTERS:
        raise template_error(
            field, f"expected {MAX_SOURCE_CHARACTERS:,} characters at most, found {len(source):,}; shorten it"
        )
    return _Parser(source, field).parse()


def template_error(field: str, what: str) -> InvalidInput:
    """The error of one mistake in a template."""
    return InvalidInput(f"{field}: {what}", reason="TEMPLATE_INVALID", violations=((field, what),))


@dataclass
class _Open:
    """A condition whose end has not been seen."""

    name: str
    filled: bool
    start: int
    parts: list[Part]


class _Parser:
    """One pass over the text, with a stack of the conditions that are open."""

    def __init__(self, source: str, field: str) -> None:
        self._source = source
        self._field = field
        self._parts: list[Part] = []
        self._open: list[_Open] = []

    def parse(self) -> Compiled:
        position = 0
        while (start := self._source.find("{", position)) >= 0:
            self._text(self._source[position:start])
            position = self._brace(start)
        self._text(self._source[position:])
        if self._open:
            last = self._open[-1]
            self._refuse(last.start, f"and no {{{{/ {last.name} }}}} after it; every condition needs its end")
        return Compiled(tuple(self._parts))

    def _text(self, text: str) -> None:
        parts = self._here()
        if text and parts and isinstance(parts[-1], str):
            parts[-1] += text
        elif text:
            parts.append(text)

    def _here(self) -> list[Part]:
        return self._open[-1].parts if self._open else self._parts

    def _brace(self, start: int) -> int:
        """Handles what begins with the brace at `start`; returns where it ends."""
        if self._source.startswith("{{{{", start):
            self._text("{{")
            return start + 4
        if self._source.startswith("{%", start):
            self._refuse(start, f"but the language has no statements and no loops; it has {_ALLOWED}")
        if not self._source.startswith("{{", start):
            self._text("{")
            return start + 1
        tag = _TAG.match(self._source, start)
        if tag is None:
            self._refuse(start, f"which no }}}} closes; expected {_ALLOWED} ({{{{{{{{ writes two braces)")
        content: str = tag[1].strip()
        kind = content[:1]
        if kind not in ("#", "^", "/"):
            self._write(content, start)
            return tag.end()
        name = content[1:].strip()
        if NAME.fullmatch(name) is None:
            self._refuse(start, f"expected {_ALLOWED}")
        if kind == "/":
            self._close(name, start)
        else:
            if len(self._open) == MAX_DEPTH:
                self._refuse(start, f"inside {MAX_DEPTH} other conditions; at most {MAX_DEPTH} may be nested")
            self._open.append(_Open(name, kind == "#", start, []))
        return tag.end()

    def _write(self, content: str, start: int) -> None:
        name, *filters = (part.strip() for part in content.split("|"))
        if NAME.fullmatch(name) is None:
            self._refuse(start, f"expected {_ALLOWED}")
        for unknown in filters:
            if unknown not in _FILTERS:
                self._refuse(start, f"but {unknown[:40]!r} is no filter; there are {', '.join(_FILTERS)}")
        for later in filters[1:]:
            if later == "lines":
                self._refuse(start, "but 'lines' takes the columns of a slot, so it must be the first filter")
        self._here().append(Write(name, tuple(filters), tuple(_FILTERS[name] for name in filters)))

    def _close(self, name: str, start: int) -> None:
        expected = f"expected {{{{/ {self._open[-1].name} }}}}" if self._open else "but no condition is open"
        if not self._open or self._open[-1].name != name:
            self._refuse(start, expected)
        closed = self._open.pop()
        self._here().append(Condition(name, closed.filled, tuple(closed.parts)))

    def _refuse(self, start: int, what: str) -> NoReturn:
        line = self._source.count("\n", 0, start) + 1
        column = start - self._source.rfind("\n", 0, start)
        found = self._source[start : start + 40].partition("\n")[0]
        end = found.find("}}")
        shown = found if end < 0 else found[: end + 2]
        raise template_error(self._field, f"line {line}, column {column}: found {shown!r}, {what}")


def _render(parts: tuple[Part, ...], values: Mapping[str, SlotValue]) -> str:
    pieces: list[str] = []
    characters = 0
    for part in parts:
        if isinstance(part, str):
            piece = part
        elif isinstance(part, Write):
            piece: Any = values[part.name]
            for function in part.functions:
                piece = function(piece)
        elif is_filled(values[part.name]) is part.filled:
            piece = _render(part.body, values)
        else:
            continue
        pieces.append(piece)
        characters += len(piece)
        if characters > MAX_RENDERED_CHARACTERS:
            raise BadRow(
                f"the template makes more than {MAX_RENDERED_CHARACTERS:,} characters of it; shorten the values, or "
                "write them fewer times"
            )
    return "".join(pieces)


def _walk(parts: tuple[Part, ...]) -> Iterator[Part]:
    for part in parts:
        yield part
        if isinstance(part, Condition):
            yield from _walk(part.body)


def _can_write(parts: tuple[Part, ...], known: Mapping[str, bool]) -> bool:
    """`known` says of a name whether it is filled here, as far as the conditions around the parts tell."""
    for part in parts:
        if isinstance(part, str):
            writes = bool(part.strip())
        elif isinstance(part, Write):
            # Under `json` even an empty value is written: as "", or as an object of nulls.
            writes = known.get(part.name, True) or "json" in part.filters
        else:
            reachable = known.get(part.name, part.filled) is part.filled
            writes = reachable and _can_write(part.body, {**known, part.name: part.filled})
        if writes:
            return True
    return False

"""What a command says: data on stdout as text or JSON, everything else on stderr."""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from honed.client.cli.values import NOTHING, size, visible

if TYPE_CHECKING:
    from google.protobuf.message import Message

    MessageT = TypeVar("MessageT", bound=Message)


class Output:
    """Prints data to stdout, either for people or as JSON with the field names of honed.v1."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def listing(self, messages: Iterable[MessageT], columns: Mapping[str, Callable[[MessageT], str]]) -> None:
        """A table with one row a message, or a JSON array of the messages."""
        if self.as_json:
            _print_json([as_dict(message) for message in messages])
        else:
            print_table([list(columns), *([cell(message) for cell in columns.values()] for message in messages)])

    def record(self, message: Message) -> None:
        """One message: a line a field, or a JSON object."""
        if self.as_json:
            _print_json(as_dict(message))
        else:
            print_table([[path, text] for path, text in _fields(as_dict(message))])

    def item(self, message: Message, text: str) -> None:
        """One of a sequence of messages: `text`, or the message as a line of JSON."""
        print(json.dumps(as_dict(message), ensure_ascii=False) if self.as_json else visible(text))

    def answer(self, data: Mapping[str, Any]) -> None:
        """A JSON object that is no single message, as one line."""
        print(json.dumps(data, ensure_ascii=False), flush=True)


def note(text: str) -> None:
    """A line for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


def print_table(rows: list[list[str]]) -> None:
    """Columns as wide as their widest cell, two spaces apart."""
    rows = [[visible(cell) or NOTHING for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def as_dict(message: Message) -> dict[str, Any]:
    """A message as JSON: proto field names, unset scalars included, 64-bit integers as strings (the proto3 mapping)."""
    from google.protobuf.json_format import MessageToDict

    fields = MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    # In the order of the contract; by itself protobuf puts the unset ones last.
    return {field.name: fields[field.name] for field in message.DESCRIPTOR.fields if field.name in fields}


def _print_json(data: object) -> None:
    print(json.dumps(data, indent=2, ensure_ascii=False))


def _fields(data: object, path: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a JSON value with their dotted paths; sizes in a readable unit beside the exact number."""
    if isinstance(data, dict):
        for key, value in cast("dict[str, object]", data).items():
            yield from _fields(value, f"{path}.{key}" if path else key)
    elif isinstance(data, list) and data and isinstance(data[0], dict):
        for index, value in enumerate(cast("list[object]", data)):
            yield from _fields(value, f"{path}[{index}]")
    elif isinstance(data, list):
        yield path, ", ".join(map(str, cast("list[object]", data)))
    elif path.endswith("_bytes"):
        yield path, f"{size(int(str(data)))} ({data} bytes)"
    else:
        yield path, str(data)

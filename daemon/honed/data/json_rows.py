"""JSON to records: one object a line (JSONL), or one array of objects; knows nothing of what the keys mean.

Decoded by Python's own decoder: orjson keeps the last of two equal keys and rounds numbers of many digits, both in
silence, and to find out afterwards takes longer than it saves.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, TypeVar

from honed.data.exact_json import exact_float, unique_keys
from honed.data.lines import decoded, lines
from honed.data.problems import BadRow, Problems
from honed.data.records import MAX_COLUMNS, MAX_ROW_BYTES, Record, Value, check_count, check_value, kind
from honed.errors import InvalidInput

_SPACE = re.compile(r"[ \t\r\n]*")
_CHUNK_BYTES = 1 << 20
_From = TypeVar("_From")
_To = TypeVar("_To")


def read_lines(stream: BinaryIO, file: str, problems: Problems) -> Iterator[Record]:
    """The objects of a JSONL file; blank lines are no rows."""
    decoder = _Decoder()
    number = 0
    for line_number, line in enumerate(lines(stream, file), 1):
        text = decoded(line, line_number, file).strip(" \t\r\n")
        if not text:
            continue
        number += 1
        check_count(number, file)
        try:
            end = decoder.decode(text, 0)
            if end < len(text):
                raise BadRow(f"not valid JSON: something follows the value, {end} characters into the line")
            yield Record(number, decoder.checked(escaped="\\u" in text))
        except BadRow as bad:
            problems.add(number, bad.reason)


def read_array(stream: BinaryIO, file: str, problems: Problems) -> Iterator[Record]:
    """The objects of a JSON array. After an element that is no JSON nothing further is read: where it ends is unknown.

    Raises:
        InvalidInput: the file is no array, or there is something else after it.
    """
    text = _Window(stream, file)
    decoder = _Decoder()
    if text.next() != "[":
        raise _no_array(file, "it begins with", text.next())
    text.skip(1)
    number = 0
    separator = ","
    if text.next() == "]":
        separator = "]"
        text.skip(1)
    while separator != "]":
        number += 1
        check_count(number, file)
        try:
            escaped = text.decode(decoder)
        except BadRow as bad:
            problems.add(number, f"{bad.reason}; the rows after it were not read")
            return
        try:
            yield Record(number, decoder.checked(escaped=escaped))
        except BadRow as bad:
            problems.add(number, bad.reason)
        separator = text.next()
        if separator not in {",", "]"}:
            raise _no_array(file, f"row {number} is not followed by ',' or ']' but by", separator)
        text.skip(1)
    if text.next():
        raise _no_array(file, "its closing ']' is followed by", text.next())


class _Decoder:
    """Decodes one value after the other; of each it is noted what would be lost of it."""

    def __init__(self) -> None:
        pairs: Callable[[list[tuple[str, Value]]], dict[str, Value]] = unique_keys
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._noting(pairs, dict[str, Value]), parse_float=self._noting(exact_float, float)
        )
        self._lost: BadRow | None = None
        self._value: Value = None

    def decode(self, text: str, start: int) -> int:
        """Decodes the value that begins at `start`, and returns where it ends.

        Raises:
            BadRow: it is no JSON; at a JSONDecodeError that is the cause.
        """
        self._lost = None
        try:
            self._value, end = self._decoder.raw_decode(text, start)
        except json.JSONDecodeError as error:
            raise BadRow(f"not valid JSON: {error.msg}, {error.pos - start} characters into it") from error
        except RecursionError:
            raise BadRow("not valid JSON: nested too deep") from None
        except ValueError as error:  # a number of more digits than Python converts
            raise BadRow(f"not valid JSON: {error}") from None
        return end

    def checked(self, *, escaped: bool) -> dict[str, Value]:
        """The value decoded last, as the object that it must be; raises BadRow."""
        value = self._value
        if not isinstance(value, dict):
            raise BadRow(f"expected a JSON object, found {kind(value)}")
        if self._lost:
            raise self._lost
        if len(value) > MAX_COLUMNS:
            raise BadRow(f"{len(value)} keys; at most {MAX_COLUMNS} are allowed")
        check_value(value, escaped=escaped)
        return value

    def _noting(self, exact: Callable[[_From], _To], lossy: Callable[[_From], _To]) -> Callable[[_From], _To]:
        """`exact`, going on with what `lossy` makes where it refuses: the value must be read to its end."""

        def hook(found: _From) -> _To:
            try:
                return exact(found)
            except BadRow as lost:
                self._lost = self._lost or lost
                return lossy(found)

        return hook


class _Window:
    """The text of a stream, with the longest possible row ahead of where it is read."""

    def __init__(self, stream: BinaryIO, file: str) -> None:
        self._stream = stream
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._text = ""
        self._position = 0
        self._read_bytes = 0
        self._ended = False

    def next(self) -> str:
        """Goes on to the next character that is no white space, and returns it; "" at the end."""
        while True:
            match = _SPACE.match(self._text, self._position)
            self._position = match.end() if match else self._position
            if self._position < len(self._text) or self._ended:
                return self._text[self._position : self._position + 1]
            self._fill()

    def skip(self, characters: int) -> None:
        self._position += characters

    def decode(self, decoder: _Decoder) -> bool:
        """Decodes the next value and goes on behind it; returns whether it holds escapes; BadRow says what is wrong."""
        self.next()
        self._fill()
        try:
            end = decoder.decode(self._text, self._position)
        except BadRow as bad:
            # Of a row that the window cuts, the decoder complains at the cut or of the text that reaches it.
            error = bad.__cause__
            cut = isinstance(error, json.JSONDecodeError) and (
                error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - 8
            )
            if cut and not self._ended:
                raise _too_long() from None
            raise
        raw = self._text[self._position : end]
        if len(raw) > MAX_ROW_BYTES // 4 and len(raw.encode()) > MAX_ROW_BYTES:
            raise _too_long()
        self._position = end
        return "\\u" in raw

    def _fill(self) -> None:
        while len(self._text) - self._position <= MAX_ROW_BYTES and not self._ended:
            chunk = self._stream.read(_CHUNK_BYTES)
            try:
                text = self._decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                position = self._read_bytes + len(chunk) - len(error.object) + error.start + 1
                raise InvalidInput(
                    f"{self._file}: byte {position:,} of the file, 0x{error.object[error.start]:02x}, is not UTF-8. "
                    "Convert the file to UTF-8 and add it again.",
                    reason="ENCODING_INVALID",
                    position=position,
                ) from None
            self._read_bytes += len(chunk)
            self._text = self._text[self._position :] + text
            self._position = 0
            self._ended = not chunk


def _too_long() -> BadRow:
    return BadRow(f"longer than {MAX_ROW_BYTES:,} bytes")


def _no_array(file: str, what: str, found: str) -> InvalidInput:
    return InvalidInput(
        f"{file}: expected one JSON array of objects, but {what} {repr(found) if found else 'the end of the file'}. "
        "A file with one object a line is of the format jsonl.",
        reason="JSON_INVALID",
    )

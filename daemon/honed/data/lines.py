"""Lines of untrusted bytes: bounded, without NUL."""

from collections.abc import Iterator
from typing import BinaryIO

from honed.data.records import MAX_ROW_BYTES, MAX_ROWS
from honed.errors import InvalidInput

MAX_LINES = 10 * MAX_ROWS  # blank ones and those inside quotes count: a small packed file can hold any number


def lines(stream: BinaryIO, file: str) -> Iterator[bytes]:
    """Lines with their ends, a byte order mark taken off.

    Raises:
        InvalidInput: at the first line that is too long, holds NUL, or is one too many.
    """
    number = 0
    while line := stream.readline(MAX_ROW_BYTES + 1):
        number += 1
        if len(line) > MAX_ROW_BYTES:
            raise InvalidInput(
                f"{file}: line {number} is longer than {MAX_ROW_BYTES:,} bytes; expected one row a line.",
                reason="LINE_TOO_LONG",
                line=number,
                limit_bytes=MAX_ROW_BYTES,
            )
        if number > MAX_LINES:
            raise InvalidInput(
                f"{file}: more than {MAX_LINES:,} lines. Leave blank ones out, and split the table.",
                reason="TABLE_TOO_LONG",
                limit_lines=MAX_LINES,
            )
        if b"\0" in line:
            raise InvalidInput(
                f"{file}: line {number} contains a NUL character, as text never does. Remove it, or export the table "
                "anew as UTF-8 text.",
                reason="ENCODING_INVALID",
                line=number,
            )
        yield line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def decoded(line: bytes, number: int, file: str) -> str:
    """The text of a line; raises InvalidInput that says which byte is not UTF-8."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{file}: line {number} is not UTF-8: byte 0x{line[error.start]:02x} at position {error.start + 1}. "
            "Convert the file to UTF-8 and add it again.",
            reason="ENCODING_INVALID",
            line=number,
            position=error.start + 1,
        ) from None

"""Files that arrive over a stream: written as they come, within limits, under names that were checked."""

import asyncio
from pathlib import Path
from typing import BinaryIO

from honed.daemon.state import StateFolder
from honed.errors import InvalidInput, NoRoom

_CHECK_DISK_EVERY_BYTES = 16 << 20
_CANCELLATION_S = 0.1


class Receiver:
    """Writes chunks to files in one folder and counts bytes against a limit. Close it when done."""

    def __init__(self, folder: Path, state: StateFolder, limit_bytes: int, limit_name: str) -> None:
        self._folder = folder
        self._state = state
        self._limit_bytes = limit_bytes
        self._limit_name = limit_name
        self._name = ""
        self._file: BinaryIO | None = None
        self._unchecked = 0
        self.received = 0

    def write(self, name: str, data: bytes) -> None:
        """Appends to the current file, or starts the next one.

        Raises:
            InvalidInput: a bad name, a file that comes back after another one, or too many bytes.
            NoRoom: the disk is full.
        """
        if name != self._name or self._file is None:
            self.close()
            self._file = self._open(name)
            self._name = name
        self.received += len(data)
        self._unchecked += len(data)
        if self.received > self._limit_bytes:
            raise InvalidInput(
                f"The upload is larger than {self._limit_bytes:,} bytes ({self._limit_name}).",
                reason="UPLOAD_TOO_LARGE",
                limit_bytes=self._limit_bytes,
            )
        if self._unchecked > _CHECK_DISK_EVERY_BYTES:
            self._state.require_room()
            self._unchecked = 0
        try:
            self._file.write(data)
        except OSError as error:
            raise NoRoom(f"The upload could not be written: {error.strerror}", reason="DISK_FULL") from None

    async def finish(self, total_bytes: int | None) -> None:
        """Ends an upload, which must have brought all that it announced.

        grpc.aio ends the stream of a client that has gone away like one that is complete, and cancels the call a moment
        later: nothing may come of the upload before that.

        Raises:
            InvalidInput: the upload is incomplete.
            NoRoom: the last bytes found no room.
        """
        self.close()
        await asyncio.sleep(_CANCELLATION_S)
        if total_bytes is not None and self.received != total_bytes:
            raise InvalidInput(
                f"The upload brought {self.received:,} bytes of the {total_bytes:,} that it announced; send it again. "
                "Was a file written to meanwhile?",
                reason="UPLOAD_INCOMPLETE",
                received_bytes=self.received,
                total_bytes=total_bytes,
            )

    def close(self) -> None:
        """Closes the current file.

        Raises:
            NoRoom: its last bytes found no room.
        """
        if self._file is not None:
            file, self._file = self._file, None
            try:
                file.close()
            except OSError as error:
                raise NoRoom(f"The upload could not be written: {error.strerror}", reason="DISK_FULL") from None

    def _open(self, name: str) -> BinaryIO:
        if (
            not 0 < len(name) <= 200
            or name.startswith(".")
            or not name.isprintable()
            or any(letter in name for letter in "/\\:\0")
        ):
            raise InvalidInput.of_field("chunk.file_name", f"expected a plain file name, found {name[:80]!r}")
        try:
            return (self._folder / name).open("xb")
        except FileExistsError:
            raise InvalidInput.of_field("chunk.file_name", f"{name!r} came back after another file") from None

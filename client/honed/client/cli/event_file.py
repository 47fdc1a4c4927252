"""TensorBoard event files of a job, written from its events: scalars by training step, each at the event's time.

The format is small and has been stable for ten years: TFRecord frames around messages of tensorflow's event.proto. It
is written here and not through tensorboardX, which imports torch wherever torch is installed.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from honed.v1.jobs_pb2 import JobEvent
    from honed.v1.types_pb2 import Progress

_FILE: Final = "events.out.tfevents.{second:010d}.honed"  # TensorBoard reads what has "tfevents" in its name
_SCALARS: Final = {
    "train/loss": "loss",
    "train/learning_rate": "learning_rate",
    "train/gradient_norm": "gradient_norm",
    "train/tokens_per_s": "tokens_per_s",
    "train/memory_bytes": "memory_bytes",
    "validation/loss": "validation_loss",
}


@contextmanager
def event_file(folder: Path | None, job: str) -> Generator[Callable[[JobEvent], None]]:
    """Takes a job's events from its first on; writes FOLDER/JOB anew, so that each job is a run of its own there.

    Without a folder nothing is written.
    """
    if folder is None:
        yield lambda _: None
        return
    run = folder / job.removeprefix("jobs/")
    run.mkdir(parents=True, exist_ok=True)
    for earlier in run.glob(_FILE.format(second=0).replace("0" * 10, "*")):
        earlier.unlink()
    opened: list[_EventFile] = []

    def write(event: JobEvent) -> None:
        if event.WhichOneof("event") != "progress" or not event.progress.HasField("loss"):
            return  # other progress counts rows
        if not opened:
            opened.append(_EventFile(run / _FILE.format(second=event.time.seconds), _seconds(event)))
        opened[0].write(_seconds(event), event.progress)

    try:
        yield write
    finally:
        for file in opened:
            file.close()


class _EventFile:
    def __init__(self, path: Path, time_s: float) -> None:
        self._file: BinaryIO = path.open("wb")
        self._step = 0
        self._write(_event(time_s, 0, _bytes(3, b"brain.Event:2")))  # file_version

    def write(self, time_s: float, progress: Progress) -> None:
        if progress.step <= self._step:  # the job started over: SessionLog.START takes the later steps back
            self._write(_event(time_s, progress.step, _bytes(7, _integer(1, 1))))
        self._step = progress.step
        values = b"".join(
            _bytes(1, _bytes(1, tag.encode()) + struct.pack("<Bf", 2 << 3 | 5, getattr(progress, field)))
            for tag, field in _SCALARS.items()
            if progress.HasField(field)
        )
        self._write(_event(time_s, progress.step, _bytes(5, values)))  # summary

    def close(self) -> None:
        self._file.close()

    def _write(self, event: bytes) -> None:
        """One TFRecord: the length, its checksum, the data, theirs. TensorBoard may be reading: whole records only."""
        length = struct.pack("<Q", len(event))
        self._file.write(length + _checksum(length) + event + _checksum(event))
        self._file.flush()


def _event(time_s: float, step: int, what: bytes) -> bytes:
    """A message Event: wall_time = 1, step = 2, and a field that says what happened."""
    return struct.pack("<Bd", 1 << 3 | 1, time_s) + _integer(2, step) + what


def _bytes(number: int, value: bytes) -> bytes:
    """A field of protobuf's wire format that holds text or a message."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _integer(number: int, value: int) -> bytes:
    """A field of protobuf's wire format that holds a whole number of 0 or more."""
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    low = b""
    while value > 0x7F:
        low += bytes([value & 0x7F | 0x80])
        value >>= 7
    return low + bytes([value])


def _checksum(data: bytes) -> bytes:
    """TFRecord's masked CRC-32C (Castagnoli, polynomial 0x1EDC6F41, bits reversed)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _table_entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_TABLE: Final = tuple(map(_table_entry, range(256)))


def _seconds(event: JobEvent) -> float:
    return event.time.seconds + event.time.nanos / 1e9

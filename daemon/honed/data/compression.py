"""gzip and zstd, read as a stream with bounds on what a small file may grow into; knows nothing of tables."""

import io
import zlib
from pathlib import Path
from typing import BinaryIO, Literal, Protocol

import zstandard
from honed.errors import InvalidInput

Compression = Literal["", "gzip", "zstd"]

MAX_BYTES = 4 << 30
MAX_RATIO = 200
RATIO_FREE_BYTES = 64 << 20  # the ratio counts from here on: a small table of few words may shrink a lot
MAX_PARTS = 100_000
MAX_WINDOW_BYTES = 1 << 27  # what the zstd command line takes without --long

# One call of the decoder returns all that its input holds: deflate grows by 1,032 at most (zlib's technical notes), a
# zstd block of 4 bytes to 128 KiB (RFC 8878, 3.1.1.2), so these keep a call under 17 and 64 MiB.
_INPUT_BYTES = {"gzip": 1 << 14, "zstd": 1 << 11}


class _Decoder(Protocol):
    """One gzip member or zstd frame."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


def compression_of(path: Path) -> Compression:
    """The compression of a file, by its first bytes."""
    with path.open("rb") as stream:
        head = stream.read(4)
    if head[:2] == b"\x1f\x8b":
        return "gzip"
    # A zstd frame, or one of the frames to be skipped that pzstd writes first (RFC 8878, 3.1).
    if head == b"\x28\xb5\x2f\xfd" or (head[1:] == b"\x2a\x4d\x18" and head[0] >> 4 == 5):
        return "zstd"
    return ""


def open_bytes(path: Path, compression: Compression, file: str) -> BinaryIO:
    """The bytes of a file, decompressed while they are read.

    Args:
        file: what to call the file in errors.

    Raises:
        InvalidInput: while reading: damaged, cut off, followed by other bytes, or larger than the limits.
    """
    if not compression:
        return path.open("rb")
    return io.BufferedReader(_Decompressed(path, compression, file), 1 << 16)


class _Decompressed(io.RawIOBase):
    """Decompresses a file of one or more gzip members or zstd frames."""

    def __init__(self, path: Path, compression: Literal["gzip", "zstd"], file: str) -> None:
        self._source = path.open("rb")
        self._compressed_bytes = path.stat().st_size
        self._compression: Literal["gzip", "zstd"] = compression
        self._file = file
        self._decoder = self._new_decoder()
        self._parts = 1
        self._input = b""  # read from the file and not yet decoded: the next part's begin
        self._output = memoryview(b"")
        self._output_bytes = 0

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._source.close()
        super().close()

    def readinto(self, buffer: memoryview, /) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]  # what C passes
        while not self._output:
            if not self._fill():
                return 0
        count = min(len(buffer), len(self._output))
        buffer[:count] = self._output[:count]
        self._output = self._output[count:]
        return count

    def _fill(self) -> bool:
        """Decodes the next piece; False at the end of the file."""
        data = self._input or self._source.read(_INPUT_BYTES[self._compression])
        self._input = b""
        if not data:
            if not self._decoder.eof:
                raise self._broken("ends in the middle of the compressed data; the copy is not complete")
            return False
        if self._decoder.eof:
            self._parts += 1
            if self._parts > MAX_PARTS:
                raise self._broken(f"consists of more than {MAX_PARTS:,} parts; compress it anew in one")
            self._decoder = self._new_decoder()
        try:
            output = self._decoder.decompress(data)
        except (zlib.error, zstandard.ZstdError) as error:
            if "memory" in str(error) and "llocation" in str(error):
                raise MemoryError from None
            where = f" (part {self._parts}, or bytes that follow the last one)" if self._parts > 1 else ""
            raise self._broken(f"cannot be decompressed{where}: {error}") from None
        if self._decoder.eof:
            self._input = self._decoder.unused_data
        self._output = memoryview(output)
        self._output_bytes += len(output)
        self._check_size()
        return True

    def _new_decoder(self) -> _Decoder:
        if self._compression == "gzip":
            return zlib.decompressobj(wbits=31)  # 31: a gzip header, and its checksum verified
        return zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).decompressobj()

    def _check_size(self) -> None:
        limit = min(MAX_BYTES, max(RATIO_FREE_BYTES, MAX_RATIO * self._compressed_bytes))
        if self._output_bytes > limit:
            raise InvalidInput(
                f"{self._file}: {self._compressed_bytes:,} bytes of {self._compression} grow to more than {limit:,}; "
                f"at most {MAX_BYTES:,} are read, and past {RATIO_FREE_BYTES:,} at most {MAX_RATIO} times the "
                "compressed size. Split the table, or add it uncompressed.",
                reason="DECOMPRESSED_TOO_LARGE",
                limit_bytes=limit,
            )

    def _broken(self, what: str) -> InvalidInput:
        return InvalidInput(
            f"{self._file}: the {self._compression} file {what}.",
            reason="COMPRESSION_INVALID",
        )

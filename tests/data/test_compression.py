import gzip
import tracemalloc
import zlib

import pytest
import zstandard
from honed.data import compression
from honed.data.compression import compression_of, open_bytes
from honed.errors import InvalidInput

TEXT = b"".join(b"row %d, word %d\n" % (number, number * 7919 % 1000) for number in range(20_000))


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


PACK = {"gzip": gzip.compress, "zstd": zstd}


@pytest.fixture
def unpack(tmp_path):
    def unpack(content: bytes) -> bytes:
        path = tmp_path / "packed"
        path.write_bytes(content)
        with open_bytes(path, compression_of(path), "the table") as stream:
            return b"".join(iter(stream.readline, b""))

    return unpack


def refusal(unpack, content):
    with pytest.raises(InvalidInput) as caught:
        unpack(content)
    return caught.value


@pytest.mark.parametrize("name", PACK)
def test_what_was_packed_in_one_or_many_parts_comes_out_again(unpack, name):
    pack = PACK[name]
    assert unpack(pack(TEXT)) == TEXT
    assert unpack(pack(TEXT) + pack(b"") + pack(b"the end")) == TEXT + b"the end"


def test_a_file_that_is_not_packed_is_read_as_it_is(unpack):
    assert unpack(TEXT) == TEXT


def test_the_frames_to_be_skipped_that_pzstd_writes_are_skipped(unpack):
    skipped = b"\x50\x2a\x4d\x18\x04\0\0\0\x07\0\0\0"
    assert unpack(skipped + zstd(TEXT) + skipped + zstd(b"more")) == TEXT + b"more"


@pytest.mark.parametrize("name", PACK)
@pytest.mark.parametrize("kept", [5, 12, 1000, -1])
def test_a_file_that_was_cut_off_is_refused(unpack, name, kept):
    error = refusal(unpack, PACK[name](TEXT)[:kept])
    assert error.reason == "COMPRESSION_INVALID"
    assert "ends in the middle" in error.message


@pytest.mark.parametrize("name", PACK)
def test_bytes_after_the_end_are_refused(unpack, name):
    error = refusal(unpack, PACK[name](TEXT) + b"garbage that is long enough")
    assert error.reason == "COMPRESSION_INVALID"
    assert "follow" in error.message


@pytest.mark.parametrize("name", PACK)
def test_a_changed_checksum_is_refused(unpack, name):
    packed = bytearray(PACK[name](TEXT))
    packed[-5 if name == "gzip" else -1] ^= 1
    assert refusal(unpack, bytes(packed)).reason == "COMPRESSION_INVALID"


def a_gigabyte_of_zeros_in_gzip() -> bytes:
    """One member, made from one compressed MiB, for zlib would take seconds: its blocks repeat after a full flush."""
    packer = zlib.compressobj(wbits=31)
    zeros = bytes(1 << 20)
    first = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    second = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    return first + second * 1023


def a_gigabyte_of_zeros_in_zstd() -> bytes:
    """A window of 1 MiB, no size, and blocks that repeat one byte 131,072 times (RFC 8878, 3.1.1)."""
    return b"\x28\xb5\x2f\xfd\x00\x50" + b"\x02\x00\x10\x00" * 8191 + b"\x03\x00\x10\x00"


@pytest.mark.parametrize("bomb", [a_gigabyte_of_zeros_in_gzip, a_gigabyte_of_zeros_in_zstd])
def test_a_gigabyte_of_zeros_is_refused_after_a_part_of_it_and_with_little_memory(tmp_path, bomb):
    path = tmp_path / "bomb"
    path.write_bytes(bomb())
    tracemalloc.start()
    try:
        with open_bytes(path, compression_of(path), "the table") as stream:
            pieces = iter(lambda: stream.read(1 << 20), b"")
            with pytest.raises(InvalidInput) as caught:
                sum(len(piece) for piece in pieces)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.reason == "DECOMPRESSED_TOO_LARGE"
    assert int(caught.value.metadata["limit_bytes"]) == max(64 << 20, 200 * path.stat().st_size) < 1 << 30
    assert peak < 150 << 20  # one call's output, 64 MiB of zstd, while its pieces are joined


def test_the_ratio_counts_past_the_free_bytes_alone(unpack, monkeypatch):
    monkeypatch.setattr(compression, "RATIO_FREE_BYTES", 1 << 20)
    assert len(unpack(gzip.compress(bytes(1 << 20)))) == 1 << 20
    assert refusal(unpack, gzip.compress(bytes((1 << 20) + 1))).metadata["limit_bytes"] == str(1 << 20)


def test_the_bytes_are_limited_at_any_ratio(unpack, monkeypatch):
    monkeypatch.setattr(compression, "MAX_BYTES", len(TEXT))
    assert unpack(zstd(TEXT)) == TEXT
    assert refusal(unpack, zstd(TEXT + b"\n")).reason == "DECOMPRESSED_TOO_LARGE"


def test_parts_without_end_are_refused(unpack, monkeypatch):
    monkeypatch.setattr(compression, "MAX_PARTS", 10)
    assert unpack(gzip.compress(b"a") * 10) == b"a" * 10
    assert "more than 10 parts" in refusal(unpack, gzip.compress(b"a") * 11).message


def test_a_zstd_window_over_the_limit_is_refused(unpack):
    window_of_256_mib = b"\x28\xb5\x2f\xfd\x00\x90"
    assert "memory" in refusal(unpack, window_of_256_mib + b"\x03\x00\x10\x00").message

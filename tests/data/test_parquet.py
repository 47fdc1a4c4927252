import datetime
import decimal
import gzip
import io
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from honed.data import parquet, records
from honed.data.formats import open_table
from honed.data.problems import Problems
from honed.data.records import Record
from honed.errors import InvalidInput


def parquet_bytes(table: pa.Table | dict, **options) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), buffer, **options)
    return buffer.getvalue()


@pytest.fixture
def table_of(tmp_path):
    def table_of(content: bytes):
        path = tmp_path / "table"
        path.write_bytes(content)
        return open_table(path, None, "the table")

    return table_of


@pytest.fixture
def read(table_of):
    def read(content: bytes) -> list[Record]:
        problems = Problems()
        rows = list(table_of(content).records(problems))
        problems.raise_if_any("the table")
        return rows

    return read


def refusal(read, content):
    with pytest.raises(InvalidInput) as caught:
        read(content)
    return caught.value


def test_rows_come_in_their_order_over_batches_and_row_groups(read):
    texts = [f"text {number}" for number in range(1000)]
    rows = read(parquet_bytes({"text": texts, "n": range(1000)}, row_group_size=300))
    assert rows == [Record(number + 1, {"text": f"text {number}", "n": number}) for number in range(1000)]


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
def test_every_codec_inside_is_read(read, codec):
    assert read(parquet_bytes({"text": ["a", "b"]}, compression=codec))[1].values == {"text": "b"}


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_a_packed_file_is_unpacked_beside_it_and_leaves_nothing(table_of, tmp_path, pack):
    table = table_of(pack(parquet_bytes({"text": ["a", "b"]})))
    assert table.format == "parquet"
    assert table.columns == ("text",)
    assert [row.values for row in table.records(Problems())] == [{"text": "a"}, {"text": "b"}]
    assert [path.name for path in tmp_path.iterdir()] == ["table"]


def test_values_become_what_json_can_write(read):
    moment = datetime.datetime(2024, 1, 2, 3, 4, 5)  # noqa: DTZ001  # a column without a zone
    columns = {
        "none": pa.nulls(1),
        "yes": pa.array([True]),
        "small": pa.array([-7], pa.int8()),
        "large": pa.array([2**64 - 1], pa.uint64()),
        "half": pa.array([0.5], pa.float32()),
        "label": pa.array(["x"]).dictionary_encode(),
        "wide": pa.array(["y"], pa.large_string()),
        "day": pa.array([moment.date()]),
        "time": pa.array([moment.time()], pa.time64("us")),
        "moment": pa.array([moment], pa.timestamp("ns")),
        "price": pa.array([decimal.Decimal("1.50")]),
        "turns": pa.array([[{"role": "user", "content": "hi", "day": moment.date()}, None]]),
    }
    assert read(parquet_bytes(columns))[0].values == {
        "none": None,
        "yes": True,
        "small": -7,
        "large": 2**64 - 1,
        "half": 0.5,
        "label": "x",
        "wide": "y",
        "day": "2024-01-02",
        "time": "03:04:05.000000",
        "moment": "2024-01-02 03:04:05.000000000",
        "price": "1.50",
        "turns": [{"role": "user", "content": "hi", "day": "2024-01-02"}, None],
    }


def test_numbers_that_json_cannot_write_become_none(read):
    nan, infinity = float("nan"), float("inf")
    columns = {"score": [nan, infinity, 1.0], "more": pa.array([[nan, 2.0], [infinity], [3.0]])}
    assert [row.values for row in read(parquet_bytes(columns))] == [
        {"score": None, "more": [None, 2.0]},
        {"score": None, "more": [None]},
        {"score": 1.0, "more": [3.0]},
    ]


@pytest.mark.parametrize(
    ("column", "part"),
    [
        (pa.array([b"\xff\xd8"]), "of the type binary"),
        (pa.array([[b"\xff\xd8"]]), "of the type binary"),
        (pa.array([b"1234"], pa.binary(4)), "of the type fixed_size_binary[4]"),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), "of the type map"),
        (pa.array([1], pa.duration("s")), "of the type duration"),
    ],
)
def test_a_column_of_a_foreign_type_is_refused_by_its_name(table_of, column, part):
    error = refusal(table_of, parquet_bytes({"text": ["a"], "picture": column}))
    assert error.reason == "COLUMN_TYPE_UNSUPPORTED"
    assert "'picture'" in error.message
    assert part in error.message


def test_types_nested_too_deep_are_refused_by_the_column(table_of):
    kind = pa.string()
    for _ in range(records.MAX_DEPTH):
        kind = pa.struct([("inner", kind)])
    error = refusal(table_of, parquet_bytes({"deep": pa.array([None], kind)}))
    assert error.reason == "COLUMN_TYPE_UNSUPPORTED"
    assert "'deep' is nested deeper than 32" in error.message


def test_10_000_columns_are_refused(table_of):
    error = refusal(table_of, parquet_bytes({f"c{number}": ["a"] for number in range(10_000)}))
    assert error.reason == "TABLE_TOO_WIDE"


def test_a_column_twice_is_refused(table_of):
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["text", "text"])
    assert refusal(table_of, parquet_bytes(table)).reason == "HEADER_DUPLICATE"


def test_no_row_is_refused(read):
    assert refusal(read, parquet_bytes({"text": pa.array([], pa.string())})).reason == "TABLE_EMPTY"


def test_rows_beyond_the_limit_are_refused_before_they_are_read(table_of, monkeypatch):
    monkeypatch.setattr(parquet, "MAX_ROWS", 2)
    assert table_of(parquet_bytes({"text": ["a", "b"]})).columns == ("text",)
    assert refusal(table_of, parquet_bytes({"text": ["a", "b", "c"]})).reason == "TABLE_TOO_LONG"


def test_a_row_over_the_limit_and_one_with_nul_are_named(read):
    error = refusal(read, parquet_bytes({"text": ["a", "x" * records.MAX_ROW_BYTES, "b\0", "c"]}))
    assert error.reason == "ROWS_INVALID"
    assert [row for row, _ in error.violations] == ["row 2", "row 3"]
    assert "longer than" in error.violations[0][1]
    assert "NUL" in error.violations[1][1]


def test_a_text_that_is_not_utf_8_is_refused_by_its_column(read):
    text = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xe9")])
    error = refusal(read, parquet_bytes({"good": ["a"], "bad": text}))
    assert error.reason == "ENCODING_INVALID"
    assert "'bad' in rows 1 to 1" in error.message


def test_few_bytes_that_stand_for_gigabytes_are_refused(read, monkeypatch):
    monkeypatch.setattr(parquet, "MAX_BYTES", 10 << 20)
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array(["x" * 100_000]))
    content = parquet_bytes({"text": text}, compression="zstd")
    assert len(content) < 10_000
    assert refusal(read, content).reason == "DECOMPRESSED_TOO_LARGE"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: b"PAR1",
        lambda data: b"PAR1" + bytes(100) + b"PAR1",
        lambda data: data[:-8] + b"\xff\xff\xff\x7f" + data[-4:],
        lambda data: data[:4] + bytes(50) + data[54:],
    ],
)
def test_a_damaged_file_is_refused(read, damage):
    content = damage(parquet_bytes({"text": [f"text {number}" for number in range(100)]}))
    assert refusal(read, content).reason == "PARQUET_INVALID"


def test_pyarrow_is_loaded_for_parquet_alone():
    code = "import sys, honed.data.formats; sys.exit('pyarrow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

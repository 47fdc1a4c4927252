"""Bad input in every format and shape: a typed error that names the place and the remedy, and nothing of it is kept."""

import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from helpers.daemon import refused
from helpers.tables import PACK, WRITE
from honed.client.errors import InvalidArgument

pytestmark = pytest.mark.usefixtures("nothing_is_kept")
GOOD = [{"prompt": f"p{n}", "completion": f"c{n}"} for n in range(4)]


def parquet(**columns) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


def nested(depth: int) -> pa.Array:
    kind, value = pa.string(), "a"
    for _ in range(depth):
        kind, value = pa.list_(kind), [value]
    return pa.array([value], kind)


def with_row(table_format: str, prompt: str) -> bytes:
    """Four good rows and one of this prompt, written as it is."""
    return WRITE[table_format]([*GOOD, {"prompt": prompt, "completion": "c"}])


PARQUET = WRITE["parquet"](GOOD)
WIDE = {f"c{number}": "x" for number in range(10_000)}
LONG = "x" * (1 << 20)

# Of files as a whole: the bytes, the reason, and words that the message must have.
FILES = {
    "csv: 10,000 columns": (WRITE["csv"]([WIDE]), "TABLE_TOO_WIDE", ["10000 columns", "1000"]),
    "tsv: 10,000 columns": (WRITE["tsv"]([WIDE]), "TABLE_TOO_WIDE", ["10000 columns", "1000"]),
    "parquet: 10,000 columns": (WRITE["parquet"]([WIDE]), "TABLE_TOO_WIDE", ["10000 columns", "1000"]),
    "jsonl: 10,000 keys": (WRITE["jsonl"]([WIDE]), "ROWS_INVALID", ["row 1", "10000 keys", "1000"]),
    "json: 10,000 keys": (WRITE["json"]([WIDE]), "ROWS_INVALID", ["row 1", "10000 keys", "1000"]),
    "csv: a row of more than 1 MiB": (with_row("csv", LONG), "LINE_TOO_LONG", ["line 6", "1,048,576"]),
    "tsv: a row of more than 1 MiB": (with_row("tsv", LONG), "LINE_TOO_LONG", ["line 6", "1,048,576"]),
    "csv: a row of many lines": (with_row("csv", "line\n" * 250_000), "LINE_TOO_LONG", ["closing quote", "1,048,576"]),
    "jsonl: a row of more than 1 MiB": (with_row("jsonl", LONG), "LINE_TOO_LONG", ["line 5", "1,048,576"]),
    "json: a row of more than 1 MiB": (with_row("json", LONG), "ROWS_INVALID", ["row 5", "1,048,576"]),
    "parquet: a row of more than 1 MiB": (with_row("parquet", LONG), "ROWS_INVALID", ["row 5", "1,048,576"]),
    "csv: NUL": (with_row("csv", "a\0b"), "ENCODING_INVALID", ["line 6", "NUL"]),
    "tsv: NUL": (with_row("tsv", "a\0b"), "ENCODING_INVALID", ["line 6", "NUL"]),
    "jsonl: NUL": (with_row("jsonl", "@").replace(b"@", b"\0"), "ENCODING_INVALID", ["line 5", "NUL"]),
    "jsonl: NUL as an escape": (with_row("jsonl", "a\0b"), "ROWS_INVALID", ["row 5", "NUL"]),
    "json: NUL": (with_row("json", "@").replace(b"@", b"\0"), "ROWS_INVALID", ["row 5", "control character"]),
    "json: NUL as an escape": (with_row("json", "a\0b"), "ROWS_INVALID", ["row 5", "NUL"]),
    "parquet: NUL": (with_row("parquet", "a\0b"), "ROWS_INVALID", ["row 5", "NUL"]),
    "csv: a name without end": (
        b"prompt,completion," + b"x" * 6000 + b"\na,b,c\n",
        "HEADER_INVALID",
        ["200 characters"],
    ),
    "csv: a column twice": (b"prompt,completion,prompt\na,b,c\n", "HEADER_DUPLICATE", ["'prompt'"]),
    "tsv: a column twice": (b"prompt\tcompletion\tprompt\na\tb\tc\n", "HEADER_DUPLICATE", ["'prompt'"]),
    "jsonl: a key twice": (
        b'{"prompt": "a", "completion": "b", "prompt": "c"}\n',
        "ROWS_INVALID",
        ["row 1", "'prompt'"],
    ),
    "json: a key twice": (
        b'[{"prompt": "a", "completion": "b", "prompt": "c"}]',
        "ROWS_INVALID",
        ["row 1", "'prompt'"],
    ),
    "parquet: a field twice in an object": (
        parquet(
            messages=pa.StructArray.from_arrays([pa.array(["user"])] * 2, names=["role", "role"]),
        ),
        "COLUMN_TYPE_UNSUPPORTED",
        ["'messages'", "twice"],
    ),
    "jsonl: nested too deep": (b'{"prompt": ' + b"[" * 40 + b"]" * 40 + b"}\n", "ROWS_INVALID", ["row 1", "deeper"]),
    "json: nested too deep": (b'[{"prompt": ' + b"[" * 40 + b"]" * 40 + b"}]", "ROWS_INVALID", ["row 1", "deeper"]),
    "json: nested without end": (b'[{"prompt": ' + b"[" * 500_000, "ROWS_INVALID", ["row 1", "deep"]),
    "parquet: nested too deep": (parquet(messages=nested(40)), "COLUMN_TYPE_UNSUPPORTED", ["'messages'", "32"]),
    "parquet: bytes": (parquet(text=[b"\xff\xfe"]), "COLUMN_TYPE_UNSUPPORTED", ["'text'", "binary", "as text"]),
    "parquet: a map": (
        parquet(text=pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))),
        "COLUMN_TYPE_UNSUPPORTED",
        ["'text'", "map<"],
    ),
    "parquet: no texts but numbers": (
        parquet(id=[1, 2], price=[0.5, 1.5]),
        "SHAPE_UNKNOWN",
        ["'id', 'price'", "--template"],
    ),
    "parquet: cut off": (PARQUET[:-10], "PARQUET_INVALID", ["copied completely"]),
    "parquet: its first bytes alone": (b"PAR1", "PARQUET_INVALID", ["copied completely"]),
    "parquet: damaged inside": (PARQUET[:40] + bytes(40) + PARQUET[80:], "PARQUET_INVALID", ["copied completely"]),
    "json: cut off": (WRITE["json"](GOOD)[:-20], "ROWS_INVALID", ["row 4", "JSON"]),
    "json: something behind it": (WRITE["json"](GOOD) + b"[]", "JSON_INVALID", ["']'", "jsonl"]),
    "json: no comma": (b'[{"prompt": "a", "completion": "b"} {}]', "JSON_INVALID", ["row 1", "jsonl"]),
    "json: not UTF-8": (with_row("json", "@").replace(b"@", b"\xe9"), "ENCODING_INVALID", ["0xe9", "UTF-8"]),
    "jsonl: not UTF-8": (with_row("jsonl", "@").replace(b"@", b"\xe9"), "ENCODING_INVALID", ["line 5", "0xe9"]),
    "csv: semicolons": (b"prompt;completion\na;b\n", "FORMAT_UNKNOWN", ["semicolons", "commas"]),
    "an Excel workbook": (b"PK\x03\x04" + bytes(100), "FORMAT_UNKNOWN", ["Excel", "CSV"]),
    "bzip2": (b"BZh91AY&SY" + bytes(100), "FORMAT_UNKNOWN", ["bzip2", "gzip"]),
    "gzip in gzip": (PACK["gzip"](PACK["gzip"](PARQUET)), "FORMAT_UNKNOWN", ["twice"]),
    "gzip: cut off": (PACK["gzip"](WRITE["csv"](GOOD))[:-12], "COMPRESSION_INVALID", ["gzip", "not complete"]),
    "gzip: damaged": (PACK["gzip"](WRITE["csv"](GOOD))[:-8] + bytes(8), "COMPRESSION_INVALID", ["gzip"]),
    "gzip: something behind it": (PACK["gzip"](PARQUET) + b"hello", "COMPRESSION_INVALID", ["gzip", "follow"]),
    "zstd: cut off": (PACK["zstd"](WRITE["csv"](GOOD))[:-3], "COMPRESSION_INVALID", ["zstd", "not complete"]),
    "zstd: damaged": (b"\x28\xb5\x2f\xfd" + b"\xff" * 50, "COMPRESSION_INVALID", ["zstd"]),
    "jsonl: an object over several lines": (
        b'{\n "data": [\n  {"text": "a"}\n ]\n}\n',
        "JSON_INVALID",
        ["line 1", "one object a line, or one array"],
    ),
    "gzip of nothing": (PACK["gzip"](b""), "TABLE_EMPTY", ["empty"]),
}


@pytest.mark.parametrize("case", FILES)
def test_a_bad_file_is_refused_with_the_place_and_the_remedy(case, upload):
    content, reason, words = FILES[case]
    with refused("INVALID_ARGUMENT", reason) as error:
        upload(content)
    assert [word for word in words if word not in error.value.message] == []
    assert error.value.message.startswith("training table: ")


@pytest.mark.parametrize("table_format", ["csv", "tsv", "jsonl", "json"])
def test_a_table_of_utf_16_is_refused_as_such(table_format, upload):
    with refused("INVALID_ARGUMENT", "ENCODING_INVALID") as error:
        upload(WRITE[table_format](GOOD).decode().encode("utf-16"))
    assert "UTF-16" in error.value.message
    assert "Convert the file to UTF-8" in error.value.message


def bomb(head: bytes, part: bytes, compression: str) -> bytes:
    """A head, then 16 MiB 64 times, as one gzip member or zstd frame: a gigabyte in a megabyte or less."""
    part *= (16 << 20) // len(part)
    if compression == "zstd":
        packer = zstandard.ZstdCompressor().compressobj()
        return b"".join(packer.compress(each) for each in [head, *[part] * 64]) + packer.flush()
    packer = zlib.compressobj(wbits=-15)
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)  # what follows refers to nothing before it
    block = packer.compress(part) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08" + bytes(7) + start + block * 64  # the end, with its checksum, is never reached


# Zeros are no text, which shows early; but a Parquet file is read from its end, which must be found first.
ZEROS = {None: "LINE_TOO_LONG", "jsonl": "LINE_TOO_LONG", "json": "JSON_INVALID", "parquet": "DECOMPRESSED_TOO_LARGE"}


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_gigabyte_of_zeros_is_refused_in_every_format(compression, upload):
    packed = bomb(b"", b"\0", compression)
    assert len(packed) < 2 << 20
    for table_format, reason in ZEROS.items():
        with refused("INVALID_ARGUMENT", reason) as error:
            upload(packed, format=table_format)
        assert error.value.message.startswith("training table: ")


# Of each format: what stands before the rows, and a row that is a good one.
ENDLESS = {
    "csv": (b"prompt,completion\n", b"@,c\n"),
    "tsv": (b"prompt\tcompletion\n", b"@\tc\n"),
    "jsonl": (b"", b'{"prompt": "@", "completion": "c"}\n'),
    "json": (b"[", b'{"prompt": "@", "completion": "c"},'),
}


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("table_format", ENDLESS)
def test_a_gigabyte_of_rows_out_of_nearly_nothing_is_read_no_further_than_the_limit(table_format, compression, upload):
    head, row = ENDLESS[table_format]
    with refused("INVALID_ARGUMENT", "DECOMPRESSED_TOO_LARGE") as error:
        upload(bomb(head, row.replace(b"@", b"x" * (128 << 10)), compression))
    assert "Split the table, or add it uncompressed" in error.value.message
    assert int(error.value.metadata["limit_bytes"]) <= 300 << 20


@pytest.mark.parametrize("table_format", WRITE)
def test_a_file_of_another_format_than_named_is_refused(table_format, upload):
    other = {"csv": "parquet", "tsv": "jsonl", "jsonl": "json", "json": "parquet", "parquet": "csv"}[table_format]
    reasons = {"PARQUET_INVALID", "ENCODING_INVALID", "JSON_INVALID", "ROWS_INVALID"}
    with pytest.raises(InvalidArgument) as error:
        upload(WRITE[table_format](GOOD), format=other)
    assert error.value.reason in reasons


def talk(*turns: tuple[str, object], **more: object) -> dict:
    return {"messages": [{"role": role, "content": content, **more} for role, content in turns]}


def says(*turns: tuple[str, object]) -> dict:
    return {"conversations": [{"from": role, "value": content} for role, content in turns]}


ASK, TELL = ("user", "Hi"), ("assistant", "Hello")
# Of each shape: the options, a good row, and bad rows, each with words of what is said of it.
SHAPES = {
    "messages": (
        {},
        talk(ASK, TELL),
        [
            ({"other": "x"}, "'messages' is missing"),
            ({"messages": "Hi"}, "must be a list of messages, found text"),
            ({"messages": []}, "'messages' is empty"),
            ({"messages": [5]}, "message 1 of 'messages': expected an object, found a number"),
            ({"messages": [{"content": "Hi"}]}, "'role' is missing"),
            (talk(ASK, ("tool", "42")), "message 2 of 'messages': the role 'tool' is unknown; expected system"),
            (talk((["user"], "Hi"), TELL), "is unknown"),
            (talk(TELL, ASK), "a message of the assistant at the beginning; expected one of the system or user"),
            (talk(ASK, ASK, TELL), "message 2 of 'messages': a message of the user after the user's"),
            (talk(ASK, TELL, TELL), "message 3 of 'messages': a message of the assistant after the assistant's"),
            (talk(ASK, TELL, ("system", "x")), "message 3 of 'messages': a message of the system after"),
            (talk(ASK), "ends with a message of the user"),
            (talk(("user", " "), TELL), "'content' is empty"),
            (talk(("user", 7), TELL), "'content' must be text, found a number"),
            (talk(("user", [{"type": "image_url"}]), TELL), "must be of type 'text', found the type 'image_url'"),
            ({"messages": [{"role": "user"}, {"role": "assistant", "content": "b"}]}, "'content' is missing"),
            (talk(ASK, TELL, weight=1), "only an assistant's message can be learned"),
            (talk(ASK, TELL, tool_calls=[{"id": "x"}]), "'tool_calls' cannot be learned"),
            (talk(ASK, TELL, ASK, TELL, weight=0), "all of its labels are masked"),
        ],
    ),
    "sharegpt": (
        {},
        says(("human", "Hi"), ("gpt", "Hello")),
        [
            ({"conversations": None}, "'conversations' is missing"),
            ({"conversations": {"from": "human"}}, "must be a list of messages, found an object"),
            (says(("human", "Hi"), ("function", "x")), "the role 'function' is unknown; expected system, human"),
            (says(("gpt", "Hi"), ("human", "Hello")), "at the beginning"),
            (says(("human", "Hi"), ("human", "Hello")), "after the user's"),
            (says(("human", "Hi"), ("gpt", "")), "message 2 of 'conversations': 'value' is empty"),
            (says(("human", "Hi"), ("gpt", True)), "'value' must be text, found true or false"),
            (says(("human", "Hi")), "ends with a message of the user"),
        ],
    ),
    "preference": (
        {},
        {"prompt": "a", "chosen": "b", "rejected": "c"},
        [
            ({"prompt": "a", "chosen": "b"}, "'rejected' is missing"),
            ({"prompt": "a", "chosen": "b", "rejected": " b "}, "the same text"),
            ({"prompt": "", "chosen": "b", "rejected": "c"}, "'prompt' is empty"),
            ({"prompt": "a", "chosen": 7, "rejected": "c"}, "'chosen' must be text, found a number"),
            ({"prompt": "a", "chosen": [TELL], "rejected": "c"}, "'chosen' must be plain text, found a list"),
        ],
    ),
    "text": (
        {"shape": "text"},
        {"text": "a"},
        [
            ({"text": " \n"}, "'text' is empty"),
            ({"text": None}, "'text' is missing"),
            ({"text": 7}, "'text' must be text, found a number"),
            ({"text": {"a": "b"}}, "'text' must be text, found an object"),
        ],
    ),
    "prompt_completion": (
        {},
        {"prompt": "a", "completion": "b"},
        [
            ({"prompt": "a"}, "there is no 'completion'"),
            ({"prompt": " ", "completion": "b"}, "'prompt' is empty"),
            ({"prompt": "a", "completion": None}, "'completion' is empty"),
            ({"prompt": ["a"], "completion": "b"}, "'prompt' must be text, found a list"),
            ({"prompt": "a", "completion": {"b": 1}}, "'completion' must be text, found an object"),
        ],
    ),
    "alpaca": (
        {},
        {"instruction": "a", "input": "", "output": "b"},
        [
            ({"instruction": "", "input": "a", "output": "b"}, "'instruction' is empty"),
            ({"instruction": "a", "input": ["b"], "output": "c"}, "'input' must be text, found a list"),
            ({"instruction": "a", "input": "b"}, "there is no 'output'"),
        ],
    ),
    "table": (
        {"text_column": "text", "label_column": "label"},
        {"text": "a", "label": "x"},
        [
            ({"text": " ", "label": "x"}, "'text' is empty"),
            ({"text": "a", "label": None}, "'label' is empty"),
            ({"text": "a"}, "there is no 'label'"),
            ({"text": "a", "label": ["x"]}, "'label' must be text, found a list"),
            ({"text": {"a": "b"}, "label": "x"}, "'text' must be text, found an object"),
            ({"text": "a", "label": "x" * 201}, "the label is longer than 200 characters"),
        ],
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("table_format", ["jsonl", "json"])
def test_every_bad_row_of_a_shape_is_named_with_what_is_wrong(shape, table_format, upload):
    options, good, bad = SHAPES[shape]
    table = WRITE[table_format]([good, *(row for row, _ in bad), good])
    for place in ({"rows": table}, {"rows": WRITE["jsonl"]([good]), "test": table}):
        with refused("INVALID_ARGUMENT", "ROWS_INVALID") as error:
            upload(**place, **options)
        found = error.value.field_violations
        assert [row for row, _ in found] == [f"row {number}" for number in range(2, len(bad) + 2)]
        assert [(said, words) for (_, said), (_, words) in zip(found, bad, strict=True) if words not in said] == []
        assert error.value.metadata["bad_rows"] == str(len(bad))
        assert error.value.message.startswith("test table: " if "test" in place else "training table: ")


def test_a_weight_out_of_range_is_refused_by_its_row(upload):
    heavy = {"messages": [*talk(ASK)["messages"], *talk(TELL, weight=200)["messages"]]}
    with refused("INVALID_ARGUMENT", "ROWS_INVALID") as error:
        upload(rows=WRITE["jsonl"]([talk(ASK, TELL), heavy]))
    ((row, said),) = error.value.field_violations
    assert row == "row 2"
    assert "'weight' must be 0 or a number from 0.001 to 100, found 200" in said


@pytest.mark.parametrize("shape", ["table", "prompt_completion", "alpaca", "text", "preference"])
@pytest.mark.parametrize("table_format", ["csv", "tsv", "parquet"])
def test_an_empty_cell_is_named_by_row_and_column(shape, table_format, upload):
    options, good, _ = SHAPES[shape]
    column = list(good)[-1]
    named = {"format": table_format} if table_format == "tsv" else {}  # one column has no tabs
    with refused("INVALID_ARGUMENT", "ROWS_INVALID") as error:
        upload(WRITE[table_format]([good, good, good | {column: " "}]), **options, **named)
    ((row, said),) = error.value.field_violations
    assert row == "row 3"
    assert f"'{column}'" in said
    assert "is empty" in said


def test_a_row_of_no_group_is_named(upload):
    rows = [*GOOD[:2], {"prompt": "p", "completion": "c", "who": " "}, {"prompt": "p", "completion": "c", "who": ["a"]}]
    with refused("INVALID_ARGUMENT", "ROWS_INVALID") as error:
        upload(WRITE["jsonl"](rows), group_column="who")
    assert [row for row, _ in error.value.field_violations] == ["row 1", "row 2", "row 3", "row 4"]
    assert all("'who'" in what and "grouped" in what for _, what in error.value.field_violations)
    assert "holds a list; expected text or a number" in error.value.field_violations[3][1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("table_format", WRITE)
def test_ids_that_repeat_are_named_with_the_remedy(shape, table_format, upload):
    options, good, _ = SHAPES[shape]
    if table_format in ("csv", "tsv") and any(isinstance(value, list) for value in good.values()):
        pytest.skip("a cell holds no list")
    named = {} if shape != "text" else {"shape": "text"}
    with refused("INVALID_ARGUMENT", "ROWS_INVALID") as error:
        upload(WRITE[table_format]([good | {"id": name} for name in ("x", "y", "x")]), **{**options, **named})
    ((row, said),) = error.value.field_violations
    assert (row, said.partition(";")[0]) == ("row 3", "its 'id' is that of row 1")
    assert "--id-column" in said


def test_the_last_of_many_rows_is_as_bad_as_the_first(upload):
    rows = [{"prompt": f"p{number}", "completion": f"c{number}"} for number in range(5000)]
    rows[-1]["completion"] = ""
    with refused("INVALID_ARGUMENT", "ROWS_INVALID") as error:
        upload(WRITE["csv"](rows))
    assert error.value.field_violations == [("row 5000", "'completion' is empty")]


def test_the_text_of_a_control_token_is_named_by_its_row(upload):
    rows = [*GOOD, {"prompt": "obey<|im_end|>", "completion": "c"}]
    with refused("INVALID_ARGUMENT", "ROWS_INVALID") as error:
        upload(WRITE["jsonl"](rows), model="tiny")
    ((row, said),) = error.value.field_violations
    assert row == "row 5"
    assert "'<|im_end|>'" in said
    assert "Remove it" in said


def test_an_id_that_is_taken_keeps_what_it_has(client, table):
    before = client.get_dataset("table")
    with refused("ALREADY_EXISTS", "DATASET_EXISTS"):
        client.upload_dataset("table", table, text_column="text", label_column="label", seed=1)
    assert client.get_dataset("table") == before

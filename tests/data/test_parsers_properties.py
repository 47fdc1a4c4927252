"""Whatever the bytes: a parser reads every row, or says what is wrong."""

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from honed.data.conversations import conversation
from honed.data.formats import Problems, Record, open_table
from honed.data.problems import BadRow
from honed.data.shapes import bare_text, detect_shape, preference
from honed.errors import InvalidInput
from hypothesis import given, settings
from hypothesis import strategies as st

FORMATS = ("csv", "tsv", "jsonl", "json", "parquet")
PACK = {"": bytes, "gzip": gzip.compress, "zstd": zstandard.compress}
thorough = settings(max_examples=100, deadline=None)


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tables") / "table"


def delimited(rows: list[dict], delimiter: str) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([list(rows[0]), *([row[name] for name in rows[0]] for row in rows)])
    return text.getvalue().encode()


def parquet(rows: list[dict]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({name: [row[name] for row in rows] for name in rows[0]}), buffer, row_group_size=7)
    return buffer.getvalue()


WRITE = {
    "csv": lambda rows: delimited(rows, ","),
    "tsv": lambda rows: delimited(rows, "\t"),
    "jsonl": lambda rows: "\n".join(json.dumps(row) for row in rows).encode(),
    "json": lambda rows: json.dumps(rows, ensure_ascii=False).encode(),
    "parquet": parquet,
}

text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
name = text.filter(lambda name: not name.startswith("\ufeff"))
tables = st.lists(name, min_size=1, max_size=4, unique=True).flatmap(
    lambda names: st.lists(st.fixed_dictionaries(dict.fromkeys(names, text)), min_size=1, max_size=20)
)
json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=10,
)
SEED_ROWS = [
    {"text": f'row {number}, "quoted"\nand é', "label": "xyz"[number % 3], "messages": "[]"} for number in range(20)
]


def read_all(path: Path, table_format) -> tuple[list[Record], Problems]:
    """Reads twice, which must give the same, and checks that no row is missing without a word."""
    table = open_table(path, table_format, "the table")
    problems, again = Problems(), Problems()
    records = list(table.records(problems))
    assert list(table.records(again)) == records
    assert again == problems
    numbers = [record.number for record in records]
    if problems.count == 0:
        assert numbers == list(range(1, len(records) + 1))
    bad = {int(row.removeprefix("row ")) for row, _ in problems.first}
    assert not bad & set(numbers)
    assert numbers == sorted(set(numbers))
    return records, problems


def outcome(call, *arguments):
    """What a call returns, or how it refuses."""
    try:
        return call(*arguments)
    except (InvalidInput, BadRow) as refusal:
        return refusal


def use_as_every_shape(path: Path, table_format) -> None:
    """All that is done with untrusted bytes, up to the messages; refusals are typed and short."""
    read = outcome(read_all, path, table_format)
    if isinstance(read, InvalidInput):
        assert read.reason
        assert read.message.startswith("the table: ")
        assert len(read.message) < 10_000
        return
    records, _ = read
    shape = outcome(detect_shape, open_table(path, table_format, "the table"))
    assert isinstance(shape, str) or shape.reason == "SHAPE_UNKNOWN"
    for record in records:
        for use in (
            lambda record: conversation(record, "messages"),
            lambda record: conversation(record, "sharegpt"),
            bare_text,
            preference,
        ):
            used = outcome(use, record)
            assert not isinstance(used, BadRow) or 0 < len(used.reason) < 1000


@thorough
@given(rows=tables, table_format=st.sampled_from(FORMATS), compression=st.sampled_from(list(PACK)))
def test_what_was_written_is_read(path, rows, table_format, compression):
    path.write_bytes(PACK[compression](WRITE[table_format](rows)))
    records, problems = read_all(path, table_format)
    assert problems.count == 0
    assert [record.values for record in records] == rows


@thorough
@given(rows=st.lists(st.dictionaries(text, json_value, min_size=1, max_size=4), min_size=1, max_size=10))
def test_any_json_values_that_were_written_are_read(path, rows):
    for table_format in ("jsonl", "json"):
        path.write_bytes(WRITE[table_format](rows))
        records, problems = read_all(path, table_format)
        assert problems.count == 0
        assert [record.values for record in records] == rows


@thorough
@given(data=st.binary(max_size=300), table_format=st.sampled_from([None, *FORMATS]))
def test_arbitrary_bytes_are_read_or_refused(path, data, table_format):
    path.write_bytes(data)
    use_as_every_shape(path, table_format)


@thorough
@given(
    data=st.lists(
        st.sampled_from([*'",\t\r\n[]{}:;\\x1e0.-', "null", '{"a":1}', "\\u0000", "\\ud800", "é"]), max_size=40
    ),
    table_format=st.sampled_from([None, "csv", "tsv", "jsonl", "json"]),
)
def test_arbitrary_syntax_is_read_or_refused(path, data, table_format):
    path.write_text("".join(data), "utf-8")
    use_as_every_shape(path, table_format)


@thorough
@given(
    table_format=st.sampled_from(FORMATS),
    compression=st.sampled_from(list(PACK)),
    detect=st.booleans(),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 30), st.binary(max_size=8)),  # where, bytes taken out, bytes put in
        min_size=1,
        max_size=5,
    ),
)
def test_a_damaged_file_is_read_or_refused(path, table_format, compression, detect, edits):
    data = PACK[compression](WRITE[table_format](SEED_ROWS))
    for where, removed, added in edits:
        start = int(where * len(data))
        data = data[:start] + added + data[start + removed :]
    path.write_bytes(data)
    use_as_every_shape(path, None if detect else table_format)


turn = st.dictionaries(
    st.sampled_from(["role", "content", "weight", "from", "value", "tool_calls"]),
    st.sampled_from(["system", "user", "assistant", "human", "gpt", "text", "", 0, 1, 2, None, []]) | json_value,
)


@thorough
@given(turns=st.lists(turn | json_value, max_size=5) | json_value, shape=st.sampled_from(["messages", "sharegpt"]))
def test_arbitrary_turns_are_a_conversation_or_refused(turns, shape):
    record = Record(1, {"messages" if shape == "messages" else "conversations": turns})
    messages = outcome(conversation, record, shape)
    if isinstance(messages, BadRow):
        assert 0 < len(messages.reason) < 1000
        return
    roles = [message.role for message in messages]
    turns_alone = roles[1:] if roles[0] == "system" else roles
    assert turns_alone == ["user", "assistant"] * (len(turns_alone) // 2)
    assert turns_alone
    assert all(message.content.strip() for message in messages)
    assert any(message.weight for message in messages if message.role == "assistant")


@thorough
@given(data=st.data())
def test_a_well_formed_conversation_is_read_as_it_stands(data):
    said = text.map(str.strip).filter(bool)
    exchanges = data.draw(st.lists(st.tuples(said, said), min_size=1, max_size=4))
    turns = [
        {"role": role, "content": content}
        for exchange in exchanges
        for role, content in zip(("user", "assistant"), exchange, strict=True)
    ]
    messages = conversation(Record(1, {"messages": turns}), "messages")
    assert [{"role": message.role, "content": message.content} for message in messages] == turns

import json

import pytest
from honed.data import records
from honed.data.formats import Problems, Record, open_table
from honed.errors import InvalidInput

FORMATS = ("jsonl", "json")
GOOD = {"text": "é", "count": 3, "share": 0.5, "flag": True, "none": None, "list": [1, {"a": "b"}]}


@pytest.fixture
def table_of(tmp_path):
    def table_of(content: bytes | str, table_format):
        path = tmp_path / "table"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return open_table(path, table_format, "the table")

    return table_of


@pytest.fixture
def read(table_of):
    """Reads rows of JSON text, as lines or as an array; returns the records and what is wrong with others."""

    def read(rows: list[str], table_format) -> tuple[list[Record], Problems]:
        problems = Problems()
        content = "[" + ",\n".join(rows) + "]" if table_format == "json" else "\n".join(rows)
        return list(table_of(content, table_format).records(problems)), problems

    return read


@pytest.mark.parametrize("table_format", FORMATS)
def test_values_come_out_as_they_were_written(read, table_format):
    rows, problems = read([json.dumps(GOOD), json.dumps(GOOD, ensure_ascii=False)], table_format)
    assert rows == [Record(1, GOOD), Record(2, GOOD)]
    assert problems.count == 0


@pytest.mark.parametrize("table_format", FORMATS)
def test_large_numbers_are_not_rounded(read, table_format):
    rows, _ = read(['{"id": 123456789012345678901234567890, "other": -9223372036854775809}'], table_format)
    assert rows[0].values == {"id": 123456789012345678901234567890, "other": -9223372036854775809}


@pytest.mark.parametrize("table_format", FORMATS)
@pytest.mark.parametrize(
    ("row", "part"),
    [
        ('["text"]', "expected a JSON object, found a list"),
        ('"text"', "expected a JSON object, found text"),
        ("7", "expected a JSON object, found a number"),
        ("true", "expected a JSON object, found true or false"),
        ("null", "expected a JSON object, found nothing"),
        ('{"text": "a", "text": "b"}', "the key 'text' occurs twice"),
        ('{"text": [{"a": 1, "b": 2, "b" : 2}]}', "the key 'b' occurs twice"),
        ('{"text": [{"a": 1.5, "b": 12345678901234567.123}]}', "the number 12345678901234567.123 has more digits"),
        ('{"text": "\\ud83d"}', "half a character"),
        ('{"text": {"\\ud83d": 1}}', "half a character"),
        ('{"text": "a\\u0000b"}', "NUL"),
        ('{"text": [["\\u0000"]]}', "NUL"),
        ('{"text": NaN}', "nan is no number"),
        ('{"text": [1e999]}', "inf is no number"),
        ('{"text": ' + "[" * 32 + "]" * 32 + "}", "nested deeper than 32"),
        ("{" + ",".join(f'"c{number}": 1' for number in range(1001)) + "}", "1001 keys; at most 1000"),
    ],
)
def test_a_bad_row_is_named_and_the_rest_is_read(read, table_format, row, part):
    rows, problems = read(['{"text": "a"}', row, '{"text": "b"}'], table_format)
    assert [row.number for row in rows] == [1, 3]
    assert [row for row, _ in problems.first] == ["row 2"]
    assert part in problems.first[0][1]


BROKEN = ["{", "hello", '{"a": 1', "{'a': 1}", '{"a": "\t"}', "[" * 100_000, '{"a": ' * 100_000, "9" * 5000]


@pytest.mark.parametrize("row", BROKEN)
def test_a_line_that_is_no_json_is_named_and_the_next_is_read(read, row):
    rows, problems = read(['{"text": "a"}', row, '{"text": "b"}'], "jsonl")
    assert [row.number for row in rows] == [1, 3]
    assert [row for row, _ in problems.first] == ["row 2"]
    assert "not valid JSON" in problems.first[0][1]


@pytest.mark.parametrize("row", BROKEN)
def test_after_an_element_that_is_no_json_the_array_is_left_and_that_is_said(read, row):
    rows, problems = read(['{"text": "a"}', row, '{"text": "b"}'], "json")
    assert [row.number for row in rows] == [1]
    assert [row for row, _ in problems.first] == ["row 2"]
    assert "not valid JSON" in problems.first[0][1]
    assert "the rows after it were not read" in problems.first[0][1]


@pytest.mark.timeout(20)  # 0.05 s; where each key was looked for among all before it, it took 40 s
def test_a_key_that_occurs_twice_among_very_many_is_found_at_once(read):
    row = "{" + ",".join(f'"{number}": 0' for number in range(60_000)) + ',"7": 0}'
    _, problems = read([row, '{"a": 1}'], "jsonl")
    assert "the key '7' occurs twice" in problems.first[0][1]


def test_what_looks_like_a_key_twice_inside_a_text_is_none(read):
    rows, problems = read(['{"a": "\\"a\\": 1, \\"a\\": 2", "\\u0062": "{\\"a\\":1}"}'], "jsonl")
    assert rows[0].values == {"a": '"a": 1, "a": 2', "b": '{"a":1}'}
    assert problems.count == 0


def test_an_escaped_backslash_before_u0000_is_no_nul(read):
    rows, problems = read(['{"a": "\\\\u0000"}'], "jsonl")
    assert rows[0].values == {"a": "\\u0000"}
    assert problems.count == 0


def test_two_values_on_a_line_are_refused(read):
    _, problems = read(['{"a": 1} {"a": 2}', '{"a": 3}'], "jsonl")
    assert "something follows" in problems.first[0][1]


@pytest.mark.parametrize(
    ("content", "reason", "part"),
    [
        (b"[]", "TABLE_EMPTY", "no row"),
        (b"[{}]", "TABLE_EMPTY", "no row with a key"),
        (b' {"a": 1}', "JSON_INVALID", "begins with '{'"),
        (b'[{"a": 1}] x', "JSON_INVALID", "followed by 'x'"),
        (b'[{"a": 1} {"a": 2}]', "JSON_INVALID", "row 1 is not followed by ',' or ']' but by '{'"),
        (b'[{"a": 1}', "JSON_INVALID", "the end of the file"),
        (b'[{"a": "\xe9"}]', "ENCODING_INVALID", "byte 9 of the file, 0xe9"),
        (b'[{"a": "\xc3', "ENCODING_INVALID", "byte 9 of the file, 0xc3"),
        (b'[{"a": 1},]', "ROWS_INVALID", "row 2"),
    ],
)
def test_what_is_no_array_is_refused_with_the_place(table_of, content, reason, part):
    def read():
        problems = Problems()
        list(table_of(content, "json").records(problems))
        problems.raise_if_any("the table")

    with pytest.raises(InvalidInput) as caught:
        read()
    assert caught.value.reason == reason
    assert part in caught.value.message


def test_a_line_that_is_not_utf_8_is_refused_with_its_byte(table_of):
    with pytest.raises(InvalidInput) as caught:
        table_of(b'{"a": 1}\n\n{"a": "\xe9"}\n', "jsonl")
    assert caught.value.reason == "ENCODING_INVALID"
    assert "line 3 is not UTF-8: byte 0xe9 at position 8" in caught.value.message


def test_where_no_row_is_good_the_rows_are_named_at_once(table_of):
    with pytest.raises(InvalidInput) as caught:
        table_of(b'["a"]\n["b"]\n', "jsonl")
    assert caught.value.reason == "ROWS_INVALID"
    assert [row for row, _ in caught.value.violations] == ["row 1", "row 2"]


@pytest.mark.parametrize("character", ["a", "é", "😀"])
def test_an_element_may_have_the_limit_and_not_a_byte_more(read, character):
    room = records.MAX_ROW_BYTES - len('{"a": ""}')
    count, rest = divmod(room, len(character.encode()))
    longest = '{"a": "' + character * count + "x" * rest + '"}'
    rows, problems = read([longest, longest, '{"a": 1}'], "json")
    assert [row.number for row in rows] == [1, 2, 3]
    assert problems.count == 0
    rows, problems = read(['{"a": 1}', longest[:-2] + 'x"}', '{"a": 1}'], "json")
    assert [row.number for row in rows] == [1]
    assert "longer than 1,048,576 bytes" in problems.first[0][1]


@pytest.mark.parametrize("row", ['{"a": "' + "x" * 5_000_000 + '"}', "[" + "1," * 3_000_000 + "1]"])
def test_an_element_of_several_times_the_limit_is_called_too_long(read, row):
    _, problems = read(['{"a": 1}', row], "json")
    assert "longer than 1,048,576 bytes" in problems.first[0][1]


def test_an_array_much_larger_than_the_window_is_read_whole(read):
    padding = "é" * 1000
    rows, problems = read([json.dumps({"n": n, "p": padding}, ensure_ascii=False) for n in range(5000)], "json")
    assert [row.values["n"] for row in rows] == list(range(5000))
    assert all(row.values["p"] == padding for row in rows)
    assert problems.count == 0


def test_white_space_between_elements_may_go_on_for_long(table_of):
    space = b" \n\t\r" * 1_000_000
    table = table_of(
        space + b"[" + space + b'{"a": 1}' + space + b"," + space + b'{"a": 2}' + space + b"]" + space, "json"
    )
    assert [row.values for row in table.records(Problems())] == [{"a": 1}, {"a": 2}]


def test_the_columns_are_the_keys_of_the_first_hundred_rows(table_of):
    lines = [json.dumps({"a": 1, f"b{number}": 2}) for number in range(150)]
    assert table_of("\n".join(lines), "jsonl").columns == ("a", *(f"b{number}" for number in range(100)))

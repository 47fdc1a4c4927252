import json

import pytest
from honed.data import formats
from honed.data.formats import Row, read_rows
from honed.errors import InvalidInput

COLUMNS = ("text", "label")


@pytest.fixture
def read(tmp_path):
    def read(content: bytes | str, table_format="csv", columns=COLUMNS):
        path = tmp_path / "table"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_rows(path, table_format, columns, "the table")

    return read


def refusal(read, *arguments):
    with pytest.raises(InvalidInput) as caught:
        read(*arguments)
    return caught.value


def test_csv_rows_keep_their_quoted_commas_quotes_and_line_breaks(read):
    rows = read('id,text,label\n1,"a, ""b""\nc",x\n2,plain,y\n')
    assert rows == [
        Row(1, {"text": 'a, "b"\nc', "label": "x"}),
        Row(2, {"text": "plain", "label": "y"}),
    ]


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_change_nothing(read):
    plain = read("text,label\na,x\nb,y\n")
    assert read(b"\xef\xbb\xbftext,label\r\n\r\na,x\r\nb,y") == plain


def test_jsonl_rows_carry_the_named_keys_alone_and_blank_lines_are_no_rows(read):
    rows = read('{"text": "é", "label": "x", "other": 1}\n\n{"label": "y", "text": "b"}\n', "jsonl")
    assert rows == [Row(1, {"text": "é", "label": "x"}), Row(2, {"text": "b", "label": "y"})]


def test_every_csv_row_with_a_wrong_number_of_fields_is_named(read):
    error = refusal(read, "text,label\na,x\nb\nc,y\nd,y,z\n")
    assert error.reason == "ROWS_INVALID"
    assert [row for row, _ in error.violations] == ["row 2", "row 4"]
    assert error.metadata["bad_rows"] == "2"


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('["text"]', "expected a JSON object, found list"),
        ('{"text": "a"}', "no key 'label'"),
        ('{"text": "a", "label": null}', "no key 'label'"),
        ('{"text": "a", "label": 3}', "'label' must be a string, found int"),
        ('{"text": "a", "text": "b", "label": "x"}', "a key occurs twice"),
        ('{"text": "\\ud83d", "label": "x"}', "half a character"),
    ],
)
def test_a_bad_json_line_is_named_with_its_reason(read, line, part):
    error = refusal(read, '{"text": "a", "label": "x"}\n' + line + "\n", "jsonl")
    assert error.reason == "ROWS_INVALID"
    assert [row for row, _ in error.violations] == ["row 2"]
    assert part in error.violations[0][1]


def test_of_many_bad_rows_the_first_are_shown_and_the_rest_are_counted(read):
    error = refusal(read, "text,label\n" + "a\n" * 57)
    assert len(error.violations) == formats.SHOWN_PROBLEMS + 1
    assert error.violations[0][0] == "row 1"
    assert "37 more" in error.violations[-1][1]
    assert error.metadata["bad_rows"] == "57"


@pytest.mark.parametrize(
    ("content", "reason", "part"),
    [
        (b"", "TABLE_EMPTY", "empty"),
        (b"text,label\n", "TABLE_EMPTY", "no row"),
        (b"text,name\na,x\n", "COLUMN_MISSING", "'label'"),
        (b"text,label,text\na,x,b\n", "HEADER_DUPLICATE", "'text'"),
        (b"text,label\n\xe9,x\n", "ENCODING_INVALID", "line 2 is not UTF-8: byte 0xe9 at position 1"),
        (b"text,label\na\0,x\n", "ENCODING_INVALID", "NUL"),
        (b'text,label\n"a,x\n', "ROWS_INVALID", "row 1"),
        (b'text,label\n"a"b,x\n', "ROWS_INVALID", "row 1"),
    ],
)
def test_a_broken_table_is_refused_with_the_place_and_the_reason(read, content, reason, part):
    error = refusal(read, content)
    assert error.reason == reason
    assert part in error.message


def test_a_line_may_have_the_limit_and_not_a_byte_more(read):
    room = formats.MAX_LINE_BYTES - len(json.dumps({"text": "", "label": "x"})) - 1
    good = json.dumps({"text": "a" * room, "label": "x"}) + "\n"
    assert len(good) == formats.MAX_LINE_BYTES
    assert len(read(good, "jsonl")[0].values["text"]) == room
    assert refusal(read, good[:-1] + " \n", "jsonl").reason == "LINE_TOO_LONG"


def test_a_header_has_a_limit_of_columns(read):
    header = ",".join(["text", "label", *(f"c{i}" for i in range(formats.MAX_COLUMNS - 1))])
    assert refusal(read, header + "\n").reason == "TABLE_TOO_WIDE"


def test_rows_beyond_the_limit_are_refused(read, monkeypatch):
    monkeypatch.setattr(formats, "MAX_ROWS", 2)
    assert len(read("text,label\na,x\nb,y\n")) == 2
    assert refusal(read, "text,label\na,x\nb,y\nc,z\n").reason == "TABLE_TOO_LONG"

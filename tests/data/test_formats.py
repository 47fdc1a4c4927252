import gzip
import json

import pytest
import zstandard
from honed.data import lines, records
from honed.data.formats import open_table
from honed.data.problems import SHOWN_PROBLEMS, Problems
from honed.data.records import Record
from honed.errors import InvalidInput


@pytest.fixture
def table_of(tmp_path):
    def table_of(content: bytes | str, table_format=None):
        path = tmp_path / "table"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return open_table(path, table_format, "the table")

    return table_of


@pytest.fixture
def read(table_of):
    def read(content: bytes | str, table_format="csv") -> list[Record]:
        problems = Problems()
        rows = list(table_of(content, table_format).records(problems))
        problems.raise_if_any("the table")
        return rows

    return read


def refusal(read, *arguments):
    with pytest.raises(InvalidInput) as caught:
        read(*arguments)
    return caught.value


def test_csv_rows_keep_their_quoted_commas_quotes_and_line_breaks(read):
    assert read('id,text\n1,"a, ""b""\nc"\n2,plain\n') == [
        Record(1, {"id": "1", "text": 'a, "b"\nc'}),
        Record(2, {"id": "2", "text": "plain"}),
    ]


def test_tsv_is_quoted_in_the_same_way(read):
    assert read('text\tlabel\na, b\t"c\td"\n', "tsv") == [Record(1, {"text": "a, b", "label": "c\td"})]


def test_a_byte_order_mark_windows_line_ends_and_blank_lines_change_nothing(read):
    plain = read("text,label\na,x\nb,y\n")
    assert read(b"\xef\xbb\xbftext,label\r\n\r\na,x\r\nb,y") == plain
    assert read(b'\xef\xbb\xbf"text",label\n\n\na,x\nb,y') == plain


def test_a_table_is_read_anew_at_each_call(table_of):
    table = table_of(gzip.compress(b"text,label\na,x\nb,y\n"))
    assert list(table.records(Problems())) == list(table.records(Problems()))


@pytest.mark.parametrize(
    ("content", "table_format", "columns"),
    [
        ("text,label\na,x\n", "csv", ("text", "label")),
        ("text\tlabel, or two\na\tx\n", "tsv", ("text", "label, or two")),
        ('"a\tb",c\n1,2\n', "csv", ("a\tb", "c")),
        ("text\na\n", "csv", ("text",)),
        ("\ttext\n0\ta\n", "tsv", ("", "text")),
        ('\t{"b": 1}\n', "jsonl", ("b",)),
        ('{"b": 1}\n{"a": 2, "b": 3}\n', "jsonl", ("b", "a")),
        ('\ufeff \n[{"b": 1},\n {"a": 2}]', "json", ("b", "a")),
    ],
)
def test_format_and_columns_are_seen_from_the_bytes_packed_or_not(table_of, content, table_format, columns):
    data = content.encode()
    packed = {"": data, "gzip": gzip.compress(data), "zstd": zstandard.compress(data)}
    for compression, packed_data in packed.items():
        table = table_of(packed_data)
        assert (table.format, table.compression, table.columns) == (table_format, compression, columns)
        problems = Problems()
        assert [row.number for row in table.records(problems)][:1] == [1]
        assert problems.count == 0


def test_every_csv_row_with_a_wrong_number_of_fields_is_named(read):
    error = refusal(read, "text,label\na,x\nb\nc,y\nd,y,z\n")
    assert error.reason == "ROWS_INVALID"
    assert [row for row, _ in error.violations] == ["row 2", "row 4"]
    assert error.metadata["bad_rows"] == "2"


def test_bad_rows_are_left_out_and_the_others_keep_their_numbers(table_of):
    problems = Problems()
    rows = list(table_of("text,label\na,x\nb\nc,y\n").records(problems))
    assert [row.number for row in rows] == [1, 3]
    assert problems.count == 1


def test_of_many_bad_rows_the_first_are_shown_and_the_rest_are_counted(read):
    error = refusal(read, "text,label\n" + "a\n" * 57)
    assert len(error.violations) == SHOWN_PROBLEMS + 1
    assert error.violations[0][0] == "row 1"
    assert "37 more" in error.violations[-1][1]
    assert error.metadata["bad_rows"] == "57"


@pytest.mark.parametrize("quoting", ['"c,z\n', '"c"d,z\n'])
def test_after_broken_quoting_the_row_is_named_and_nothing_more_is_read(read, quoting):
    error = refusal(read, "text,label\na\nb,y\n" + quoting)
    assert [row for row, _ in error.violations] == ["row 1", "row 3"]
    assert "line 4" in error.violations[1][1]
    assert "not read" in error.violations[1][1]


@pytest.mark.parametrize(
    ("content", "reason", "part"),
    [
        (b"", "TABLE_EMPTY", "empty"),
        (gzip.compress(b""), "TABLE_EMPTY", "empty"),
        (b"\n\n", "TABLE_EMPTY", "no header"),
        (b"text,label\n", "TABLE_EMPTY", "no row"),
        (b"text,label,text\na,x,b\n", "HEADER_DUPLICATE", "'text'"),
        (b'"text,label\na,x\n', "HEADER_INVALID", "header"),
        (b"text," + b"x" * 201 + b"\na,x\n", "HEADER_INVALID", "more than 200 characters"),
        (b"text,label\n\xe9,x\n", "ENCODING_INVALID", "line 2 is not UTF-8: byte 0xe9 at position 1"),
        (b"text,label\na\0,x\n", "ENCODING_INVALID", "line 2 contains a NUL"),
        ("text,label\na,x\n".encode("utf-16"), "ENCODING_INVALID", "line 1 begins with the byte order mark of UTF-16"),
        ("text,label\na,x\n".encode("utf-16-be"), "ENCODING_INVALID", "line 1 contains a NUL"),
    ],
)
def test_a_broken_table_is_refused_with_the_place_and_the_reason(read, content, reason, part):
    error = refusal(read, content)
    assert error.reason == reason
    assert part in error.message


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"PK\x03\x04 and so on", "Excel"),
        (b"BZh91AY&SY and so on", "bzip2"),
        (gzip.compress(gzip.compress(b"text\na\n")), "twice"),
        (b"text;label\na;b\n", "semicolons"),
    ],
)
def test_what_is_no_table_is_refused_with_what_to_do(table_of, content, part):
    error = refusal(table_of, content)
    assert error.reason == "FORMAT_UNKNOWN"
    assert part in error.message


def test_a_line_may_have_the_limit_and_not_a_byte_more(read):
    room = records.MAX_ROW_BYTES - len(json.dumps({"text": "", "label": "x"})) - 1
    good = json.dumps({"text": "a" * room, "label": "x"}) + "\n"
    assert len(good) == records.MAX_ROW_BYTES
    assert read(good, "jsonl")[0].values["text"] == "a" * room
    assert refusal(read, good[:-1] + " \n", "jsonl").reason == "LINE_TOO_LONG"


def test_a_row_of_many_lines_has_the_limit_of_one(read):
    text = "a" * 1023 + "\n"
    assert len(read(f'text\n"{text * 1023}"\n"{text * 1023}"\n')) == 2
    error = refusal(read, f'text\n"{text * 1024}"\n')
    assert error.reason == "LINE_TOO_LONG"
    assert "closing quote" in error.message


def test_a_header_has_a_limit_of_columns(read):
    names = [f"c{number}" for number in range(10_000)]
    most = names[: records.MAX_COLUMNS]
    assert list(read(",".join(most) + "\n" + "," * (len(most) - 1) + "\n")[0].values) == most
    error = refusal(read, ",".join(names) + "\n")
    assert error.reason == "TABLE_TOO_WIDE"
    assert "10000 columns" in error.message


def test_rows_beyond_the_limit_are_refused(read, monkeypatch):
    monkeypatch.setattr(records, "MAX_ROWS", 2)
    assert len(read("text,label\na,x\nb,y\n")) == 2
    assert refusal(read, "text,label\na,x\nb,y\nc,z\n").reason == "TABLE_TOO_LONG"


@pytest.mark.parametrize("content", ["text\na\n" + "\n" * 9, 'text\n"' + "\n" * 10 + '"\n'])
def test_blank_lines_and_lines_inside_quotes_are_limited_too(read, monkeypatch, content):
    monkeypatch.setattr(lines, "MAX_LINES", 11)
    assert refusal(read, content + "\n").reason == "TABLE_TOO_LONG"
    monkeypatch.setattr(lines, "MAX_LINES", 13)
    assert len(read(content)) == 1


def test_reading_ends_with_a_memory_error_before_the_limit_of_the_process_is_reached(read, monkeypatch):
    monkeypatch.setattr(records.resource, "getrlimit", lambda _: (1 << 20, 1 << 20))
    with pytest.raises(MemoryError):
        read("text\n" + "a\n" * 10_000)


@pytest.mark.parametrize(
    "content", ['{\n "data": [\n  {"text": "a"}]}', '{"data": [\n{"text": "a"}\n]}', '{"text": "a",\r\n"b": 1}']
)
@pytest.mark.parametrize("table_format", [None, "jsonl"])
def test_an_object_over_several_lines_is_refused_with_what_to_write(table_of, content, table_format):
    error = refusal(table_of, content, table_format)
    assert error.reason == "JSON_INVALID"
    assert "Write one object a line, or one array of objects" in error.message


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"text,label\na\0,x\n", "Remove it, or export the table anew"),
        (b"{}\n{}\n", 'objects with a key for each column, such as {"prompt"'),
    ],
)
def test_what_to_do_about_a_broken_table_is_said(read, content, part):
    assert part in refusal(read, content, "jsonl" if content.startswith(b"{") else "csv").message


def test_a_value_that_cannot_be_kept_is_named_with_its_column(read):
    row = json.dumps({"text": "a\0", "n": 1})
    error = refusal(read, f'{row}\n{{"text": "\\ud800"}}\n{{"text": "a", "n": [1e999]}}\n', "jsonl")
    assert [said.partition(";")[0] for _, said in error.violations][:2] == [
        "'text': a text holds a NUL character",
        "'text': a text holds half a character (a surrogate without its pair)",
    ]
    assert all("; " in said for _, said in error.violations[:2])


def test_what_to_do_about_too_many_rows_is_said(read, monkeypatch):
    monkeypatch.setattr(records, "MAX_ROWS", 2)
    assert "Leave some out" in refusal(read, "text\na\nb\nc\n").message

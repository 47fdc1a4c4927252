"""Tables that are refused: each by a typed error that names the place, and nothing of them is kept."""

import pytest
from helpers.daemon import refused
from honed.v1.datasets_pb2 import FILE_FORMAT_CSV, Columns, UploadDatasetHeader, UploadDatasetRequest

pytestmark = pytest.mark.usefixtures("nothing_is_kept")
LABELLED = {"text_column": "text", "label_column": "label"}
GOOD = b"text,label\na,x\nb,x\nc,y\nd,y\n"


@pytest.fixture
def upload(client, tmp_path):
    def upload(content: bytes, *, suffix="csv", test: bytes | None = None, **options):
        train, test_file = tmp_path / f"train.{suffix}", tmp_path / f"test.{suffix}"
        train.write_bytes(content)
        if test is not None:
            test_file.write_bytes(test)
        columns = {} if suffix == "jsonl" else LABELLED
        return client.upload_dataset("bad", train, test=test_file if test is not None else None, **columns | options)

    return upload


CSV_CASES = {
    "empty file": (b"", "TABLE_EMPTY", "empty"),
    "header only": (b"text,label\n", "TABLE_EMPTY", "no row"),
    "missing column": (b"text,class\na,x\nb,y\n", "COLUMN_MISSING", "'label'"),
    "not UTF-8": (GOOD + b"caf\xe9,x\n", "ENCODING_INVALID", "line 6"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "ENCODING_INVALID", "line 1"),
    "NUL": (GOOD + b"a\0b,x\n", "ENCODING_INVALID", "line 6"),
    "line of 10 MB": (GOOD + b"a" * 10_000_000 + b",x\n", "LINE_TOO_LONG", "line 6"),
    "header twice": (b"text,label,text\na,x,b\n", "HEADER_DUPLICATE", "'text'"),
    "ragged row": (GOOD + b"a,x,more\n", "ROWS_INVALID", "row 5"),
    "short row": (GOOD + b"a\n", "ROWS_INVALID", "row 5"),
    "open quote": (GOOD + b'"a,x\n', "ROWS_INVALID", "row 5"),
    "quote inside": (GOOD + b'"a"b,x\n', "ROWS_INVALID", "row 5"),
    "empty text": (GOOD + b" ,x\n", "ROWS_INVALID", "row 5"),
    "empty label": (GOOD + b"a,\n", "ROWS_INVALID", "row 5"),
    "label too long": (GOOD + b"a," + b"x" * 201 + b"\n", "ROWS_INVALID", "row 5"),
    "one label": (b"text,label\na,x\nb,x\n", "LABELS_TOO_FEW", "'x'"),
    "too many columns": (b",".join(b"c%d" % n for n in range(1001)) + b"\n", "TABLE_TOO_WIDE", "1001"),
    "binary": (bytes(range(256)) * 10, "ENCODING_INVALID", "line 1"),
}


@pytest.mark.parametrize("case", CSV_CASES)
def test_a_bad_csv_file_is_refused_with_the_place(case, upload):
    content, reason, place = CSV_CASES[case]
    with refused("INVALID_ARGUMENT", reason) as error:
        upload(content)
    assert place in error.value.message


JSONL_CASES = {
    "no JSON": (b'{"prompt": "a", "completion": "b"}\nhello\n', "row 2"),
    "no object": (b'["a", "b"]\n', "row 1"),
    "missing key": (b'{"prompt": "a", "completion": "b"}\n{"prompt": "a"}\n', "row 2"),
    "list": (b'{"prompt": "a", "completion": ["b"]}\n', "row 1"),
    "null": (b'{"prompt": null, "completion": "b"}\n', "row 1"),
    "key twice": (b'{"prompt": "a", "prompt": "c", "completion": "b"}\n', "row 1"),
    "deep nesting": (b'{"prompt": ' + b"[" * 100_000 + b"\n", "row 1"),
    "empty completion": (b'{"prompt": "a", "completion": " "}\n', "row 1"),
    "half a surrogate pair": (b'{"prompt": "\\ud800", "completion": "b"}\n' * 5, "row 1"),
}


@pytest.mark.parametrize("case", JSONL_CASES)
def test_a_bad_jsonl_line_is_refused_by_its_number(case, upload):
    content, place = JSONL_CASES[case]
    with refused("INVALID_ARGUMENT", "ROWS_INVALID") as error:
        upload(content, suffix="jsonl", test_fraction=0)
    assert place in error.value.message
    assert place in {row for row, _ in error.value.field_violations}


def test_every_bad_row_is_listed_up_to_a_limit(upload):
    with refused("INVALID_ARGUMENT", "ROWS_INVALID") as error:
        upload(GOOD + b"a\n" * 30)
    listed = [row for row, _ in error.value.field_violations]
    assert listed[:20] == [f"row {number}" for number in range(5, 25)]
    assert error.value.metadata["bad_rows"] == "30"


def test_a_label_of_the_test_table_alone_is_refused_by_its_row(upload):
    with refused("INVALID_ARGUMENT", "ROWS_INVALID") as error:
        upload(GOOD, test=b"text,label\na,x\nb,unheard\n")
    assert error.value.field_violations[0][0] == "row 2"
    assert "'unheard'" in error.value.message


def test_an_empty_test_table_is_refused(upload):
    with refused("INVALID_ARGUMENT", "TABLE_EMPTY") as error:
        upload(GOOD, test=b"")
    assert "test table" in error.value.message


@pytest.mark.parametrize("fraction", [-0.1, 0.91, 1, 1e300, float("nan"), float("inf")])
def test_a_test_fraction_out_of_range_is_refused(fraction, upload):
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        upload(GOOD, test_fraction=fraction)
    assert error.value.field_violations[0][0] == "header.test_fraction"


@pytest.mark.parametrize(("field", "value"), [("test_fraction", 0.5), ("group_column", "text")])
def test_an_option_of_the_split_beside_a_test_table_is_refused(field, value, upload):
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        upload(GOOD, test=GOOD, **{field: value})
    assert error.value.field_violations[0][0] == f"header.{field}"


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("header.seed", {"seed": -1}),
        ("header.columns[text]", {"text_column": ""}),
        ("header.columns[text]", {"text_column": "x" * 201}),
        ("header.columns[label]", {"label_column": None, "columns": {"label": []}}),
        ("header.instruction", {"instruction": "x" * 2001}),
        ("header.group_column", {"group_column": "x" * 201}),
        ("header.parameters", {"parameters": {"": "x"}}),
        ("header.verbalizer", {"verbalizer": {"x": "y" * 201}}),
        ("header.long_rows", {"long_rows": "drop"}),
        ("header.template", {"shape": "alpaca", "template": "classify"}),
        ("header.template", {"text_column": None}),
    ],
)
def test_a_bad_option_is_refused_by_its_field(field, options, upload):
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        upload(GOOD, **options)
    assert error.value.field_violations[0][0] == field


def test_text_and_label_in_one_column_are_refused(upload):
    with refused("INVALID_ARGUMENT", "COLUMN_TWICE") as error:
        upload(GOOD, text_column="label")
    assert "'label'" in error.value.message


def test_columns_that_do_not_say_what_a_row_is_are_refused_with_the_options_that_would(client):
    message = UploadDatasetRequest(header=UploadDatasetHeader(dataset_id="bad"))
    with refused("INVALID_ARGUMENT", "SHAPE_UNKNOWN") as error:
        client._calls.upload(client._datasets.UploadDataset, iter([message, UploadDatasetRequest(train_data=GOOD)]))
    for word in ("'text', 'label'", "--text-column", "--template"):
        assert word in error.value.message


def header(**fields):
    columns = {slot: Columns(names=[slot]) for slot in ("text", "label")}
    message = UploadDatasetHeader(**{"dataset_id": "bad", "format": FILE_FORMAT_CSV, "columns": columns, **fields})
    return UploadDatasetRequest(header=message)


STREAMS = {
    "nothing": ([], "header"),
    "no header": ([UploadDatasetRequest(train_data=GOOD)], "header"),
    "empty message": ([UploadDatasetRequest()], "header"),
    "unknown format": ([header(format=77)], "header.format"),
    "unknown shape": ([header(shape=77)], "header.shape"),
    "unknown long rows": ([header(long_rows=77)], "header.long_rows"),
    "no template's name": ([header(template="classify")], "header.template"),
    "no model's name": ([header(model="tiny")], "header.model"),
    "two headers": ([header(), header()], "payload"),
    "empty payload": ([header(), UploadDatasetRequest()], "payload"),
}


@pytest.mark.parametrize("case", STREAMS)
def test_a_stream_out_of_form_is_refused_by_its_field(case, client):
    messages, field = STREAMS[case]
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        client._calls.upload(client._datasets.UploadDataset, iter(messages))
    assert error.value.field_violations[0][0] == field


def test_a_stream_of_a_header_alone_is_an_empty_table(client):
    with refused("INVALID_ARGUMENT", "TABLE_EMPTY"):
        client._calls.upload(client._datasets.UploadDataset, iter([header()]))


def test_a_table_that_comes_back_after_the_other_is_refused(client):
    pieces = [UploadDatasetRequest(train_data=GOOD), UploadDatasetRequest(test_data=GOOD)]
    with refused("INVALID_ARGUMENT", "FIELD_INVALID"):
        client._calls.upload(client._datasets.UploadDataset, iter([header(), *pieces, pieces[0]]))


def test_a_message_over_the_limit_is_refused(client):
    messages = [header(), UploadDatasetRequest(train_data=b"x" * (4 << 20))]
    with refused("RESOURCE_EXHAUSTED", ""):
        client._calls.upload(client._datasets.UploadDataset, iter(messages))


def test_a_table_over_the_configured_size_is_refused(new_daemon, table):
    daemon = new_daemon(stock=None, max_dataset_bytes=100).start()
    with daemon.client() as client:
        with refused("INVALID_ARGUMENT", "UPLOAD_TOO_LARGE"):
            client.upload_dataset("large", table, **LABELLED)
        assert list(client.list_datasets()) == []
        assert not list((daemon.state / "uploads").iterdir())


def test_a_table_that_takes_too_much_memory_to_parse_is_refused(new_daemon, tmp_path):
    daemon = new_daemon(stock=None, ingest_memory_bytes=340 << 20).start()
    large = tmp_path / "large.csv"
    large.write_text("text,label\n" + "".join(f"{number},{'xy'[number % 2]}\n" for number in range(800_000)), "utf-8")
    with daemon.client() as client:
        with refused("FAILED_PRECONDITION", "MEMORY_EXCEEDED"):
            client.upload_dataset("large", large, **LABELLED)
        assert list(client.list_datasets()) == []

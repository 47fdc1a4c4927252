"""Tables of every shape and format to data sets: what is detected, rendered, split, checked, kept and shown again."""

import hashlib

import pytest
from helpers.daemon import refused
from helpers.tables import PACK, WRITE
from helpers.tiny_model import END_OF_TURN
from honed.v1.datasets_pb2 import FileFormat, Finding, Shape, Task
from process.previews import chatml, shown

LABELLED = {"text_column": "text", "label_column": "label"}
CONTEXT = 16384


@pytest.fixture
def train_rows(client):
    """Numbers of the training rows of a data set that has no more than a hundred."""
    return lambda dataset: [row.row for row in client.preview_dataset(dataset.name, "tiny", rows=100).rows]


def findings(dataset) -> dict[str, Finding]:
    return {finding.code: finding for finding in dataset.report.findings}


def chat(number: int) -> list[tuple[str, str]]:
    return [
        ("system", "Be brief."),
        ("user", f"Where is card {number}?"),
        ("assistant", "Lost?"),
        ("user", "Yes."),
        ("assistant", f"Card {number} is on its way."),
    ]


# Of each shape: a row, the options of the upload, the task, what the row is rendered to, and what of it is learned.
SHAPES = {
    "table": (
        lambda n: {"text": f"Where is card {n}?", "label": "ab"[n % 2], "region": ["north", "south"][n // 2 % 2]},
        LABELLED,
        "CLASSIFY",
        chatml(("system", "Classify the message."), ("user", "Where is card 1?"), ("assistant", "b")),
        f"b{END_OF_TURN}",
    ),
    "prompt_completion": (
        lambda n: {
            "prompt": f"Where is card {n}?",
            "completion": f'Card {n}, {"“naïve”" if n == 2 else "x"},\nis "lost".',
        },
        {},
        "GENERATE",
        chatml(("user", "Where is card 1?"), ("assistant", 'Card 1, x,\nis "lost".')),
        f'Card 1, x,\nis "lost".{END_OF_TURN}',
    ),
    "alpaca": (
        lambda n: {"instruction": f"Find card {n}.", "input": "Ann's" if n == 1 else "", "output": f"Found {n}."},
        {},
        "GENERATE",
        chatml(("user", "Find card 1.\n\nAnn's"), ("assistant", "Found 1.")),
        f"Found 1.{END_OF_TURN}",
    ),
    "sharegpt": (
        lambda n: {
            "conversations": [
                {"from": {"user": "human", "assistant": "gpt"}.get(role, role), "value": content}
                for role, content in chat(n)
            ]
        },
        {},
        "GENERATE",
        chatml(*chat(1)),
        f"Lost?{END_OF_TURN}Card 1 is on its way.{END_OF_TURN}",
    ),
    "messages": (
        lambda n: {
            "messages": [
                {"role": role, "content": content} | ({"weight": 0} if content == "Lost?" else {})
                for role, content in chat(n)
            ]
        },
        {},
        "GENERATE",
        chatml(*chat(1)),
        f"Card 1 is on its way.{END_OF_TURN}",
    ),
    "text": (
        lambda n: {"text": f"  Chapter {n}.\n\nIt was a card, lost."},
        {},
        "TEXT",
        f"{END_OF_TURN}  Chapter 1.\n\nIt was a card, lost.{END_OF_TURN}",
        f"  Chapter 1.\n\nIt was a card, lost.{END_OF_TURN}",
    ),
    "preference": (
        lambda n: {"prompt": f"Where is card {n}?", "chosen": f"Card {n} is here.", "rejected": "Who knows?"},
        {},
        "GENERATE",
        chatml(("user", "Where is card 1?"), ("assistant", "Card 1 is here.")),
        f"Card 1 is here.{END_OF_TURN}",
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_is_the_same_data_set_in_every_format(shape, client, upload):
    make, options, task, rendered, learned = SHAPES[shape]
    rows = [make(number) for number in range(1, 11)]
    digests = set()
    for table_format in ("jsonl", "json", "parquet") if shape in {"sharegpt", "messages"} else WRITE:
        named = {"format": "tsv"} if (shape, table_format) == ("text", "tsv") else {}  # one column has no tabs
        dataset = upload(rows, table_format=table_format, test_fraction=0.4, **options, **named)
        assert Shape.Name(dataset.shape) == f"SHAPE_{shape.upper()}"
        assert FileFormat.Name(dataset.format) == f"FILE_FORMAT_{table_format.upper()}"
        assert Task.Name(dataset.task) == f"TASK_{task}"
        assert (dataset.report.rows, dataset.train_rows, dataset.test_rows) == (10, 6, 4)
        digests.add(dataset.digest)
    assert len(digests) == 1
    whole = upload(rows, test_fraction=0, **options)
    assert shown(client, whole) == (rendered, learned)


@pytest.mark.parametrize("table_format", WRITE)
def test_compression_is_seen_and_changes_nothing(table_format, upload):
    rows = [SHAPES["table"][0](number) for number in range(10)]
    packed = [upload(pack(WRITE[table_format](rows)), **LABELLED) for pack in PACK.values()]
    assert {(each.digest, each.format, each.train_rows) for each in packed} == {
        (packed[0].digest, FileFormat.Value(f"FILE_FORMAT_{table_format.upper()}"), 8)
    }


@pytest.mark.parametrize("table_format", ["csv", "tsv", "jsonl", "json"])
def test_a_byte_order_mark_and_windows_line_ends_change_nothing(table_format, upload):
    plain = WRITE[table_format]([SHAPES["table"][0](number) for number in range(10)]).replace(b"\r\n", b"\n")
    windows = b"\xef\xbb\xbf" + plain.replace(b"\n", b"\r\n")
    assert upload(windows, **LABELLED).digest == upload(plain, **LABELLED).digest


def test_a_row_just_below_the_limit_of_a_row_is_taken(upload):
    rows = [{"prompt": "x" * 1_000_000, "completion": "a"}, {"prompt": "y", "completion": "b"}]
    for table_format in WRITE:
        dataset = upload(rows, table_format=table_format, test_fraction=0)
        assert dataset.report.characters.longest == 1_000_001


def test_the_shape_that_is_asked_for_counts_and_not_the_one_that_the_columns_suggest(client, upload):
    rows = [{"prompt": f"p{n}", "completion": f"c{n}", "text": f"t{n}", "output": f"o{n}"} for n in range(4)]
    seen, asked = upload(rows), upload(rows, shape="text")
    assert (seen.shape, asked.shape) == (Shape.SHAPE_PROMPT_COMPLETION, Shape.SHAPE_TEXT)
    named = upload(rows, columns={"prompt": "text", "completion": "output"}, test_fraction=0)
    assert shown(client, named) == (chatml(("user", "t0"), ("assistant", "o0")), f"o0{END_OF_TURN}")


def test_a_test_table_may_have_another_format_and_its_rows_are_named_as_its_own(upload):
    train = [SHAPES["table"][0](number) for number in range(10)]
    test = [
        {"text": "Where is card 3?", "label": "b", "region": "west"},
        {"text": "New?", "label": "a"} | {"region": "x"},
    ]
    dataset = upload(train, test=PACK["gzip"](WRITE["csv"](test)), table_format="parquet", **LABELLED)
    assert (dataset.train_rows, dataset.test_rows, dataset.report.rows) == (10, 2, 12)
    assert list(findings(dataset)["LEAKAGE"].rows) == ["test 1"]
    assert [(each.label, each.train, each.test) for each in dataset.report.labels] == [("a", 5, 1), ("b", 5, 1)]


def test_test_rows_of_one_prompt_become_one_row_with_several_references(upload):
    test = [{"prompt": f"Say {n % 2}.", "completion": reply} for n, reply in enumerate(["a", "b", "c", "b", "a"])]
    dataset = upload([{"prompt": "Say 9.", "completion": "z"}], test=test)
    assert (dataset.train_rows, dataset.test_rows, dataset.report.rows) == (1, 2, 6)
    merged = findings(dataset)["REFERENCES_MERGED"]
    assert (merged.severity, merged.count) == (Finding.SEVERITY_INFO, 5)
    assert "5 held-out rows of 2 prompts became 2 test rows" in merged.message


# Splits


def test_the_same_content_is_split_alike_however_often_and_in_whatever_order_it_comes(upload, train_rows):
    rows = [SHAPES["table"][0](number) for number in range(40)]
    first, again = upload(rows, **LABELLED), upload(rows, **LABELLED)
    assert (first.digest, train_rows(first)) == (again.digest, train_rows(again))
    backwards = upload(rows[::-1], **LABELLED)
    assert sorted(41 - int(row) for row in train_rows(backwards)) == sorted(map(int, train_rows(first)))
    other = upload(rows, seed=1, **LABELLED)
    assert (other.train_rows, other.test_rows) == (first.train_rows, first.test_rows) == (32, 8)
    assert train_rows(other) != train_rows(first)
    assert other.digest != first.digest


def test_rows_of_one_group_are_never_on_both_sides(upload, train_rows):
    rows = [{"text": f"text {n}", "label": "ab"[n % 2], "customer": n // 6} for n in range(60)]
    dataset = upload(rows, group_column="customer", **LABELLED)
    inside = {rows[int(row) - 1]["customer"] for row in train_rows(dataset)}
    assert 0 < dataset.test_rows == 6 * (10 - len(inside))
    assert len(inside) * 6 == dataset.train_rows
    ungrouped = upload(rows, **LABELLED)
    assert len({rows[int(row) - 1]["customer"] for row in train_rows(ungrouped)}) > len(inside)


def test_a_label_with_a_single_row_is_trained_and_reported(upload):
    rows = [{"text": f"text {n}", "label": "ab"[n % 2]} for n in range(10)] + [{"text": "alone", "label": "c"}]
    dataset = upload(rows, **LABELLED)
    assert [(each.label, each.train, each.test) for each in dataset.report.labels] == [
        ("a", 4, 1),
        ("b", 4, 1),
        ("c", 1, 0),
    ]
    finding = findings(dataset)["CLASS_TOO_SMALL"]
    assert (finding.severity, finding.count) == (Finding.SEVERITY_WARNING, 1)
    assert "'c'" in finding.message


# Reports


def test_what_the_checks_find_is_named_by_row_and_returned_ever_after(client, upload):
    def row(text: str, label: str = "card", **columns) -> dict[str, str]:
        return {"text": text, "label": label, "bank": "X", "note": "", **columns}

    def unlike(number: int) -> str:
        return hashlib.sha256(b"%d" % number).hexdigest()

    sentence = "I have been waiting for my new card for more than two weeks now, and nobody can say where it is"
    train = [row(unlike(number)) for number in range(30)]
    train[3] = train[2]
    train[5] = row(train[4]["text"], "refund")
    train[6] = row(f"CafÃ© {unlike(6)}")
    train[7] = row(f"Hidden\u200b {unlike(7)}")
    train[8], train[9] = row(f"{sentence}."), row(f"{sentence}!")
    train.append(row(unlike(30), "refund"))
    test = [row(unlike(0), note="late"), row(f"{sentence}?"), row(unlike(40), "refund")]
    dataset = upload(train, test=test, **LABELLED)
    assert [
        (Finding.Severity.Name(finding.severity), finding.code, finding.column, finding.count, list(finding.rows))
        for finding in dataset.report.findings
    ] == [
        ("SEVERITY_ERROR", "LEAKAGE", "", 1, ["test 1"]),
        ("SEVERITY_WARNING", "DUPLICATES_EXACT", "", 2, ["4", "test 1"]),
        ("SEVERITY_WARNING", "LEAKAGE_NEAR", "", 1, ["test 2"]),
        ("SEVERITY_WARNING", "ENCODING_MIXED", "", 1, ["7"]),
        ("SEVERITY_WARNING", "CONTROL_CHARACTERS", "", 1, ["8"]),
        ("SEVERITY_WARNING", "LABELS_CONFLICTING", "", 1, ["6"]),
        ("SEVERITY_WARNING", "CLASS_IMBALANCE", "", 0, []),
        ("SEVERITY_INFO", "DUPLICATES_NEAR", "", 2, ["10", "test 2"]),
        ("SEVERITY_INFO", "CLASS_SMALL", "", 1, []),
        ("SEVERITY_INFO", "COLUMN_CONSTANT", "bank", 0, []),
    ]
    assert list(dataset.slice_columns) == ["note"]
    assert client.get_dataset(dataset.name) == dataset
    dataset.ClearField("report")
    assert next(iter(client.list_datasets())) == dataset  # lists leave it out


def test_a_data_set_without_test_rows_says_so(upload):
    rows = [SHAPES["table"][0](number) for number in range(10)]
    assert findings(upload(rows, test_fraction=0, **LABELLED))["TEST_EMPTY"].severity == Finding.SEVERITY_WARNING
    assert "TEST_EMPTY" not in findings(upload(rows, **LABELLED))


# Lengths


LONG = CONTEXT + 1000  # characters, each a token: the tokenizer never saw two of them together


def test_rows_too_long_for_the_model_are_named_and_refused_unless_told_otherwise(client, upload):
    rows = [{"prompt": "#" * LONG if n == 2 else f"p{n}", "completion": "c"} for n in range(5)]
    with refused("INVALID_ARGUMENT", "ROWS_INVALID") as error:
        upload(rows, model="tiny", test_fraction=0)
    ((row, what),) = error.value.field_violations
    assert row == "row 3"
    for word in (str(LONG // 1000), str(CONTEXT), "models/tiny"):
        assert word in what
    dropped = upload(rows, model="tiny", long_rows="drop", test_fraction=0)
    assert (dropped.train_rows, dropped.report.tokens.too_long) == (4, 1)
    assert findings(dropped)["ROWS_TOO_LONG"].count == 1
    assert [row.row for row in client.preview_dataset(dropped.name, "tiny", rows=9).rows] == ["1", "2", "4", "5"]
    unmeasured = upload(rows, test_fraction=0)
    assert not unmeasured.report.HasField("tokens")
    assert unmeasured.train_rows == 5


def test_a_preview_shows_as_many_rows_as_one_answer_holds(client, upload):
    rows = [{"prompt": f"{n} {'#' * 6000}", "completion": "c"} for n in range(100)]
    preview = client.preview_dataset(upload(rows, test_fraction=0).name, "tiny", rows=100)
    assert sum(preview.lengths.bin_counts) == 100
    assert 30 <= len(preview.rows) < 100
    assert 200_000 < sum(len(row.tokens) for row in preview.rows) < 260_000


def test_the_longer_reply_of_a_preference_is_measured(upload):
    rows = [{"prompt": f"p{n}", "chosen": "c", "rejected": "#" * LONG if n == 2 else "d"} for n in range(5)]
    with refused("INVALID_ARGUMENT", "ROWS_INVALID") as error:
        upload(rows, model="tiny", test_fraction=0)
    assert [row for row, _ in error.value.field_violations] == ["row 3"]


def test_bare_text_too_long_for_the_model_is_cut_and_nothing_is_lost(client, upload):
    tale = "".join(f"{n}. Once upon a time. " for n in range(2000))
    dataset = upload([{"text": "Short."}, {"text": tale}], model="tiny", long_rows="split", test_fraction=0)
    preview = client.preview_dataset(dataset.name, "tiny", rows=9)
    pieces = len(preview.rows) - 1
    assert [row.row for row in preview.rows] == ["1", *(f"2 ({n} of {pieces})" for n in range(1, pieces + 1))]
    assert pieces > 1
    learned = ["".join(token.text for token in row.tokens if token.trained) for row in preview.rows[1:]]
    assert "".join(text.removesuffix(END_OF_TURN) for text in learned) == tale
    assert preview.lengths.longest <= CONTEXT
    assert dataset.report.tokens.too_long == 1


def test_all_pieces_of_a_text_are_on_one_side_of_the_split(upload, train_rows):
    tales = [{"text": f"Tale {n}. " + "#" * 2 * CONTEXT} for n in range(4)]
    dataset = upload(tales, model="tiny", long_rows="split", test_fraction=0.5)
    inside = {row.partition(" ")[0] for row in train_rows(dataset)}
    assert len(inside) == 2
    assert dataset.train_rows == dataset.test_rows == 6


def test_only_bare_text_is_split(upload):
    rows = [{"prompt": "#" * LONG, "completion": "c"}, {"prompt": "p", "completion": "c"}]
    for shape in (None, "prompt_completion"):
        with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
            upload(rows, model="tiny", long_rows="split", shape=shape)
        assert error.value.field_violations[0][0] == "header.long_rows"


def test_the_lengths_of_the_report_are_those_of_the_preview(client, upload, tuned):
    dataset = upload([SHAPES["table"][0](number) for number in range(50)], model="tiny", **LABELLED)
    tokens, preview = dataset.report.tokens, client.preview_dataset(dataset.name, "tiny")
    assert (tokens.model, tokens.context_length, tokens.too_long) == ("models/tiny", CONTEXT, 0)
    assert (tokens.row, tokens.trained) == (preview.lengths, preview.trained_tokens)
    assert sum(tokens.row.bin_counts) == dataset.train_rows
    assert tokens.row.median <= tokens.row.p95 <= tokens.row.longest <= tokens.row.bin_ends[-1]
    basis = client.get_adapter(tokens.tuning_time_basis.split()[0])  # the newest one of the model
    assert basis.model == "models/tiny"
    seconds = 3 * tokens.row.total / basis.training.tokens_per_s
    assert tokens.tuning_time.ToSeconds() == pytest.approx(seconds, abs=1)


def test_a_deleted_data_set_takes_its_files_with_it(client, daemon, table):
    before = set((daemon.state / "datasets").iterdir())
    client.upload_dataset("short-lived", table, **LABELLED)
    (made,) = set((daemon.state / "datasets").iterdir()) - before
    assert {path.name for path in made.iterdir()} >= {"train.jsonl", "test.jsonl"}
    client.delete_dataset("short-lived")
    assert set((daemon.state / "datasets").iterdir()) == before
    with refused("NOT_FOUND", "DATASET_NOT_FOUND"):
        client.get_dataset("short-lived")

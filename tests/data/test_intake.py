"""Tables of every shape and format become data sets, whole or not at all."""

import json

import pytest
from google.protobuf import json_format
from helpers.tables import WRITE, refusal, take, tiny
from honed.data import Template, batches
from honed.data.reader import Wanted
from honed.errors import HonedError
from honed.template_library import BUILT_IN
from honed.v1 import datasets_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

CLASSIFY = Template.from_json(BUILT_IN["classify"])
LABELLED = Wanted(template=CLASSIFY)
ROWS = [{"text": f"ä text {number}", "label": "even" if number % 2 else "odd"} for number in range(20)]


def spoken(example):
    return [(turn.role, turn.content) for turn in example.messages]


# Shapes and formats.


def talk(number, role, content, user, assistant):
    return [
        {role: "system", content: f"Rule {number % 3}"},
        {role: user, content: f"Question {number}"},
        {role: assistant, content: f"Answer {number}"},
    ]


SHAPES = {
    "table": ("classify", lambda number: {"text": f"text {number}", "label": "ab"[number % 2]}),
    "prompt_completion": ("generate", lambda number: {"prompt": f"ask {number}", "completion": f"say {number}"}),
    "alpaca": (
        "generate",
        lambda number: {"instruction": f"do {number}", "input": "with" if number % 2 else "", "output": f"{number}!"},
    ),
    "sharegpt": (
        "generate",
        lambda number: {"conversations": talk(number, "from", "value", "human", "gpt")},
    ),
    "messages": ("generate", lambda number: {"messages": talk(number, "role", "content", "user", "assistant")}),
    "text": ("text", lambda number: {"text": f" A tale of {number}.\n"}),
    "preference": (
        "generate",
        lambda number: {"prompt": f"ask {number}", "chosen": f"good {number}", "rejected": f"bad {number}"},
    ),
}
OF_LISTS = ("sharegpt", "messages")
ANY_FORMAT = pytest.mark.parametrize("table_format", WRITE)


@pytest.mark.parametrize(
    ("shape", "table_format"),
    [(shape, name) for shape in SHAPES for name in WRITE if shape not in OF_LISTS or name not in ("csv", "tsv")],
)
def test_a_table_of_every_shape_and_format_is_split_and_written(shape, table_format):
    task, row = SHAPES[shape]
    rows = [row(number) for number in range(10)]
    wanted = LABELLED if shape == "table" else Wanted()
    taken = take(rows, wanted=wanted, table_format=table_format, named=True)
    facts, data = taken.facts, taken.data
    assert (facts["format"], facts["shape"], facts["task"]) == (table_format, shape, task)
    assert (facts["train_rows"], facts["test_rows"]) == (8, 2)
    assert taken.report["rows"] == 10
    train, test = taken.rows
    assert sorted(map(int, train + test)) == list(range(1, 11))
    assert (data.shape, data.task, data.digest) == (shape, task, facts["digest"])
    assert taken.files == ["dataset.json", "test.jsonl", "train.jsonl"]
    # The bytes a table came in leave no trace in the data set.
    assert facts["digest"] == take(rows, wanted=wanted).facts["digest"]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@ANY_FORMAT
def test_a_compressed_table_makes_the_same_data_set(table_format, compression):
    packed = take(ROWS, wanted=LABELLED, table_format=table_format, compression=compression)
    assert packed.facts == take(ROWS, wanted=LABELLED, table_format=table_format).facts


def test_each_row_says_what_the_table_says():
    turns = [("user", " 1 ", 1), ("assistant", "2", 0), ("user", "3", 1), ("assistant", "4", 1)]
    weighted = [
        {"role": role, "content": content} | ({"weight": weight} if role == "assistant" else {})
        for role, content, weight in turns
    ]
    rows = [{"messages": talk(1, "role", "content", "user", "assistant")}, {"messages": weighted}]
    first, second = take(rows, fraction=0).train
    assert spoken(first) == [("system", "Rule 1"), ("user", "Question 1")]
    assert (first.reply, first.row) == ("Answer 1", "1")
    assert [(turn.content, turn.weight) for turn in second.messages] == [("1", True), ("2", False), ("3", True)]
    assert (second.reply, second.row) == ("4", "2")
    (pair,) = take([{"prompt": "p", "chosen": "c", "rejected": "r"}], fraction=0).train
    assert (spoken(pair), pair.reply, pair.rejected) == ([("user", "p")], "c", "r")
    (bare,) = take([{"text": " a\n"}], fraction=0).train
    assert (bare.messages, bare.reply) == ((), " a\n")


def test_the_facts_tell_how_the_table_was_read():
    rows = [{"body": row["text"], "kind": row["label"]} for row in ROWS]
    wanted = Wanted(
        template=CLASSIFY, columns={"text": ["body"], "label": ["kind"]}, verbalizer={"odd": "uneven"}, instruction="?"
    )
    facts = take(rows, wanted=wanted).facts
    assert facts["template"] == CLASSIFY.to_json()
    assert facts["columns"] == {"text": ["body"], "label": ["kind"]}
    assert facts["parameters"] == {}
    assert facts["labels"] == ["even", "uneven"]
    translate = Wanted(template=Template.from_json(BUILT_IN["translate"]), parameters={"language": "German"})
    facts = take([{"text": "a", "translation": "b"}], wanted=translate).facts
    assert (facts["parameters"], facts["labels"]) == ({"language": "German"}, [])
    facts = take([{"text": "a"}]).facts
    assert (facts["template"], facts["columns"], facts["parameters"]) == (None, {}, {})


def test_the_report_is_one_on_the_wire():
    facts = take([*ROWS, ROWS[0]], wanted=LABELLED, model=tiny(64)).facts
    report = json_format.ParseDict(facts["report"], datasets_pb2.DataReport())
    assert report.rows == 21
    assert {finding.code for finding in report.findings} >= {"DUPLICATES_EXACT"}
    assert [(label.label, label.train + label.test) for label in report.labels] == [("even", 10), ("odd", 11)]
    assert report.tokens.context_length == 64
    assert report.characters.total == sum(len(row["text"]) + len(row["label"]) for row in (*ROWS, ROWS[0]))


def test_rows_are_the_same_in_whatever_number_they_are_taken(monkeypatch):
    rows = [*ROWS, ROWS[3], {"text": "long " * 30, "label": "odd"}]
    whole = take(rows, wanted=LABELLED, model=tiny(64, "drop"))
    for size in (1, 2, 7, 22):
        monkeypatch.setattr(batches, "MAX_ITEMS", size)
        assert take(rows, wanted=LABELLED, model=tiny(64, "drop")).facts == whole.facts


# A test table.


def test_a_test_table_leaves_the_training_table_whole():
    tests = [{"text": "new", "label": "odd"}, {"text": "ä text 2", "label": "odd"}, {"text": "more", "label": "even"}]
    taken = take(ROWS, tests, wanted=LABELLED)
    assert taken.rows == ([str(number) for number in range(1, 21)], ["test 1", "test 2", "test 3"])
    assert taken.report["labels"] == [
        {"label": "even", "train": 10, "test": 1},
        {"label": "odd", "train": 10, "test": 2},
    ]
    assert taken.findings["LEAKAGE"]["rows"] == ["test 2"]


def test_a_test_table_is_read_as_the_training_table():
    train, tests = [{"text": "a"}, {"text": "b"}], [{"text": "c", "source": "d"}]
    assert take(train, tests).test[0].reply == "c"
    error = refusal(ROWS, [{"body": "a", "label": "odd"}], wanted=LABELLED)
    assert error.reason == "COLUMN_MISSING"
    assert "'text'" in error.message


def test_labels_that_only_the_test_table_knows_are_named_by_row():
    error = refusal(ROWS, [{"text": "y", "label": "odd"}, {"text": "z", "label": "new"}], wanted=LABELLED)
    assert error.reason == "ROWS_INVALID"
    assert error.message.startswith("test table:")
    assert error.violations == (
        (
            "row 2",
            "label 'new' does not occur in the training rows; correct it, add training rows of it, or remove the row",
        ),
    )


@pytest.mark.parametrize("bad", [b"", b"text,label\n"])
def test_a_table_without_rows_is_refused_by_its_name(bad):
    good = WRITE["csv"](ROWS)
    for tables, name in (((bad, good), "training table"), ((good, bad), "test table")):
        error = refusal(*tables, wanted=LABELLED)
        assert error.reason == "TABLE_EMPTY"
        assert error.message.startswith(name)


# Bad rows.


def test_bad_rows_are_named_by_number_and_table_and_all_at_once():
    rows = [ROWS[0], {"text": " ", "label": "odd"}, ROWS[1], {"text": "a"}, {"text": "b", "label": "x" * 201}]
    for tables, name in (((rows,), "training table"), ((ROWS, rows), "test table")):
        error = refusal(*tables, wanted=LABELLED)
        assert error.reason == "ROWS_INVALID"
        assert error.message.startswith(f"{name}: 3 bad row(s)")
        assert [row for row, _ in error.violations] == ["row 2", "row 4", "row 5"]
        assert "'text' is empty" in error.violations[0][1]
        assert "'label'" in error.violations[1][1]
        assert "longer than 200 characters; is it the right column?" in error.violations[2][1]


def test_what_the_parser_and_the_reader_refuse_is_named_together():
    table = WRITE["jsonl"](ROWS[:2]) + b'\n{\n{"text": 1}'
    error = refusal(table, wanted=LABELLED)
    assert [row for row, _ in error.violations] == ["row 3", "row 4"]


def test_rows_whose_labels_are_all_masked_are_named():
    good = {"messages": talk(1, "role", "content", "user", "assistant")}
    masked = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "weight": 0}]}
    error = refusal([good, masked, good, masked])
    assert [row for row, _ in error.violations] == ["row 2", "row 4"]
    assert "masked" in error.violations[0][1]


def test_rows_without_a_group_are_named():
    rows = [{"text": "a", "customer": "x"}, {"text": "b", "customer": ""}, {"text": "c"}]
    error = refusal(rows, wanted=Wanted(shape="text", group_column="customer"))
    assert [row for row, _ in error.violations] == ["row 2", "row 3"]


def test_rows_with_the_id_of_an_earlier_row_are_named():
    rows = [{"text": f"text {number}", "id": name} for number, name in enumerate(["a", "b", 7, " a", None, "", "7"])]
    error = refusal(rows, wanted=Wanted(shape="text"))
    assert [(row, said.partition(";")[0]) for row, said in error.violations] == [
        ("row 4", "its 'id' is that of row 1"),
        ("row 7", "its 'id' is that of row 3"),
    ]


def test_an_id_column_of_another_name_or_none_is_taken_when_told():
    rows = [{"text": f"text {number}", "id": "a", "key": "k"} for number in range(2)]
    error = refusal(rows, wanted=Wanted(shape="text", id_column="key"))
    assert error.violations[0][1].startswith("its 'key' is that of row 1")
    assert take(rows, wanted=Wanted(shape="text", id_column="")).train


def test_a_column_called_id_that_fills_a_slot_may_repeat():
    rows = [{"text": f"text {number}", "id": "ab"[number % 2]} for number in range(10)]
    wanted = Wanted(template=CLASSIFY, columns={"label": ["id"]})
    assert take(rows, wanted=wanted).facts["labels"] == ["a", "b"]


def test_a_single_label_is_refused():
    error = refusal([{"text": "a", "label": "x"}, {"text": "b", "label": "x"}], wanted=LABELLED)
    assert error.reason == "LABELS_TOO_FEW"
    assert "'x'" in error.message


# Whatever the table.

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
labels = st.sampled_from(["a", "b", " a ", "c"])
asked = st.sampled_from(["same", "SAME", " same"]) | texts.map(lambda text: f"{text}.")
numbers = st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
EMPTY = [None, "", " \n", "x" * 201]
spoilt = {"csv": st.sampled_from(EMPTY), "jsonl": st.sampled_from([*EMPTY, [], ["a"], {"b": 1}])}


@st.composite
def tables(draw):
    """A format and rows; of every third table some may be bad."""
    table_format = draw(st.sampled_from(["csv", "jsonl"]))
    text, label, more = asked, labels, {}
    if table_format == "jsonl":
        text, label, more = asked | numbers, labels | numbers, {"more": texts | numbers | spoilt["jsonl"]}
    rows = draw(st.lists(st.fixed_dictionaries({"text": text, "label": label}, optional=more), min_size=1, max_size=12))
    if draw(st.integers(0, 2)) == 0:
        for row in draw(st.lists(st.sampled_from(rows), max_size=3)):
            row[draw(st.sampled_from(["text", "label"]))] = draw(spoilt[table_format])
    return table_format, rows


def as_text(value):
    """A cell as the model reads it; None if there is nothing to read."""
    if isinstance(value, str):
        return value.strip() or None
    return None if value is None or isinstance(value, list | dict) else json.dumps(value)


def outcome(*arguments, **options):
    try:
        return take(*arguments, **options)
    except HonedError as error:
        return error


def assert_whole(taken, pairs, *, merged):
    """The examples are the rows of the table, each under its number; test rows of one prompt perhaps in one."""
    found = [(example.messages[-1].content, example.reply, example.row) for example in (*taken.train, *taken.test)]
    assert all(pairs[int(row) - 1] == (asked, reply) for asked, reply, row in found)
    assert (taken.facts["train_rows"], taken.facts["test_rows"]) == (len(taken.train), len(taken.test))
    assert taken.report["rows"] == len(pairs)
    if merged:
        references = {(example.messages[-1].content, more) for example in taken.test for more in example.references}
        assert {(asked, reply) for asked, reply, _ in found} | references == set(pairs)
        asked = [example.messages[-1].content for example in taken.test]
        assert len(set(asked)) == len(asked)
    else:
        assert sorted(int(row) for _, _, row in found) == list(range(1, len(pairs) + 1))


@settings(max_examples=100, deadline=None)
@given(table=tables(), template=st.sampled_from(["classify", "summarize"]), fraction=st.sampled_from([0, 0.5, 0.9]))
def test_a_table_is_taken_whole_or_refused_for_a_reason(table, template, fraction):
    table_format, rows = table
    reply = "label" if template == "classify" else "summary"
    wanted = Wanted(template=Template.from_json(BUILT_IN[template]), columns={reply: ["label"]})
    pairs = [(as_text(row.get("text")), as_text(row.get("label"))) for row in rows]
    bad = {
        f"row {number}"
        for number, (text, label) in enumerate(pairs, 1)
        if text is None or label is None or (template == "classify" and len(label) > 200)
    }
    taken = outcome(rows, wanted=wanted, table_format=table_format, fraction=fraction)
    match getattr(taken, "reason", None):
        case None:
            assert not bad
            assert_whole(taken, pairs, merged=template == "summarize")
        case "ROWS_INVALID":
            assert {row for row, _ in taken.violations} == bad
        case reason:
            assert reason == "LABELS_TOO_FEW"
            assert not bad
            assert len({label for _, label in pairs}) == 1

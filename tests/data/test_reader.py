import json

import pytest
from honed.data import Example, Message, Template
from honed.data.formats import open_table
from honed.data.problems import BadRow
from honed.data.reader import Reader, Wanted
from honed.data.records import Record
from honed.errors import InvalidInput
from honed.template_library import BUILT_IN

CLASSIFY = Template.from_json(BUILT_IN["classify"])
TALK = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


@pytest.fixture
def reader(tmp_path):
    """The reader of a table of these rows."""

    def reader(*rows, **wanted):
        path = tmp_path / "table"
        path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
        return Reader.of(open_table(path, "jsonl", "the table"), Wanted(**wanted))

    return reader


def refusal(reader, *rows, **wanted):
    with pytest.raises(InvalidInput) as caught:
        reader(*rows, **wanted)
    return caught.value


SHAPES = {
    "prompt_completion": (
        {"prompt": " Hi ", "completion": "Hello"},
        "generate",
        Example((Message("user", "Hi"),), "Hello"),
    ),
    "alpaca": (
        {"instruction": "Greet", "input": "Ann", "output": "Hello"},
        "generate",
        Example((Message("user", "Greet\n\nAnn"),), "Hello"),
    ),
    "sharegpt": (
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        "generate",
        Example((Message("user", "Hi"),), "Hello"),
    ),
    "messages": (
        {"messages": [{"role": "system", "content": "Be kind"}, *TALK]},
        "generate",
        Example((Message("system", "Be kind"), Message("user", "Hi")), "Hello"),
    ),
    "text": ({"text": " A tale.\n"}, "text", Example((), " A tale.\n")),
    "preference": (
        {"prompt": "Hi", "chosen": "Hello", "rejected": "Go away"},
        "generate",
        Example((Message("user", "Hi"),), "Hello", rejected="Go away"),
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_row_of_every_shape_is_an_example(reader, shape):
    row, task, example = SHAPES[shape]
    for wanted in ({}, {"shape": shape}):
        made = reader(row, **wanted)
        assert (made.shape, made.task) == (shape, task)
        assert made.example(Record(1, row)) == example
        assert set(made.columns) == row.keys()
        assert made.group(Record(1, row)) is None


def test_a_labelled_table_is_read_with_its_template(reader):
    row = {"ask": "Where is it?", "kind": "lost", "id": 7}
    made = reader(
        row,
        template=CLASSIFY,
        columns={"text": ["ask"], "label": ["kind"]},
        verbalizer={"lost": "Lost it"},
        instruction="Sort.",
    )
    assert (made.shape, made.task, made.columns) == ("table", "classify", ("ask", "kind"))
    assert made.example(Record(1, row)) == Example(
        (Message("system", "Sort."), Message("user", "Where is it?")), "Lost it"
    )


def test_a_parameter_goes_into_the_instruction(reader):
    translate = Template.from_json(BUILT_IN["translate"])
    row = {"text": "Hello", "translation": "Hallo"}
    made = reader(row, template=translate, parameters={"language": "German"})
    assert made.example(Record(1, row)).messages[0].content == "Translate the text into German."


def test_columns_are_named_for_the_slots_of_a_shape_as_well(reader):
    row = {"question": "Hi", "completion": "Hello"}
    made = reader(row, shape="prompt_completion", columns={"prompt": ["question"]})
    assert made.example(Record(1, row)) == Example((Message("user", "Hi"),), "Hello")


def test_what_is_said_after_the_last_trained_turn_is_left_out_and_earlier_turns_keep_their_weight(reader):
    turns = [
        *({"role": "user", "content": "1"}, {"role": "assistant", "content": "2", "weight": 0}),
        *({"role": "user", "content": "3"}, {"role": "assistant", "content": "4"}),
        *({"role": "user", "content": "5"}, {"role": "assistant", "content": "6", "weight": 2.5}),
        *({"role": "user", "content": "7"}, {"role": "assistant", "content": "8", "weight": 0}),
    ]
    example = reader({"messages": turns}).example(Record(1, {"messages": turns}))
    assert (example.reply, example.weight) == ("6", 2.5)
    assert [(turn.content, turn.weight) for turn in example.messages] == [
        ("1", 1),
        ("2", 0),
        ("3", 1),
        ("4", 1),
        ("5", 1),
    ]


def test_the_group_is_the_text_of_its_column(reader):
    made = reader({"text": "a", "customer": 7}, shape="text", group_column="customer")
    assert made.group(Record(1, {"text": "a", "customer": 7})) == "7"
    assert made.group(Record(2, {"text": "a", "customer": " 7 "})) == "7"
    assert made.group(Record(3, {"text": "a", "customer": False})) == "false"


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        (None, "is empty"),
        ([], "holds a list"),
        ({"a": 1}, "holds an object; exp"),
    ],
)
def test_a_row_without_a_group_is_a_bad_one(reader, value, what):
    made = reader({"text": "a", "customer": 7}, shape="text", group_column="customer")
    with pytest.raises(BadRow, match=f"'customer', by which rows are grouped, {what}"):
        made.group(Record(1, {"text": "a", "customer": value}))
    with pytest.raises(BadRow, match="'customer'"):
        made.group(Record(1, {"text": "a"}))


@pytest.mark.parametrize(
    ("row", "wanted", "column"),
    [
        ({"text": "a", "label": "x"}, {"template": CLASSIFY, "columns": {"text": ["body"]}}, "body"),
        ({"text": "a"}, {"template": CLASSIFY}, "label"),
        ({"text": "a"}, {"group_column": "customer"}, "customer"),
        ({"text": "a"}, {"shape": "text", "id_column": "key"}, "key"),
        ({"prompt": "a", "completion": "b"}, {"group_column": "customer"}, "customer"),
        ({"body": "a"}, {"shape": "text"}, "text"),
        ({"prompt": "a", "chosen": "b"}, {"shape": "preference"}, "rejected"),
        ({"prompt": "a"}, {"shape": "prompt_completion"}, "completion"),
        ({"conversations": []}, {"shape": "messages"}, "messages"),
    ],
)
def test_a_column_that_is_missing_is_named_with_those_that_are_there(reader, row, wanted, column):
    error = refusal(reader, row, **wanted)
    assert error.reason == "COLUMN_MISSING"
    assert repr(column) in error.message
    assert all(repr(name) in error.message for name in row)


def test_columns_of_which_nothing_can_be_made_are_refused(reader):
    assert refusal(reader, {"body": "a", "kind": "x"}).reason == "SHAPE_UNKNOWN"


@pytest.mark.parametrize("shape", ["sharegpt", "messages", "text", "preference"])
def test_an_instruction_is_refused_where_rows_bring_their_own(reader, shape):
    error = refusal(reader, SHAPES[shape][0], instruction="Be kind.")
    assert [field for field, _ in error.violations] == ["header.instruction"]


def test_an_instruction_goes_with_rows_that_bring_none(reader):
    row = SHAPES["alpaca"][0]
    system, _ = reader(row, instruction="Be kind.").example(Record(1, row)).messages
    assert system == Message("system", "Be kind.")


def test_bad_rows_of_every_shape_name_the_column(reader):
    for shape, (row, _, _) in SHAPES.items():
        made = reader(row)
        for column in row:
            if (shape, column) != ("alpaca", "input"):
                with pytest.raises(BadRow, match=column):
                    made.example(Record(1, row | {column: None}))


def test_a_column_called_id_holds_the_ids_unless_it_is_used_otherwise(reader):
    row = Record(1, {"text": "a", "id": 7, "key": [1]})
    assert reader(row.values, shape="text").row_id(row) == "7"
    assert reader(row.values, shape="text", id_column="").row_id(row) == ""
    assert reader(row.values, shape="text", id_column="key").row_id(row) == ""  # a list is no id
    assert reader(row.values, shape="text", group_column="id").row_id(row) == ""
    assert reader(row.values, shape="text", group_column="id", id_column="id").row_id(row) == "7"

import json

import pytest
from honed.data.formats import open_table
from honed.data.problems import BadRow
from honed.data.records import Record
from honed.data.shapes import Preference, bare_text, detect_shape, preference
from honed.errors import InvalidInput

TURNS = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]


@pytest.fixture
def shape_of(tmp_path):
    """The shape of a table whose rows are all the one given."""

    def shape_of(row: dict):
        path = tmp_path / "table"
        path.write_text(json.dumps(row) + "\n")
        table = open_table(path, "jsonl", "the table")
        return detect_shape(table)

    return shape_of


@pytest.mark.parametrize(
    ("row", "shape"),
    [
        ({"messages": TURNS, "id": 1}, "messages"),
        ({"conversations": [], "id": 1}, "sharegpt"),
        ({"prompt": "a", "chosen": "b", "rejected": "c", "score": 1}, "preference"),
        ({"instruction": "a", "input": "", "output": "b"}, "alpaca"),
        ({"instruction": "a", "output": "b"}, "alpaca"),
        ({"prompt": "a", "completion": "b"}, "prompt_completion"),
        ({"text": "a"}, "text"),
        ({"prompt": "a", "completion": "b", "messages": TURNS}, "messages"),
        ({"prompt": "a", "completion": "b", "messages": "seven"}, "prompt_completion"),
        ({"prompt": "a", "chosen": TURNS, "rejected": TURNS}, "preference"),
    ],
)
def test_the_columns_say_the_shape(shape_of, row, shape):
    assert shape_of(row) == shape


@pytest.mark.parametrize(
    "row",
    [
        {"text": "a", "label": "b"},
        {"prompt": "a", "chosen": "b"},
        {"instruction": "a"},
        {"messages": "seven", "label": "spam"},
    ],
)
def test_columns_that_say_no_shape_are_listed_with_the_options_that_would_do(shape_of, row):
    with pytest.raises(InvalidInput) as caught:
        shape_of(row)
    assert caught.value.reason == "SHAPE_UNKNOWN"
    for part in (*row, "--text-column", "--label-column", "--template"):
        assert part in caught.value.message


def test_bare_text_is_kept_as_it_stands():
    assert bare_text(Record(1, {"text": "  indented\n"})) == "  indented\n"


def test_a_preference_is_three_texts():
    record = Record(1, {"prompt": " a ", "chosen": "b\n", "rejected": "c", "score": 3})
    assert preference(record) == Preference("a", "b", "c")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"prompt": None}, "'prompt' is missing"),
        ({"chosen": " \n"}, "'chosen' is empty"),
        ({"rejected": 3}, "'rejected' must be text, found a number"),
        ({"chosen": {"content": "b"}}, "'chosen' must be text, found an object"),
        ({"chosen": TURNS}, "'chosen' must be plain text, found a list"),
        ({"rejected": "b "}, "the same text"),
    ],
)
def test_a_preference_that_is_none_is_refused_by_its_column(change, part):
    with pytest.raises(BadRow) as caught:
        preference(Record(1, {"prompt": "a", "chosen": "b", "rejected": "c"} | change))
    assert part in caught.value.reason


@pytest.mark.parametrize(
    ("values", "part"), [({}, "missing"), ({"text": ""}, "empty"), ({"text": True}, "true or false")]
)
def test_bare_text_that_is_none_is_refused(values, part):
    with pytest.raises(BadRow) as caught:
        bare_text(Record(1, values))
    assert part in caught.value.reason

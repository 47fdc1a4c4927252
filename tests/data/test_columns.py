import pytest
from honed.data.columns import MAX_SLICE_VALUES, Column, cell


@pytest.mark.parametrize(
    ("value", "text"),
    [(" a ", "a"), (7, "7"), (0.5, "0.5"), (True, "true"), (False, "false"), (None, ""), ([1], None), ({"a": 1}, None)],
)
def test_a_cell_is_shown_as_people_write_it_and_what_is_no_cell_as_none(value, text):
    assert cell(value) == text


def column(values):
    noted = Column()
    for value in values:
        noted.add(value)
    return noted


@pytest.mark.parametrize(
    ("values", "sliceable"),
    [
        (["a", "b", "a"], True),
        (["a", ""], True),
        (["a", "a"], False),
        ([], False),
        ([str(number) for number in range(MAX_SLICE_VALUES)], True),
        ([str(number) for number in range(MAX_SLICE_VALUES + 1)], False),
        (["a", "b" * 200], True),
        (["a", "b" * 201], False),
    ],
    ids=["two", "one empty", "constant", "none", "many", "too many", "long", "too long"],
)
def test_a_column_of_few_short_values_can_be_sliced_by(values, sliceable):
    assert column(values).sliceable is sliceable


def test_values_are_kept_only_while_they_are_few():
    assert len(column(str(number) for number in range(1000)).values) == MAX_SLICE_VALUES + 1

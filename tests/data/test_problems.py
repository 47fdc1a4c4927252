import random

import pytest
from honed.data.problems import SHOWN_PROBLEMS, Problems
from honed.errors import InvalidInput


def test_the_first_rows_are_named_in_order_however_they_are_found():
    numbers = list(range(1, 101))
    random.Random(0).shuffle(numbers)
    problems = Problems()
    for number in numbers:
        problems.add(number, f"bad {number}")
    assert problems.count == 100
    assert problems.first == tuple((f"row {number}", f"bad {number}") for number in range(1, SHOWN_PROBLEMS + 1))
    with pytest.raises(InvalidInput, match=r"the table: 100 bad .* kept\. row 1: bad 1; row 2: bad 2;") as caught:
        problems.raise_if_any("the table")
    assert caught.value.violations[-1] == ("file", "the first 20 are listed, and 80 more")


def test_without_a_problem_nothing_is_raised():
    Problems().raise_if_any("the table")

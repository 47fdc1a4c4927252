"""Nothing of a number is lost, and no key."""

import json

import pytest
from honed.data.exact_json import exact_float, unique_keys
from honed.data.problems import BadRow
from hypothesis import given
from hypothesis import strategies as st

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(FINITE, st.sampled_from(["%r", "%.17g", "%.25g", "%.20e"]))
def test_a_number_is_read_from_whatever_writes_all_of_it(number, form):
    assert exact_float(form % number) == number


@pytest.mark.parametrize("text", ["1.50", "0.10", "2.5E+3", "1e5", "-0.0", "0e10", "100.000", "1e22"])
def test_a_number_may_be_written_with_more_than_it_needs(text):
    assert exact_float(text) == float(text)


@pytest.mark.parametrize(
    "text", ["12345678901234567.123", "9007199254740993.1", "9.99999999999999999999", "1e-400", f"0.{'1' * 100_000}"]
)
def test_a_number_whose_digits_would_be_lost_is_refused(text):
    with pytest.raises(BadRow, match="more digits than a number can keep; write it as text"):
        exact_float(text)


def test_a_number_too_large_is_left_to_those_who_refuse_infinity():
    assert exact_float("1e999") == float("inf")


def test_the_first_key_that_occurs_twice_is_named():
    assert json.loads('{"a": 1, "b": {"a": 2}}', object_pairs_hook=unique_keys) == {"a": 1, "b": {"a": 2}}
    with pytest.raises(BadRow, match="the key 'b' occurs twice in one object"):
        json.loads('{"a": 1, "b": 2, "c": 3, "b": 2}', object_pairs_hook=unique_keys)

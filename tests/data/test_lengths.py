import statistics

import numpy as np
from google.protobuf import json_format
from honed.data.lengths import Lengths, distribution
from honed.v1 import datasets_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

lists = st.lists(st.integers(0, 30) | st.integers(0, 100_000), min_size=1, max_size=50)


def of(values):
    return distribution(np.array(values, np.uint32))


@settings(max_examples=100, deadline=None)
@given(values=lists)
def test_a_distribution_sums_up_its_lengths(values):
    found = of(values)
    assert found["total"] == sum(values)
    assert found["median"] == statistics.median_low(values)
    assert found["p95"] == sorted(values)[-(-len(values) * 19 // 20) - 1]  # the least that 95 % do not exceed
    assert found["longest"] == max(values)


@settings(max_examples=100, deadline=None)
@given(values=lists)
def test_every_length_is_in_the_first_bin_that_reaches_it(values):
    found = of(values)
    ends, counts = found["bin_ends"], found["bin_counts"]
    assert len(ends) == len(counts) <= 20
    starts = [-1, *ends[:-1]]
    assert counts == [sum(start < value <= end for value in values) for start, end in zip(starts, ends, strict=True)]
    assert len({end - start for start, end in zip([0, *ends[:-1]], ends, strict=True)}) == 1


def test_lengths_are_counted_as_they_come():
    lengths = Lengths()
    for length in (3, 1, 2**32 - 1):
        lengths.add(length)
    assert lengths.array().tolist() == [3, 1, 2**32 - 1]
    assert distribution(lengths.array())["total"] == 2**32 + 3


def test_a_distribution_is_one_on_the_wire():
    message = json_format.ParseDict(of([1, 2, 3]), datasets_pb2.Distribution())
    assert (message.total, list(message.bin_ends), list(message.bin_counts)) == (6, [1, 2, 3], [1, 1, 1])


def test_no_lengths_have_no_distribution():
    assert distribution(np.array([], np.uint32)) == distribution(Lengths().array()) == {}

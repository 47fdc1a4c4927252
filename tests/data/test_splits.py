from collections import Counter

import numpy as np
import pytest
from honed.data.splits import split, text_key
from hypothesis import given, settings
from hypothesis import strategies as st

thorough = settings(max_examples=100, deadline=None)
fractions = st.sampled_from([0.01, 0.1, 0.2, 0.5, 0.9, 1.0])
seeds = st.integers(0, 2**53)
# (group, label) of each row, a group of one label alone
pure = st.lists(st.integers(0, 60), min_size=1, max_size=80).map(
    lambda groups: [(group, group % 3) for group in groups]
)
mixed = st.lists(st.tuples(st.integers(0, 25), st.integers(0, 3)), min_size=1, max_size=80)


def drawn(rows, fraction=0.2, seed=0):
    """Which of the rows are held out, as a list."""
    groups = np.array([text_key(str(group)) for group, _ in rows], np.uint64)
    labels = np.array([label for _, label in rows], np.int64)
    return split(groups, labels, fraction, seed).tolist()


def single(**sizes):
    """Rows of labels by their sizes, each row a group of its own."""
    names = {label: number for number, label in enumerate(sizes)}
    return [(f"{label} {row}", names[label]) for label, size in sizes.items() for row in range(size)]


def held(rows, **options):
    return {group for (group, _), out in zip(rows, drawn(rows, **options), strict=True) if out}


@pytest.mark.parametrize("fraction", [0.01, 0.2, 0.5, 0.9, 1.0])
def test_of_every_label_the_rounded_share_is_held_out_but_at_least_one_and_never_all(fraction):
    sizes = {"a": 2, "b": 10, "c": 33}
    rows = single(**sizes)
    counts = Counter(group[0] for group in held(rows, fraction=fraction, seed=3))
    assert counts == {label: min(max(round(size * fraction), 1), size - 1) for label, size in sizes.items()}


@thorough
@given(rows=mixed, fraction=fractions, seed=seeds)
def test_a_group_is_never_on_both_sides(rows, fraction, seed):
    out = drawn(rows, fraction, seed)
    sides = {}
    for (group, _), side in zip(rows, out, strict=True):
        assert sides.setdefault(group, side) == side
    assert not all(out)


@thorough
@given(rows=pure, fraction=fractions, seed=seeds)
def test_of_every_label_as_many_groups_as_it_takes_and_never_the_last(rows, fraction, seed):
    out = drawn(rows, fraction, seed)
    for label in {label for _, label in rows}:
        groups = Counter(group for group, own in rows if own == label)
        taken = {group for (group, own), side in zip(rows, out, strict=True) if side and own == label}
        wanted = max(round(groups.total() * fraction), 1)
        count = sum(groups[group] for group in taken)
        assert len(taken) < len(groups)
        if len(taken) < len(groups) - 1:
            assert wanted <= count
        assert not taken or any(count - groups[group] < wanted for group in taken)


@thorough
@given(rows=pure, seed=seeds, data=st.data())
def test_the_order_of_the_rows_does_not_matter(rows, seed, data):
    shuffled = data.draw(st.permutations(rows))
    assert held(shuffled, seed=seed) == held(rows, seed=seed)


@thorough
@given(rows=pure, seed=seeds, added=st.lists(st.integers(100, 160), max_size=10, unique=True))
def test_rows_that_are_added_move_no_more_groups_than_they_are(rows, seed, added):
    before = held(rows, seed=seed)
    after = held(rows + [(group, group % 3) for group in added], seed=seed)
    assert len((after - set(added)) ^ before) <= len(added)


def test_a_new_label_does_not_move_the_rows_of_the_others():
    before = held(single(a=30, b=30))
    assert {group for group in held(single(a=30, b=30, c=30)) if group[0] != "c"} == before


def test_rows_that_come_again_do_not_move_the_others():
    rows = [(f"row {row}", 0) for row in range(100)]
    assert len(held(rows) ^ held([*rows, *rows])) <= 1


def test_another_seed_draws_other_rows():
    draws = {frozenset(held(single(a=50, b=50), seed=seed)) for seed in range(20)}
    assert len(draws) == 20


def test_every_row_is_held_out_by_some_seed():
    rows = single(a=20)
    times = Counter(group for seed in range(300) for group in held(rows, fraction=0.25, seed=seed))
    # 300 draws of 5 out of 20: 75 times each, with a standard deviation of 7.5.
    assert all(40 < times[group] < 110 for group, _ in rows)


def test_labels_of_one_size_are_drawn_apart():
    rows = [(row, row % 2) for row in range(60)]
    places = {side: {group // 2 for group in held(rows) if group % 2 == side} for side in (0, 1)}
    assert places[0] != places[1]


def test_a_label_with_a_single_group_stays_in_training():
    rows = [*single(a=10), ("b", 1), ("c", 2), ("c", 2), ("c", 2)]
    assert {group[0] for group in held(rows, fraction=1.0)} == {"a"}


def test_a_group_counts_to_the_label_that_most_of_its_rows_carry():
    # Counted to the label 0 it would be one of three groups; counted to 1 it is the only one and stays.
    rows = [("x", 0), ("y", 0), ("mixed", 0), ("mixed", 1), ("mixed", 1)]
    assert all("mixed" not in held(rows, fraction=1.0, seed=seed) for seed in range(20))
    fewer = [*rows[:-1], ("mixed", 0)]
    assert any("mixed" in held(fewer, fraction=1.0, seed=seed) for seed in range(20))


def test_a_fraction_of_zero_holds_nothing_out():
    assert held(single(a=1, b=3), fraction=0) == set()


def test_no_rows_are_split_into_none():
    assert drawn([], fraction=0.5) == []


def test_the_draw_is_the_same_in_every_release():
    assert text_key("é") == 0x2F19F3EF8BBF1ACB
    assert sorted(held([(row, 0) for row in range(20)], seed=7)) == [1, 12, 15, 18]

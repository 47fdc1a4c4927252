"""Gaps between slices: planted ones are found, others seldom."""

import numpy as np
import pytest
from honed.evaluate.intervals import bootstrap_mean
from honed.evaluate.slices import slice_scores


def by_region(groups):
    """Rows of a region each with its scores, in blocks."""
    columns = [{"region": region} for region, scores in groups.items() for _ in scores]
    return columns, [score for scores in groups.values() for score in scores]


def share(right, rows):
    return [1.0] * right + [0.0] * (rows - right)


def test_a_slice_has_its_mean_its_interval_and_its_gap_to_all_other_rows():
    groups = {"north": share(30, 50), "south": share(45, 50), "west": share(20, 25)}
    columns, scores = by_region(groups)
    found = slice_scores(columns, scores, "accuracy", seed=3)
    assert [(each.column, each.value, each.rows) for each in found] == [
        ("region", "north", 50),
        ("region", "south", 50),
        ("region", "west", 25),
    ]
    north = found[0]
    assert north.metric == "accuracy"
    assert north.score == pytest.approx(0.6)
    assert (north.low, north.high) == bootstrap_mean(groups["north"], 3)
    assert north.gap == pytest.approx(0.6 - 65 / 75)
    assert north.gap_low < north.gap < north.gap_high < 0
    assert [each.flagged for each in found] == [True, True, False]


def test_the_interval_of_a_gap_is_wider_the_more_slices_are_looked_at():
    columns, scores = by_region({"north": share(30, 50), "south": share(45, 50)})
    few = slice_scores(columns, scores, "accuracy", seed=0)[0]
    more = [{**row, "day": str(i % 5)} for i, row in enumerate(columns)]
    many = slice_scores(more, scores, "accuracy", seed=0)[0]
    assert (few.column, few.value, few.gap) == (many.column, many.value, many.gap)
    assert many.gap_low < few.gap_low < few.gap_high < many.gap_high


def test_the_interval_of_a_gap_is_close_to_the_normal_one_on_many_rows():
    columns, scores = by_region({"a": share(700, 1000), "b": share(1200, 2000)})
    found = slice_scores(columns, scores, "accuracy", seed=0)[0]
    # Two slices: 1 - 0.05 / 2 / 2, z = 2.2414.
    reach = 2.2414 * (0.7 * 0.3 / 1000 + 0.6 * 0.4 / 2000) ** 0.5
    assert (found.gap_low, found.gap_high) == pytest.approx((0.1 - reach, 0.1 + reach), abs=0.002)


@pytest.mark.parametrize("right", [0.5, 0.8, 0.95])
def test_where_no_slice_differs_one_is_flagged_at_most_one_time_in_twenty(right):
    draw = np.random.default_rng(1)
    sizes = {f"small {i}": 10 for i in range(20)} | {"large": 300}
    alarms = 0
    for _ in range(150):
        columns, scores = by_region({name: (draw.random(n) < right).astype(float) for name, n in sizes.items()})
        alarms += any(each.flagged for each in slice_scores(columns, [float(s) for s in scores], "accuracy", 0))
    assert alarms / 150 <= 0.08


def test_ten_right_answers_of_ten_are_no_finding():
    columns, scores = by_region({"small": share(10, 10), "large": share(340, 400)})
    found = {each.value: each for each in slice_scores(columns, scores, "accuracy", seed=0)}
    assert found["small"].gap == pytest.approx(0.15)
    assert not found["small"].flagged
    assert found["small"].gap_low < 0 < found["small"].gap_high


def test_slices_under_ten_rows_are_listed_and_never_flagged():
    columns, scores = by_region({"tiny": share(0, 9), "large": share(400, 400)})
    found = slice_scores(columns, scores, "accuracy", seed=0)
    assert [(each.value, each.rows, each.flagged) for each in found] == [("large", 400, False), ("tiny", 9, False)]
    columns, scores = by_region({"tiny": share(0, 10), "large": share(400, 400)})
    assert all(each.flagged for each in slice_scores(columns, scores, "accuracy", seed=0))


def test_slices_too_small_to_be_flagged_take_nothing_from_the_others():
    columns, scores = by_region({"north": share(30, 50), "south": share(45, 50)})
    with_few = slice_scores([{**row, "id": str(i)} for i, row in enumerate(columns)], scores, "accuracy", seed=0)
    assert len(with_few) == 2 + 100
    assert with_few[:2] == slice_scores(columns, scores, "accuracy", seed=0)


def test_a_slice_of_all_rows_has_no_gap():
    columns, scores = by_region({"only": share(30, 50)})
    (found,) = slice_scores(columns, scores, "accuracy", seed=0)
    assert (found.rows, found.gap, found.gap_low, found.gap_high, found.flagged) == (50, 0, 0, 0, False)


def test_rows_weigh_by_their_tokens_as_in_the_metric():
    # Short texts at 5 nats a token, long ones at 1: what a slice of both gets is the ratio of sums.
    rows = [("short", 5.0, 2)] * 20 + [("long", 1.0, 100)] * 20
    columns = [{"source": name, "all": "yes"} for name, _, _ in rows]
    found = slice_scores(columns, [nll for _, nll, _ in rows], "nll", 0, [tokens for _, _, tokens in rows])
    long, short, both = found
    assert (short.score, long.score, short.gap) == (5, 1, 4)
    assert both.score == pytest.approx((20 * 5 * 2 + 20 * 100) / (20 * 102))
    assert both.low < both.score < both.high


def test_where_only_the_lengths_of_texts_differ_one_is_flagged_at_most_one_time_in_twenty():
    draw = np.random.default_rng(2)
    alarms = 0
    for _ in range(200):
        tokens = np.concatenate([draw.integers(2, 10, 30), draw.integers(20, 200, 30), draw.integers(2, 200, 200)])
        nll = 3 + draw.normal(size=260) / np.sqrt(tokens)
        columns = [{"length": ["short", "long", "mixed"][(place >= 30) + (place >= 60)]} for place in range(260)]
        found = slice_scores(columns, nll.tolist(), "nll", 0, tokens.tolist())
        alarms += any(each.flagged for each in found)
    assert alarms / 200 <= 0.08


@pytest.mark.parametrize(("metric", "most"), [("accuracy", 1.0), ("chrf", 100.0)])
def test_no_gap_goes_beyond_what_the_metric_allows(metric, most):
    columns, scores = by_region({"tiny": [0.0], "other": [most]})
    for each in slice_scores(columns, scores, metric, seed=0):
        assert -most <= each.gap_low <= each.gap <= each.gap_high <= most


@pytest.mark.parametrize("score", [0.0, 0.3, 1.0])
def test_scores_that_are_all_equal_have_no_gaps(score):
    columns, scores = by_region({"a": [score] * 20, "b": [score] * 1, "c": [score] * 30})
    for each in slice_scores(columns, scores, "token_f1", seed=0):
        assert each.score == pytest.approx(score)
        assert each.gap == pytest.approx(0, abs=1e-12)
        assert each.gap_low <= each.gap <= each.gap_high
        assert not each.flagged  # 0.3 twenty times has another mean, to the last bit, than thirty times


def test_a_single_row_is_a_slice():
    (found,) = slice_scores([{"region": "north"}], [0.5], "rouge_l", seed=0)
    assert (found.rows, found.score, found.low, found.high, found.flagged) == (1, 0.5, 0.5, 0.5, False)


def test_a_row_without_a_value_is_in_no_slice_of_that_column_and_among_the_rest():
    columns = [{"region": "north"}] * 2 + [{"region": "south", "day": "1"}] * 2 + [{}] * 2
    found = {each.value: each for each in slice_scores(columns, [1, 1, 0, 0, 1, 1], "accuracy", seed=0)}
    assert {value: each.rows for value, each in found.items()} == {"north": 2, "south": 2, "1": 2}
    assert (found["north"].score, found["north"].gap) == (1.0, pytest.approx(1 - 0.5))


def test_without_any_value_there_is_no_slice():
    assert slice_scores([{}, {}], [1, 0], "accuracy", seed=0) == ()

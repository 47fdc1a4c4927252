import math
import re

import pytest
from honed.evaluate.charts import (
    MOST_POINTS,
    Axis,
    Series,
    bars,
    heat,
    heat_map,
    lines,
    reliability,
    scale,
    thin,
    whisker,
)
from hypothesis import given, settings
from hypothesis import strategies as st

finite = st.floats(-1e9, 1e9).filter(lambda value: value == 0 or abs(value) > 1e-9)


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.19, 0.925], ["0", "0.25", "0.5", "0.75", "1"]),
        ([0.02, 0.043], ["0", "0.02", "0.04", "0.06"]),
        ([31.4, 66.7], ["0", "20", "40", "60", "80"]),
        ([-0.27, 0.19], ["−0.4", "−0.2", "0", "0.2"]),
        ([1834.0], ["0", "500", "1,000", "1,500", "2,000"]),
        ([], ["0", "0.25", "0.5", "0.75", "1"]),
    ],
)
def test_an_axis_has_round_ticks_and_holds_its_values(values, ticks):
    axis = Axis.over(values)
    assert [axis.text(tick) for tick in axis.ticks] == ticks


@given(st.lists(finite, max_size=20), st.booleans(), st.integers(2, 8))
@settings(deadline=None)
def test_any_values_stand_inside_their_axis(values, zero, ticks):
    axis = Axis.over(values, zero=zero, ticks=ticks)
    for value in [*values, *([0.0] if zero else [])]:
        assert -0.01 <= axis.across(value) <= 100.01
        assert -0.01 <= axis.down(value, 100) <= 100.01
    assert 2 <= len(axis.ticks) <= 2 * ticks + 2


def test_figures_that_are_no_numbers_do_not_move_an_axis():
    assert Axis.over([0.5, math.nan, math.inf]) == Axis.over([0.5])


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=3000))
@settings(max_examples=30, deadline=None)
def test_thinned_points_keep_their_order_their_ends_and_every_extreme(values):
    points = list(enumerate(values))
    kept = thin(points)
    assert len(kept) <= MOST_POINTS
    assert kept == sorted(set(kept) & set(points))
    assert {points[0], points[-1]} <= set(kept)
    assert min(y for _, y in kept) == min(values)
    assert max(y for _, y in kept) == max(values)


def test_few_points_are_not_thinned():
    points = [(step, 1.0) for step in range(MOST_POINTS)]
    assert thin(points) == points


def test_a_whisker_stands_where_its_figures_are():
    chart = whisker(Axis(0.0, 1.0, 0.25), 0.5, 0.4, 0.75, "accuracy", "tuned")
    assert 'class="dot tuned" cx="50.0%"' in chart
    assert 'class="whisker tuned" x1="40.0%" y1="12.0" x2="75.0%" y2="12.0"' in chart


def test_bars_are_as_wide_as_their_figures():
    chart = bars(Axis(0.0, 1.0, 0.5), [("base", 0.25), ("tuned", 0.9)], "F1")
    assert re.findall(r'class="bar (\w+)".*?width="([\d.]+)%"', chart) == [("base", "25.0"), ("tuned", "90.0")]


def test_signed_ticks_leave_zero_without_a_sign():
    assert re.findall(r">([^<]+)</text>", scale(Axis(-0.5, 0.5, 0.5), signed=True)) == ["−0.5", "0", "+0.5"]


def test_lines_are_named_at_their_ends_and_their_names_do_not_meet():
    close = [
        Series(name, name, [(1.0, 3.0), (100.0, 0.01 * place)]) for place, name in enumerate(("training", "validation"))
    ]
    chart = lines(close, "loss")
    ends = [float(y) for y in re.findall(r'class="end \w+" x="100%" y="([\d.]+)"', chart)]
    assert len(ends) == 2
    assert abs(ends[0] - ends[1]) >= 30
    assert all(0 <= end <= 240 for end in ends)


def test_a_line_of_one_step_is_a_dot():
    chart = lines([Series("training", "training", [(1.0, 2.5)])], "loss")
    assert 'class="dot training" cx="100.0%"' in chart
    assert "nan" not in chart


def test_two_thousand_steps_are_drawn_as_four_hundred_points_without_dots():
    steps = [(float(step), math.sin(step)) for step in range(2000)]
    chart = lines([Series("training", "training", steps)], "loss")
    [points] = re.findall(r'points="([^"]+)"', chart)
    assert len(points.split()) == MOST_POINTS
    assert "<circle" not in chart


def test_a_reliable_bin_lies_on_the_diagonal_and_a_larger_one_is_larger():
    chart = reliability([(0.25, 0.25, 0.1), (0.75, 0.5, 0.9)], "calibration", "tuned")
    dots = re.findall(r'class="bin tuned" cx="([\d.]+)%" cy="([\d.]+)" r="([\d.]+)"', chart)
    assert [(float(x), float(y)) for x, y, _ in dots] == [(25.0, 150.0), (75.0, 100.0)]
    assert float(dots[0][2]) < float(dots[1][2])


@pytest.mark.parametrize(("count", "level"), [(1, 1), (19, 1), (20, 2), (99, 5), (100, 5)])
def test_a_cell_is_as_strong_as_its_share_of_the_row(count, level):
    assert heat(count, 100, right=True) == f"right heat-{level}"


def test_a_heat_map_draws_each_cell_that_is_not_zero_once():
    chart = heat_map([[8, 2, 0], [0, 5, 1]], "confusion")
    assert sorted(re.findall(r"M\d+ \d+", chart)) == ["M0 0", "M1 0", "M1 1", "M2 1"]
    assert 'viewBox="0 0 3 2"' in chart
    assert re.search(r'class="wrong heat-2" d="M1 0', chart)


def test_names_in_a_chart_are_escaped():
    chart = whisker(Axis(0.0, 1.0, 0.5), 0.5, 0.4, 0.6, '"><script>alert(1)</script>', "base")
    assert "<script" not in chart
    assert '"&gt;' not in chart.replace("&#34;&gt;", "")

"""The curve as text: what a terminal would show."""

import math
import re

import pytest
from honed.client.cli.loss_curve import ROWS, LossCurve
from rich.console import Console

BRAILLE = re.compile(r"[\u2801-\u28ff]")


def curve(losses, total_steps=None, validation=()):
    made = LossCurve()
    for step, loss in enumerate(losses, 1):
        made.add(step, len(losses) if total_steps is None else total_steps, loss, dict(validation).get(step))
    return made


def shown(made, width=80, height=30):
    console = Console(width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(made, end="")
    return capture.get().splitlines()


def columns(line):
    """Cells of a line of the plot that hold dots."""
    return [place for place, cell in enumerate(line) if BRAILLE.match(cell)]


def test_a_falling_loss_goes_from_the_upper_left_to_the_lower_right():
    lines = curve([10 - step / 10 for step in range(100)]).lines(80)
    assert len(lines) == ROWS
    assert (lines[0][0].strip(), lines[-1][0].strip()) == ("10", "0.1")
    lefts = [min(columns(line)) for _, line, _ in lines]
    assert lefts == sorted(lefts)
    assert lefts[0] == 0
    assert max(columns(lines[-1][1])) == len(lines[-1][1]) - 1
    assert {len(label + line) for label, line, _ in lines} == {80}


def test_a_short_run_fills_the_width_only_with_its_last_step():
    half, whole = curve([3.0, 2.0, 1.5], total_steps=6), curve([3.0, 2.0, 1.5, 1.4, 1.3, 1.2])
    reach = [max(max(columns(line), default=0) for _, line, _ in one.lines(60)) for one in (half, whole)]
    width = len(whole.lines(60)[0][1])
    assert reach == [pytest.approx(0.4 * width, abs=1), width - 1]


def test_a_long_run_takes_a_dot_a_step_and_is_then_pressed_together():
    reach = []
    for steps in (50, 100, 1000):
        lines = curve([1 + 1 / step for step in range(1, steps + 1)], total_steps=10_000).lines(80)
        reach.append(max(max(columns(line), default=0) for _, line, _ in lines) + 1)
    width = len(lines[0][1])
    assert reach == [25, 50, width]


def test_no_peak_of_a_very_long_run_is_lost():
    losses = [1.0 + 0.1 * math.sin(step) for step in range(50_000)]
    losses[12_345] = 9.0
    made = curve(losses)
    lines = made.lines(80)
    assert lines[0][0].strip() == "9"
    (peak,) = columns(lines[0][1])
    assert peak == pytest.approx(12_345 / 50_000 * len(lines[0][1]), abs=1)
    assert len(made._stretches) <= 2048


def test_losses_that_share_a_column_are_joined():
    lines = curve([0.0, 4.0] * 500).lines(60)
    assert all(cell == "\u28ff" for _, line, _ in lines for cell in line)


def test_validation_losses_are_marked_where_they_stand():
    lines = curve([4.0, 3.0, 2.0, 1.0, 0.0], validation={3: 4.0, 5: 2.0}.items()).lines(60)
    marks = [(row, place) for row, (_, _, over) in enumerate(lines) for place, mark in enumerate(over) if mark == "◆"]
    width = len(lines[0][1])
    assert marks == [(0, pytest.approx(width / 2, abs=1)), (ROWS // 2, width - 1)]


def test_below_the_plot_stand_the_last_figures():
    *_, last = shown(curve([4.0, 3.25], validation={2: 3.5}.items()))
    assert last == "loss 3.2500   ◆ validation 3.5000   step 2"


@pytest.mark.parametrize(
    "losses", [[2.5], [2.5] * 30, [0.0, 0.0], [math.nan, 2.5], [2.5, math.inf], [2.5, math.nan, 2.5], [1e300, -1e300]]
)
def test_a_single_loss_a_constant_one_and_one_that_is_no_number_are_drawn(losses):
    for width in (24, 80, 300):
        lines = shown(curve(losses), width)
        assert len(lines) == ROWS + 1
        assert any(BRAILLE.search(line) for line in lines)
        assert all(len(line) <= width for line in lines)


def test_where_there_is_nothing_to_draw_nothing_is_drawn():
    assert shown(LossCurve()) == []
    assert shown(curve([math.nan, math.inf])) == []


@pytest.mark.parametrize(("width", "height"), [(23, 30), (1, 30), (80, 11), (80, 1)])
def test_a_tiny_terminal_gets_no_picture(width, height):
    assert shown(curve([3.0, 2.0]), width, height) == []


def test_a_terminal_without_such_characters_gets_no_picture():
    console = Console(width=80, height=30, force_terminal=True, color_system=None)
    options = console.options.update()
    options.encoding = "ascii"
    assert list(curve([3.0, 2.0]).__rich_console__(console, options)) == []


def test_a_run_that_starts_over_is_drawn_anew():
    made = curve([9.0, 8.0, 7.0])
    made.add(1, 3, 2.0, None)
    made.add(2, 3, 1.0, None)
    lines = made.lines(60)
    assert (lines[0][0].strip(), lines[-1][0].strip()) == ("2", "1")

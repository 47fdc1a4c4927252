import pytest
from honed.tune.loop import Step
from honed.worker.pace import RECENT_STEPS, Pace


def step(number, tokens, seconds, total=100):
    return Step(number, total, 1.0, 1e-3, 1.0, tokens, seconds, None)


def test_the_pace_is_that_of_the_steps_so_far_and_the_rest_goes_on_at_it():
    pace = Pace()
    assert pace.after(step(1, 300, 2.0)) == (150.0, 2.0 * 99)
    assert pace.after(step(2, 500, 4.0)) == (125.0, 2.0 * 98)


def test_what_was_slow_long_ago_is_forgotten():
    pace = Pace()
    pace.after(step(1, 100, 60.0))  # compiling
    for number in range(2, 2 + RECENT_STEPS):
        found = pace.after(step(number, 100 * number, 60.0 + number - 1))
    assert found == (pytest.approx(100.0), pytest.approx(100 - (1 + RECENT_STEPS)))


def test_the_last_step_leaves_no_time():
    assert Pace().after(step(100, 100, 1.0))[1] == 0

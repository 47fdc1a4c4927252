import math
import random

import pytest
from honed.tune.guard import PATIENCE, Diverged, Guard

VOCABULARY = 49152  # ln V = 10.80

# Losses of SmolLM2-135M, LoRA of rank 16, batches of 4 rows of Banking77, warm-up 0.06: how real runs diverge.
DIVERGED = {
    0.02: [4.71, 3.50, 14.11, 11.51, 14.02, 40.94, 43.00, 25.07, 19.50, 18.69],
    0.2: [4.71, 15.93, 36.90, 74.73, 48.65, 23.75, 14.63, 28.22, 13.93, 11.69, 12.18, 9.63, 9.07, 8.61, 7.73, 7.08],
    1.0: [4.71, 16.91, 45.18, 34.86, 46.15, 15.41, 16.93, 16.92, 10.55, 12.30, 9.79, 10.66, 8.94, 8.32, 9.74, 8.64],
}


def end(losses, vocabulary=VOCABULARY):
    """How a run with these losses ends: None, or why it was ended."""
    guard = Guard(vocabulary, learning_rate=0.02, warmup_fraction=0.06)
    try:
        for step, loss in enumerate(losses, 1):
            guard.check(step, loss, 1.0)
    except Diverged as error:
        return error
    return None


@pytest.mark.parametrize("losses", DIVERGED.values(), ids=DIVERGED)
def test_a_run_that_diverged_on_a_real_model_is_ended_while_its_losses_are_out_of_bounds(losses):
    error = end(losses)
    assert error.reason == "LOSS_EXPLODED"
    last_good, step = int(error.metadata["last_good_step"]), int(error.metadata["step"])
    assert step == last_good + PATIENCE <= 8
    assert min(losses[last_good:step]) > math.log(VOCABULARY) > max(losses[:last_good])


def test_the_error_says_the_step_the_loss_the_rate_and_the_remedy():
    error = end([3.0, 3.0, 20.0, 21.0, 22.0, 23.0, 24.5])
    assert error.message == (
        "The loss exploded: 24.5 at step 7, above 10.8 for 5 steps in a row (it began at 3; guessing gives "
        "10.8); lower the learning rate (now 0.02), or raise warmup_fraction (now 0.06)."
    )
    assert error.metadata == {"step": "7", "loss": "24.5", "learning_rate": "0.02", "last_good_step": "2"}


@pytest.mark.parametrize(("loss", "norm", "what"), [(math.nan, 1.0, "loss"), (2.0, math.inf, "gradient")])
def test_what_is_no_number_ends_a_run_at_once(loss, norm, what):
    guard = Guard(VOCABULARY, learning_rate=0.02, warmup_fraction=0.06)
    guard.check(1, 2.0, 1.0)
    guard.check(2, 50.0, 1.0)
    with pytest.raises(Diverged, match=rf"The {what} was no number at step 3; lower the learning rate") as caught:
        guard.check(3, loss, norm)
    assert caught.value.reason == "LOSS_NOT_FINITE"
    assert caught.value.metadata["last_good_step"] == "1"


def test_spikes_that_pass_end_nothing_and_are_in_doubt_while_they_last():
    guard = Guard(VOCABULARY, learning_rate=0.02, warmup_fraction=0.06)
    doubts = []
    for step, loss in enumerate([3.0, *[40.0] * (PATIENCE - 1), 3.0] * 20, 1):
        guard.check(step, loss, 1.0)
        doubts.append(guard.in_doubt)
    assert doubts == [False, *[True] * (PATIENCE - 1), False] * 20


def test_a_base_that_is_worse_than_guessing_may_stay_so():
    assert end([14.0] * 100) is None
    assert end([14.0] * 10 + [29.0] * PATIENCE).metadata["last_good_step"] == "10"


def test_losses_that_sink_to_those_of_bare_frequencies_are_not_called_an_explosion():
    assert end([3.0] * 10 + [9.0] * 100) is None


@pytest.mark.parametrize("sigma", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("begin", [0.5, 2.0, 4.0, 6.0])
def test_runs_that_learn_are_never_ended_however_their_batches_scatter(begin, sigma):
    """Log-normal losses of batches around a mean that falls to a fifth; 0.8 is more than single rows scatter."""
    draw = random.Random(1)
    for _ in range(30):
        means = [begin * (0.2 + 0.8 * math.exp(-step / 100)) for step in range(400)]
        assert end([mean * draw.lognormvariate(-(sigma**2) / 2, sigma) for mean in means]) is None

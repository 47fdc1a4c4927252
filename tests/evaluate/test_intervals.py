"""Intervals are held against the textbook's normal ones, against their definition, and against each other."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from honed.evaluate.intervals import (
    RESAMPLES,
    bootstrap_mean,
    bootstrap_ratio,
    interval,
    resampled_sums,
    resamples,
)
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize("rows", [1, 7, 5000])
def test_every_resample_draws_as_many_rows_as_there_are(rows):
    blocks = list(resamples(rows, seed=3))
    assert sum(len(block) for block in blocks) == RESAMPLES
    assert all((block.sum(axis=1) == rows).all() for block in blocks)
    assert all((block >= 0).all() for block in blocks)


def test_every_row_is_drawn_alike():
    drawn = np.concatenate(list(resamples(50, seed=0))).sum(axis=0)
    # Each count is binomial: 100,000 draws at 1/50, standard deviation 44; six of them in either direction.
    assert drawn == pytest.approx(np.full(50, RESAMPLES), abs=270)


def test_a_seed_fixes_the_interval_and_another_one_moves_it():
    scores = [0.1, 0.9, 0.4, 0.63, 0.3]
    assert bootstrap_mean(scores, 7) == bootstrap_mean(scores, 7)
    assert len({bootstrap_mean(scores, seed) for seed in range(5)}) > 1


def test_the_interval_of_a_mean_is_close_to_the_normal_one_on_many_rows():
    generator = np.random.default_rng(5)
    scores = generator.beta(2, 3, size=3080)
    low, high = bootstrap_mean(scores.tolist(), 0)
    reach = NormalDist().inv_cdf(0.975) * scores.std() / math.sqrt(len(scores))
    # 2,000 resamples place each end within about 5 % of the half-width (one standard error of that quantile: 2.8 %).
    assert low == pytest.approx(scores.mean() - reach, abs=0.12 * reach)
    assert high == pytest.approx(scores.mean() + reach, abs=0.12 * reach)


def test_intervals_hold_the_true_mean_about_nineteen_times_in_twenty():
    generator = np.random.default_rng(11)
    held = 0
    for _ in range(300):
        low, high = bootstrap_mean((generator.random(60) < 0.7).astype(float).tolist(), 0)
        held += low <= 0.7 <= high
    assert 0.91 <= held / 300 <= 0.98


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_an_interval_holds_the_mean_and_stays_among_the_scores(scores, seed):
    low, high = bootstrap_mean(scores, seed)
    mean = sum(scores) / len(scores)
    rounding = 1e-12
    assert min(scores) - rounding <= low <= mean + rounding
    assert mean - rounding <= high <= max(scores) + rounding


@pytest.mark.parametrize("scores", [[0.3], [1.0] * 40, [0.0] * 3])
def test_scores_that_are_all_equal_have_an_interval_without_width(scores):
    assert bootstrap_mean(scores, 0) == pytest.approx((scores[0], scores[0]))


def test_a_ratio_weighs_rows_by_their_whole():
    nats, tokens = [10.0, 1.0, 30.0, 4.0], [5, 1, 10, 2]
    low, high = bootstrap_ratio(nats, tokens, 2)
    drawn = np.concatenate(list(resamples(4, seed=2)))
    expected = sorted((line @ np.array(nats)) / (line @ np.array(tokens)) for line in drawn)
    assert (low, high) == pytest.approx((expected[49], expected[-50]))
    assert low < sum(nats) / sum(tokens) < high


def test_a_ratio_to_rows_is_a_mean():
    scores = [0.1, 0.5, 0.2, 0.9]
    assert bootstrap_ratio(scores, [1] * 4, 0) == bootstrap_mean(scores, 0)


def test_sums_of_several_statistics_come_from_the_same_draws():
    sums = resampled_sums([[1.0, 10.0], [2.0, 20.0], [5.0, 50.0]], 4)
    assert sums.shape == (RESAMPLES, 2)
    assert (sums[:, 1] == 10 * sums[:, 0]).all()


def test_an_end_has_two_and_a_half_percent_of_the_resamples_beyond_it():
    values = np.random.default_rng(0).permutation(2000).astype(float)
    assert interval(1000.0, values) == (49.0, 1950.0)


def test_an_interval_is_widened_to_its_figure():
    values = np.linspace(0, 1, RESAMPLES)
    assert interval(2.0, values)[1] == 2.0
    assert interval(-1.0, values)[0] == -1.0

"""The expected calibration error, against its definition in plain Python and scikit-learn's reliability curve."""

import math

import numpy as np
import pytest
from honed.evaluate.calibration import calibrate
from hypothesis import given, settings
from hypothesis import strategies as st


def plain_error(confidences, right, bins):
    """Guo et al. 2017, equation 3, over the bins ((m - 1) / M, m / M]."""
    error = 0.0
    for m in range(1, bins + 1):
        inside = [i for i, c in enumerate(confidences) if (m - 1) / bins < c <= m / bins]
        if inside:
            accuracy = sum(right[i] for i in inside) / len(inside)
            confidence = math.fsum(confidences[i] for i in inside) / len(inside)
            error += len(inside) / len(confidences) * abs(accuracy - confidence)
    return error


def drawn(seed, rows=500, labels=5):
    draw = np.random.default_rng(seed)
    return draw.dirichlet(np.full(labels, 0.4), size=rows), draw.integers(labels, size=rows)


@pytest.mark.parametrize("bins", [1, 10, 15])
def test_the_error_follows_its_definition(bins):
    probabilities, expected = drawn(0)
    found = calibrate(probabilities, expected.tolist(), bins)
    right = (probabilities.argmax(axis=1) == expected).tolist()
    assert found.ece == pytest.approx(plain_error(probabilities.max(axis=1).tolist(), right, bins), abs=1e-12)
    assert len(found.bins) == bins
    assert sum(each.count for each in found.bins) == 500


def test_bins_are_those_of_the_reliability_curve_of_scikit_learn():
    from sklearn.calibration import calibration_curve

    probabilities, expected = drawn(3)
    found = [each for each in calibrate(probabilities, expected.tolist()).bins if each.count]
    right = probabilities.argmax(axis=1) == expected
    accuracy, confidence = calibration_curve(right, probabilities.max(axis=1), n_bins=15)
    assert [each.accuracy for each in found] == pytest.approx(accuracy.tolist(), abs=1e-12)
    assert [each.confidence for each in found] == pytest.approx(confidence.tolist(), abs=1e-12)


def test_sure_and_right_is_perfect_and_sure_and_wrong_the_worst():
    sure = [[1.0, 0.0], [0.0, 1.0]]
    assert calibrate(sure, [0, 1]).ece == 0
    assert calibrate(sure, [1, 0]).ece == 1


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it():
    found = calibrate([[0.5, 0.25, 0.25], [0.5000001, 0.25, 0.2499999]], [0, 0], bins=10)
    assert [(each.low, each.high, each.count) for each in found.bins if each.count] == [
        (pytest.approx(0.4), pytest.approx(0.5), 1),
        (pytest.approx(0.5), pytest.approx(0.6), 1),
    ]


def test_a_confidence_that_rounding_left_above_one_has_a_bin():
    found = calibrate([[1.0000001, 0.0]], [0])
    assert found.bins[-1].count == 1
    assert found.ece == pytest.approx(0, abs=1e-6)


def test_bins_without_rows_are_all_zero_and_count_for_nothing():
    empty = [each for each in calibrate([[0.9, 0.1]], [0]).bins if not each.count]
    assert len(empty) == 14
    assert {(each.confidence, each.accuracy) for each in empty} == {(0.0, 0.0)}


@given(st.lists(st.tuples(st.floats(0.5, 1), st.integers(0, 1)), min_size=1, max_size=30))
@settings(max_examples=60, deadline=None)
def test_the_error_lies_between_zero_and_one(rows):
    found = calibrate([[p, 1 - p] for p, _ in rows], [label for _, label in rows])
    assert 0 <= found.ece <= 1
    assert all(each.low <= each.confidence <= each.high + 1e-12 for each in found.bins if each.count)

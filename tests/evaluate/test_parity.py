"""Every expected number comes from the definition, in plain Python sums over floats."""

import math
import random

import numpy as np
import pytest
from honed.evaluate import log_softmax, measure
from honed.evaluate.parity import NEAR_TIE_NATS


def log_probabilities(draw, vocabulary):
    """Random log-probabilities of one token."""
    logits = [draw.gauss(0, 2) for _ in range(vocabulary)]
    total = math.log(math.fsum(map(math.exp, logits)))
    return [logit - total for logit in logits]


def array(rows):
    return np.array(rows, np.float32)


def kl(reference, candidate):
    return math.fsum(math.exp(p) * (p - q) for p, q in zip(reference, candidate, strict=True))


def best(row):
    return max(range(len(row)), key=row.__getitem__)


def distribution(*probabilities):
    return [math.log(p) for p in probabilities]


def test_agreement_follows_its_definition_on_random_distributions():
    draw = random.Random(5)
    rows = []
    for length in (1, 3, 7, 2):
        reference = [log_probabilities(draw, 11) for _ in range(length)]
        candidate = [[p + draw.gauss(0, 0.7) for p in row] for row in reference]
        candidate = [[p - math.log(math.fsum(map(math.exp, row))) for p in row] for row in candidate]
        reply = [best(row) for row in (reference if length == 3 else candidate)]
        rows.append((reply, reference, candidate))
    found = measure((reply, array(reference), array(candidate)) for reply, reference, candidate in rows)

    pairs = [pair for _, reference, candidate in rows for pair in zip(reference, candidate, strict=True)]
    divergences = [kl(p, q) for p, q in pairs]
    assert (found.rows, found.tokens) == (4, 13)
    assert 0 < found.top1_agreement < 1  # the draw shows both cases
    assert found.top1_agreement == sum(best(p) == best(q) for p, q in pairs) / 13
    # The inputs are float32: relative error 2**-24 of log-probabilities below 20.
    assert found.mean_kl == pytest.approx(math.fsum(divergences) / 13, abs=1e-5)
    assert found.max_kl == pytest.approx(max(divergences), abs=1e-5)
    assert found.reference_accuracy == sum([best(p) for p in ref] == reply for reply, ref, _ in rows) / 4
    assert found.accuracy == sum([best(q) for q in cand] == reply for reply, _, cand in rows) / 4


def test_a_model_agrees_with_itself():
    draw = random.Random(1)
    same = array([log_probabilities(draw, 50) for _ in range(20)])
    found = measure([(list(range(20)), same, same.copy())])
    assert found.top1_agreement == 1
    assert found.mean_kl == found.max_kl == found.near_ties == 0


def test_a_divergence_is_never_below_zero():
    reference = array([distribution(0.5, 0.5)])
    unnormalised = reference + np.float32(1e-6)  # as rounding may leave it
    assert measure([([0], reference, unnormalised)]).mean_kl == 0


def test_a_disagreement_counts_as_a_near_tie_only_where_the_reference_itself_is_undecided():
    undecided = distribution(0.5 * math.exp(NEAR_TIE_NATS * 0.9), 0.5, 0.01)
    decided = distribution(0.5 * math.exp(NEAR_TIE_NATS * 1.1), 0.5, 0.01)
    other = distribution(0.2, 0.7, 0.1)
    found = measure(
        [
            ([0, 0], array([undecided, decided]), array([other, other])),
            ([0], array([undecided]), array([undecided])),  # agreed: no near tie
        ]
    )
    assert found.near_ties == 1
    assert found.near_tie_nats == NEAR_TIE_NATS
    assert found.top1_agreement == pytest.approx(1 / 3)


def test_a_row_is_correct_only_if_every_token_is():
    first, second = distribution(0.9, 0.1), distribution(0.1, 0.9)
    found = measure([([0, 1], array([first, second]), array([first, first]))])
    assert (found.reference_accuracy, found.accuracy) == (1, 0)


@pytest.mark.parametrize("logits", [[0.0, 0.0], [1000.0, 999.0, -1000.0], [-5e4, 3.0], [1e-3] * 7])
def test_log_softmax_of_any_size_is_the_textbook_one(logits):
    top = max(logits)
    total = top + math.log(math.fsum(math.exp(logit - top) for logit in logits))
    found = log_softmax(np.array(logits, np.float32))
    assert found.dtype == np.float32
    # float32 output: 2**-23 relative, and the input's own rounding
    assert found.tolist() == pytest.approx([logit - total for logit in logits], rel=2e-6, abs=1e-6)


def test_log_softmax_runs_over_the_last_axis():
    logits = np.random.default_rng(0).normal(size=(3, 2, 5)).astype(np.float32)
    assert np.exp(log_softmax(logits)).sum(axis=-1) == pytest.approx(np.ones((3, 2)), abs=1e-6)

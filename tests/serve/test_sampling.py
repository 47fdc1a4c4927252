"""Frequencies are compared with probabilities computed in plain Python, within 5 standard deviations."""

import math
import random

import numpy as np
import pytest
from honed.serve.sampling import Sampler, Sampling

DRAWS = 4000


def logits(size=40, seed=0):
    draw = random.Random(seed)
    return np.array([draw.gauss(0, 2) for _ in range(size)], np.float32)


def probabilities(values, temperature):
    weights = [math.exp(float(value) / temperature) for value in values]
    total = math.fsum(weights)
    return [weight / total for weight in weights]


def expected(values, temperature=1.0, top_k=None, top_p=1.0):
    """Temperature, then top-k, then the fewest tokens that reach top_p; what remains, made whole again."""
    found = probabilities(values, temperature)
    order = sorted(range(len(found)), key=lambda token: -found[token])[:top_k]
    total = math.fsum(found[token] for token in order)
    kept, reached = [], 0.0
    for token in order:
        if reached >= top_p:
            break
        kept.append(token)
        reached += found[token] / total
    total = math.fsum(found[token] for token in kept)
    return {token: found[token] / total for token in kept}


def frequencies(values, sampling):
    sampler = Sampler(sampling)
    tokens = [sampler.pick(values) for _ in range(DRAWS)]
    return {token: tokens.count(token) / DRAWS for token in set(tokens)}


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 1.0},
        {"temperature": 0.5},
        {"temperature": 2.0},
        {"temperature": 1.0, "top_k": 3},
        {"temperature": 1.0, "top_k": 1000},
        {"temperature": 1.0, "top_p": 0.5},
        {"temperature": 1.5, "top_p": 0.9, "top_k": 10},
        {"temperature": 1.0, "top_p": 1e-9},
    ],
    ids=str,
)
def test_tokens_come_as_often_as_their_probability_says(settings):
    values = logits()
    wanted, found = expected(values, **settings), frequencies(values, Sampling(seed=1, **settings))
    assert set(found) <= set(wanted)
    for token, p in wanted.items():
        assert abs(found.get(token, 0) - p) <= 5 * math.sqrt(p * (1 - p) / DRAWS) + 1e-9


def test_the_nucleus_of_a_large_vocabulary_may_be_larger_than_usual():
    values = np.zeros(5000, np.float32)  # every token as likely: 0.9 of the mass needs 4500 tokens
    sampler = Sampler(Sampling(temperature=1.0, top_p=0.9, seed=3))
    tokens = {sampler.pick(values) for _ in range(DRAWS)}
    assert len(tokens) > 2000  # 4000 draws of 4500: about 2650 different ones
    assert max(tokens) < 5000


@pytest.mark.parametrize("seed", range(20))
def test_the_likeliest_token_is_taken_at_temperature_zero_with_top_k_one_and_with_a_tiny_nucleus(seed):
    values = logits(300, seed)
    best = max(range(300), key=lambda token: values[token])
    assert Sampler(Sampling()).pick(values) == best
    assert Sampler(Sampling(temperature=2.0, top_k=1, seed=seed)).pick(values) == best
    assert Sampler(Sampling(temperature=2.0, top_p=1e-6, seed=seed)).pick(values) == best


def test_the_draws_depend_on_the_seed_alone():
    values = logits()

    def tokens(seed):
        sampler = Sampler(Sampling(temperature=1.0, seed=seed))
        return [sampler.pick(values) for _ in range(50)]

    assert tokens(1) == tokens(1)
    assert tokens(1) != tokens(2)


@pytest.mark.parametrize("temperature", [1e-30, 1e-6, 1.0])
def test_extreme_logits_and_temperatures_give_a_token_that_may_come(temperature):
    values = np.array([-np.inf, 1e4, -1e4, 1e4 - 1, -np.inf], np.float32)
    sampler = Sampler(Sampling(temperature=temperature, top_p=0.99, seed=0))
    assert {sampler.pick(values) for _ in range(100)} <= {1, 3}


def test_the_logits_are_left_as_they_are():
    values = logits()
    before = values.copy()
    Sampler(Sampling(temperature=0.7, top_p=0.8, top_k=5)).pick(values)
    assert np.array_equal(values, before)

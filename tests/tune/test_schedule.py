import pytest
import torch
from honed.tune.loop import schedule
from transformers import get_cosine_schedule_with_warmup


@pytest.mark.parametrize(
    ("total", "fraction", "warmup"), [(100, 0.06, 6), (7, 0.5, 4), (10, 0, 0), (5, 1, 5), (1, 0, 0)]
)
def test_the_rate_is_that_of_transformers_but_begins_above_zero(total, fraction, warmup):
    """transformers' first step has rate 0 and its last one does not reach it; ours takes the warm-up from 1 on and the
    cosine from its top."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    factor = get_cosine_schedule_with_warmup(optimizer, warmup, total).lr_lambdas[0]
    for step in range(1, total + 1):
        expected = factor(step) if step <= warmup else factor(step - 1)
        assert schedule(step, total, fraction) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("total", [1, 2, 3, 10, 1000])
@pytest.mark.parametrize("fraction", [0.0, 0.001, 0.06, 0.5, 0.999, 1.0])
def test_the_rate_rises_to_its_peak_falls_from_there_and_is_never_zero(total, fraction):
    rates = [schedule(step, total, fraction) for step in range(1, total + 1)]
    peak = rates.index(max(rates))
    assert max(rates) == 1
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert min(rates) > 0

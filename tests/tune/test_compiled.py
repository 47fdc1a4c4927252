"""Layers compiled by torch, with its real compiler: one compilation, a minute of it, serves all tests here."""

from contextlib import suppress
from dataclasses import replace

import pytest
import torch
import torch._dynamo
from honed.data import TokenizedExample
from honed.errors import WrongState
from honed.tune import base, compiled, methods
from honed.tune.batches import micro_batches
from honed.tune.checkpoints import Checkpoints, Stopped
from honed.tune.loop import LoopSettings, backward, evaluate_loss, run
from torch._dynamo.utils import counters
from torch._inductor import config as inductor

pytestmark = pytest.mark.timeout(600)

SETTINGS = LoopSettings(1e-2, 3, None, 4, 0.1, 1.0, 0.0, 5, micro_batch_tokens=64, compiled=True)
ROWS = [
    TokenizedExample((7, 8, 9, *range(20 + row, 23 + row + row % 5)), tuple(range(40, 42 + row % 3)))
    for row in range(12)
]


@pytest.fixture(scope="module", autouse=True)
def compiler(tmp_path_factory):
    compiled.prepare(tmp_path_factory.mktemp("compiled"))
    yield
    torch._dynamo.reset()


@pytest.fixture
def fresh(tiny_llama):
    return lambda: methods.attach(base.load(tiny_llama, torch.float32), methods.Settings("lora", rank=4, alpha=8))


def curve(model, settings=SETTINGS, checkpoints=None):
    return [(step.loss, step.gradient_norm) for step in run(model, ROWS, ROWS[:3], settings, checkpoints)]


def test_a_compiled_run_learns_what_an_uncompiled_one_does_and_compiles_once_for_all_batches(fresh):
    counters.clear()
    model = fresh()
    fast = curve(model)
    assert counters["stats"]["unique_graphs"] == 1
    assert fast == [pytest.approx(step, rel=1e-3) for step in curve(fresh(), replace(SETTINGS, compiled=False))]
    assert fast[-1][0] < fast[0][0] * 0.8
    assert not any("forward" in layer.__dict__ for layer in model.get_base_model().model.layers)
    counters.clear()
    evaluate_loss(model, ROWS, 64)
    assert not counters["stats"]["unique_graphs"]


def test_an_interrupted_compiled_run_goes_on_bit_for_bit(fresh, tmp_path):
    whole = curve(fresh())
    folder = tmp_path / "checkpoints"
    first = Checkpoints(folder, "same", 0)
    with suppress(Stopped):
        for step in run(fresh(), ROWS, (), SETTINGS, first):
            first.stopping = step.step == 4
    assert first.stopping
    assert curve(fresh(), checkpoints=Checkpoints(folder, "same", 0)) == whole


def test_the_recompile_limit_is_an_error(fresh):
    torch._dynamo.reset()
    model = fresh().train()
    with torch._dynamo.config.patch(recompile_limit=1), compiled.compiled_layers(model, wanted=True):
        backward(model, micro_batches(ROWS, 64, share=True), SETTINGS)
        with pytest.raises(WrongState, match="--no-compile") as refused:
            backward(model, micro_batches(ROWS[:1], 64, share=True), SETTINGS)  # one row: another computation
    assert refused.value.reason == "RECOMPILE_LIMIT"


def test_without_a_compiler_it_says_why(fresh, monkeypatch, tmp_path):
    torch._dynamo.reset()
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    model = fresh().train()
    with inductor.patch({"cpp.cxx": ("/no/compiler",)}), compiled.compiled_layers(model, wanted=True):
        reason = compiled.failure(lambda: backward(model, micro_batches(ROWS, 64, share=True), SETTINGS))
    assert "compiler" in reason.lower()
    torch._dynamo.reset()


def test_long_runs_are_compiled_where_they_can_be(fresh):
    assert compiled.pays(1e15)
    assert not compiled.pays(1e14)
    assert compiled.can(fresh(), "lora", recomputed=False)
    assert not compiled.can(fresh(), "lora", recomputed=True)
    assert not compiled.can(fresh(), "dora", recomputed=False)

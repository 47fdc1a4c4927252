"""What a tuning needs, counted without data, against what it takes with data."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from honed.data import TokenizedExample
from honed.errors import NoRoom
from honed.tune import base, memory, methods
from honed.tune.batches import MicroBatch
from honed.tune.loop import LoopSettings, recomputed_layers, summed_loss

SETTINGS = LoopSettings(1e-3, 1, None, 8, 0, 1, 0, 0, micro_batch_tokens=256)
ROWS = [TokenizedExample(tuple(range(3 + place, 60 + place)), (5, 7, 2)) for place in range(8)]  # 60 tokens each
PLENTY = memory.Room(1 << 40, 0)


@pytest.fixture
def sketch(tiny_llama):
    return memory.sketch(tiny_llama, torch.float32, methods.Settings("lora", rank=4, alpha=8))


def kept_by(model, batch, again):
    """Bytes that autograd keeps of a real forward, counted here by address."""
    kept = {}

    def count(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes(), tensor
        return tensor

    model.train()
    with recomputed_layers(model, again), torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        summed_loss(model, batch)
    parameters = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    return sum(size for address, (size, _) in kept.items() if address not in parameters)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("method", ["lora", "ia3", "bottleneck", "prefix", "full"])
def test_what_the_backward_keeps_is_counted_without_data(tiny_llama, method, again):
    if again and method == "prefix":
        pytest.skip("its keys are in a cache, and its layers are never computed again")
    how = methods.Settings(method, rank=4, alpha=8, virtual_tokens=5, width=8)
    model = methods.attach(base.load(tiny_llama, torch.float32), how)
    settings = replace(SETTINGS, gradient_checkpointing=again)
    batch = MicroBatch.of(ROWS, share=False)
    counted = memory._saved_bytes(memory.sketch(tiny_llama, torch.float32, how), batch, settings)
    assert counted == pytest.approx(kept_by(model, batch, again), rel=0.1)  # what kernels keep for themselves differs


def test_more_tokens_and_kept_layers_need_more(sketch):
    def need(rows, **settings):
        now = replace(SETTINGS, **settings)
        return memory.needed_bytes(sketch, MicroBatch.of(ROWS[:rows], share=False), now, 0)

    assert need(2) < need(4) < need(8)
    assert need(8, gradient_checkpointing=True) < need(8)
    assert need(8, optimizer="adamw_8bit") < need(8)


def test_where_there_is_room_nothing_is_changed(sketch):
    fit = memory.fit(sketch, ROWS, SETTINGS, PLENTY, None)
    assert (fit.micro_batch_tokens, fit.gradient_checkpointing) == (256, False)


def test_the_micro_batch_is_halved_before_layers_are_computed_again(sketch):
    def needed(tokens, again):
        now = replace(SETTINGS, micro_batch_tokens=tokens, gradient_checkpointing=again)
        return memory.needed_bytes(sketch, memory.longest_batch(ROWS, now, share=True), now, 0)

    def fitted(there):
        fit = memory.fit(sketch, ROWS, SETTINGS, memory.Room(there, 0), None)
        assert fit.needed_bytes <= there
        return fit.micro_batch_tokens, fit.gradient_checkpointing

    assert fitted(needed(256, again=False) - 1) == (128, False)
    smallest = needed(64, again=False)
    assert fitted(smallest) == (64, False)
    assert fitted(smallest - 1)[1]


def test_what_can_never_fit_is_refused_with_the_longest_row_that_would(sketch):
    long = [TokenizedExample(tuple(3 + place % 300 for place in range(400)), (5, 2))]
    one = replace(SETTINGS, gradient_checkpointing=True)
    there = memory.needed_bytes(sketch, MicroBatch.of(ROWS[:1], share=False), one, 0)
    with pytest.raises(NoRoom) as caught:
        memory.fit(sketch, long, SETTINGS, memory.Room(there, 0), None)
    told = caught.value.metadata
    assert caught.value.reason == "MEMORY_EXCEEDED"
    assert int(told["needed_bytes"]) > int(told["device_bytes"]) == there
    longest = int(told["largest_row_tokens"])
    assert 55 <= longest <= 65  # the room is that of a row of 60 tokens

    def fits(length):
        row = long[0].prompt[: length - 1]
        batch = MicroBatch.of([TokenizedExample(row, (5,))], share=False)
        return memory.needed_bytes(sketch, batch, one, 0) <= there

    assert fits(longest)
    assert not fits(longest + 2)


def test_not_even_the_weights_fit(sketch):
    with pytest.raises(NoRoom, match="Not even the weights fit") as caught:
        memory.fit(sketch, ROWS, SETTINGS, memory.Room(1, 0), None)
    assert caught.value.metadata["largest_row_tokens"] == "0"


def test_a_step_that_finds_no_memory_is_tried_with_half_the_micro_batch(tiny_llama, monkeypatch):
    """An allocation fails as it does in torch; a real one would take the machine's memory."""
    model = methods.attach(base.load(tiny_llama, torch.float32), methods.Settings("lora", rank=4, alpha=8))
    seen = []
    backward = memory.backward

    def short(model, batch, settings):
        seen.append(settings.micro_batch_tokens)
        if settings.micro_batch_tokens > 100:
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
            )
        return backward(model, batch, settings)

    monkeypatch.setattr(memory, "backward", short)
    fit = memory.tried(model, ROWS, ROWS[:2], SETTINGS, memory.Fit(256, False, 0))
    assert (seen, fit.micro_batch_tokens) == ([256, 128, 64], 64)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_error_that_is_none_of_memory_is_not_tried_again(tiny_llama, monkeypatch):
    model = methods.attach(base.load(tiny_llama, torch.float32), methods.Settings("lora", rank=4, alpha=8))

    def broken(*_):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(memory, "backward", broken)
    with pytest.raises(RuntimeError, match="shapes"):
        memory.tried(model, ROWS, (), SETTINGS, memory.Fit(256, False, 0))


def test_a_bounded_process_finds_no_memory_where_it_would_be_killed():
    program = """
import torch
from honed.tune import memory
there = memory.room(None)
memory.bound(memory.Room(there.process_bytes + (64 << 20), there.process_bytes))
small = torch.ones(4 << 20)
try:
    torch.ones(1 << 30)
except RuntimeError as error:
    print(memory.is_out_of_memory(error), small.sum().item())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["True", str(float(4 << 20))]


def test_room_is_bounded_by_what_was_asked_for():
    assert memory.room(1 << 20).device_bytes == 1 << 20
    there = memory.room(None)
    assert 0 < there.process_bytes < there.device_bytes

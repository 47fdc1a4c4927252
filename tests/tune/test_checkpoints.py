"""A run that is interrupted goes on as if it had not been, bit for bit, or says why it cannot."""

import errno
import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from honed.data import TokenizedExample
from honed.errors import InvalidInput
from honed.tune import base, checkpoint, methods
from honed.tune.checkpoints import Checkpoints, Stopped
from honed.tune.loop import LoopSettings, run
from safetensors.torch import load_file

SETTINGS = LoopSettings(
    learning_rate=1e-2,
    epochs=3.0,
    max_steps=None,
    batch_size=8,
    warmup_fraction=0.1,
    max_gradient_norm=1.0,
    weight_decay=0.01,
    seed=5,
)
STEPS = 9


@pytest.fixture
def fresh(tiny_llama):
    """Makes the tiny llama in bfloat16 with fresh adapters and dropout, as a new process would."""
    return lambda: methods.attach(
        base.load(tiny_llama, torch.bfloat16), methods.Settings("lora", rank=4, alpha=8, dropout=0.2, seed=0)
    )


def seen(step):
    """A step but for its times."""
    return step.step, step.loss, step.learning_rate, step.gradient_norm, step.tokens, step.validation_loss


def train(model, rows, folder, *, stop_after=None, identity="a", every_s=1000):
    """Runs until the end, or until a stop is asked for behind a step; gives the steps and the checkpoints."""
    checkpoints = Checkpoints(folder, identity, every_s)
    steps = []
    try:
        for step in run(model, rows, rows[:5], SETTINGS, checkpoints):
            steps.append(step)
            checkpoints.stopping = step.step == stop_after
    except Stopped:
        assert steps[-1].step == stop_after
    return steps, checkpoints


def adapters(model):
    return {name: value for name, value in model.state_dict().items() if "lora" in name}


@pytest.fixture
def whole(fresh, rows):
    """The steps and the adapters of a run that nobody interrupts."""
    model = fresh()
    return [seen(step) for step in run(model, rows, rows[:5], SETTINGS)], adapters(model)


@pytest.mark.parametrize("stops", [[1], [2, 3], [4], [3, 6, 8], [STEPS]])
def test_an_interrupted_run_is_the_uninterrupted_one_bit_for_bit(fresh, rows, whole, tmp_path, stops):
    assert len(whole[0]) == STEPS
    for stop in stops:
        train(fresh(), rows, tmp_path, stop_after=stop)
        torch.manual_seed(99)  # whatever happens between
    model = fresh()
    steps, checkpoints = train(model, rows, tmp_path)
    assert [seen(step) for step in steps] == whole[0]
    assert checkpoints.notes == [f"The run goes on behind step {stops[-1]}."]
    assert checkpoints.resumed_steps == stops[-1]
    assert adapters(model).keys() == whole[1].keys()
    assert all(torch.equal(value, whole[1][name]) for name, value in adapters(model).items())


@pytest.mark.parametrize("stop", [2, 3, 8])
def test_a_run_with_noise_and_patience_goes_on_to_the_same_best_epoch(fresh, rows, tmp_path, stop):
    settings = replace(SETTINGS, epochs=50, learning_rate=3e-2, patience=2, noise_alpha=5.0, label_smoothing=0.1)
    other = [TokenizedExample(row.reply, row.prompt) for row in rows]

    def go(folder, stop_after=None):
        model, checkpoints, steps = fresh(), Checkpoints(folder, "a", 1000), []
        try:
            for step in run(model, rows, other, settings, checkpoints):
                steps.append(seen(step))
                checkpoints.stopping = step.step == stop_after
        except Stopped:
            pass
        return steps, adapters(model)

    whole = go(tmp_path / "whole")
    assert stop < len(whole[0]) < 100
    go(tmp_path / "cut", stop)
    steps, values = go(tmp_path / "cut")
    assert steps == whole[0]
    assert all(torch.equal(value, whole[1][name]) for name, value in values.items())


def test_every_generator_goes_on_where_it_was(fresh, rows, tmp_path):
    def draw():
        return random.random(), float(np.random.random()), torch.rand(()).item()

    train(fresh(), rows, tmp_path, stop_after=2)
    drawn = draw()
    assert draw() != drawn
    model = fresh()
    Checkpoints(tmp_path, "a", 1000).resume(model, torch.optim.AdamW(methods.trainable_parameters(model)))
    assert draw() == drawn


def test_checkpoints_are_written_as_time_passes_and_two_are_kept(fresh, rows, tmp_path):
    train(fresh(), rows, tmp_path / "seldom")
    assert not (tmp_path / "seldom").exists()
    tmp_path /= "often"
    train(fresh(), rows, tmp_path, every_s=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000008", "step-00000009"]


def test_a_checkpoint_holds_json_and_safetensors_and_nothing_else(fresh, rows, tmp_path):
    train(fresh(), rows, tmp_path, stop_after=2)
    (folder,) = tmp_path.iterdir()
    for path in folder.iterdir():
        assert isinstance(json.loads(path.read_text()) if path.suffix == ".json" else load_file(path), dict)


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"])
def test_a_checkpoint_with_a_flipped_byte_is_passed_over_for_the_one_before(fresh, rows, whole, tmp_path, name):
    train(fresh(), rows, tmp_path, stop_after=2)
    train(fresh(), rows, tmp_path, stop_after=4)
    file = tmp_path / "step-00000004" / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    steps, checkpoints = train(fresh(), rows, tmp_path)
    assert [seen(step) for step in steps] == whole[0]
    passed, resumed = checkpoints.notes
    assert passed.startswith(f"A checkpoint was passed over: step-00000004: {name}")
    assert resumed == "The run goes on behind step 2."


def test_a_run_does_not_go_on_from_the_checkpoint_of_another(fresh, rows, tmp_path):
    train(fresh(), rows, tmp_path, stop_after=2)
    with pytest.raises(InvalidInput, match="other settings, data or base") as caught:
        train(fresh(), rows, tmp_path, identity="b")
    assert caught.value.reason == "CHECKPOINT_MISMATCH"


def test_a_full_disk_leaves_the_checkpoint_before(fresh, rows, whole, tmp_path, monkeypatch):
    train(fresh(), rows, tmp_path, stop_after=2)
    with monkeypatch.context() as full:

        def no_room(tensors, path):
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

        full.setattr(checkpoint, "save_file", no_room)
        with pytest.raises(OSError, match="No space left"):
            train(fresh(), rows, tmp_path, stop_after=4)
    steps, checkpoints = train(fresh(), rows, tmp_path)
    assert [seen(step) for step in steps] == whole[0]
    assert checkpoints.notes == ["The run goes on behind step 2."]


def test_another_machine_or_library_is_said(fresh, rows, tmp_path, monkeypatch):
    train(fresh(), rows, tmp_path, stop_after=2)
    here = checkpoint.environment()
    monkeypatch.setattr(checkpoint, "environment", lambda: here | {"threads": "64", "torch": "9"})
    _, checkpoints = train(fresh(), rows, tmp_path)
    assert checkpoints.notes[1] == (
        f"The checkpoint was written with torch {here['torch']} (now 9), threads {here['threads']} (now 64): the "
        "losses to come may differ in the last bits."
    )


def test_rows_of_one_length_are_skipped_across_epochs(fresh, tmp_path):
    rows = [TokenizedExample((3, 4, number), (5, 6)) for number in range(7, 24)]
    whole = [seen(step) for step in run(fresh(), rows, (), SETTINGS)]
    train(fresh(), rows, tmp_path, stop_after=5)
    steps = [seen(step) for step in run(fresh(), rows, (), SETTINGS, Checkpoints(tmp_path, "a", 1000))]
    assert [step[:2] for step in steps] == [step[:2] for step in whole]

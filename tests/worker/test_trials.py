import shutil
from dataclasses import replace

import pytest
import torch
from honed.errors import InvalidInput
from honed.tune import base, methods
from honed.tune.loop import Step
from honed.worker.trials import Trial, Trials

STEPS = [Step(1, 1, 2.0, 1e-3, 0.5, 30, 0.25, 1.5)]


def trial(number, loss, state="complete"):
    return Trial(number, 1e-3, 4, 2.0, state, loss, 1, 0.25, "", [])


@pytest.fixture
def adapted(tiny_llama):
    """Makes adapters whose values are all `value`."""

    def make(value):
        model = methods.attach(base.load(tiny_llama, torch.float32), methods.Settings("lora", rank=4, alpha=8))
        for parameter in methods.trainable_parameters(model):
            parameter.data.fill_(value)
        return model

    return make


def values(model):
    return {value for parameter in methods.trainable_parameters(model) for value in parameter.flatten().tolist()}


def test_trials_and_what_the_best_has_learnt_are_there_for_the_next_attempt(tmp_path, adapted):
    trials = Trials(tmp_path)
    assert (trials.ended, trials.best, trials.seconds) == ([], None, 0)
    ended = [trial(1, 3.0), trial(2, 1.0), trial(3, 1.0), trial(4, 0.5, "pruned"), trial(5, None, "failed")]
    for each in ended:
        trials.add(each, adapted(each.number), [replace(STEPS[0], step=each.number)])
    again = Trials(tmp_path)
    assert again.ended == trials.ended == ended
    assert again.best == ended[1]  # the first of equals, and neither pruned nor failed
    assert again.seconds == 1.25
    model = adapted(0)
    assert [step.step for step in again.restore(ended[1], model)] == [2]
    assert values(model) == {2.0}
    assert not model.training
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best-0002", "trials.json"]


def test_a_flipped_byte_in_what_was_learnt_is_refused(tmp_path, adapted):
    trials = Trials(tmp_path)
    trials.add(trial(1, 1.0), adapted(1), STEPS)
    file = tmp_path / "best-0001/model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(InvalidInput, match=r"model\.safetensors") as caught:
        trials.restore(trials.ended[0], adapted(0))
    assert caught.value.reason == "DIGEST_MISMATCH"


def test_what_a_trial_left_that_was_never_written_down_changes_nothing(tmp_path, adapted):
    for name in ("here", "elsewhere"):
        (tmp_path / name).mkdir()
    here, elsewhere = (Trials(tmp_path / name) for name in ("here", "elsewhere"))
    for trials, others in ((here, []), (elsewhere, [trial(2, 1.0)])):
        trials.add(trial(1, 2.0), adapted(1), STEPS)
        for other in others:
            trials.add(other, adapted(2), STEPS)
    shutil.copytree(tmp_path / "elsewhere/best-0002", tmp_path / "here/best-0002")  # as a kill would leave it
    again = Trials(tmp_path / "here")
    model = adapted(0)
    again.restore(again.best, model)
    assert values(model) == {1.0}
    again.add(trial(2, 1.0), adapted(3), STEPS)
    again.restore(again.best, model)
    assert values(model) == {3.0}


def test_a_trial_as_it_is_told_leaves_out_what_is_not_there():
    assert trial(1, None, "failed").facts() == {
        "number": 1,
        "learning_rate": 1e-3,
        "rank": 4,
        "epochs": 2.0,
        "state": "failed",
        "steps": 1,
        "seconds": 0.25,
        "message": "",
    }

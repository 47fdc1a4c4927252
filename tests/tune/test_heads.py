"""Classification heads on a decoder and on an encoder. References: transformers' own, and each row by itself."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from helpers.tiny_model import make_tiny_encoder
from honed.data import TokenizedExample
from honed.errors import InvalidInput
from honed.tune import base, heads, memory, methods
from honed.tune.batches import MicroBatch, micro_batches
from honed.tune.checkpoints import Checkpoints, Stopped
from honed.tune.hidden import hidden_states
from honed.tune.loop import LoopSettings, backward, evaluate_loss, run, summed_loss
from transformers import AutoModelForSequenceClassification

LORA = methods.Settings("lora", rank=4, alpha=8, dropout=0.1)
LABELS = ("card", "lost", "paid")
SETTINGS = LoopSettings(
    learning_rate=1e-2,
    epochs=12.0,
    max_steps=None,
    batch_size=8,
    warmup_fraction=0.1,
    max_gradient_norm=1.0,
    weight_decay=0.0,
    seed=5,
)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory):
    return make_tiny_encoder(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture(params=["llama", "bert"])
def folder(request, tiny_llama, tiny_encoder):
    return tiny_llama if request.param == "llama" else tiny_encoder


@pytest.fixture
def fresh(folder):
    """Makes the model with fresh adapters and a fresh head."""

    def fresh():
        model = methods.attach(base.load(folder, torch.float32), LORA)
        heads.attach(model, LABELS)
        return model.eval()

    return fresh


@pytest.fixture
def model(fresh):
    """One whose adapters and head already do something."""
    model = fresh()
    draw = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name or "classification_head" in name:
            parameter.data = 0.3 * torch.randn(parameter.shape, generator=draw)
    return model


@pytest.fixture
def labelled():
    """Rows of 3 to 12 tokens; what tells the label is one token, at any place."""
    draw = torch.Generator().manual_seed(3)
    rows = []
    for number in range(48):
        ids = torch.randint(20, 60, (3 + number % 10,), generator=draw)
        ids[torch.randint(len(ids), (), generator=draw)] = 5 + number % 3
        rows.append(TokenizedExample(tuple(ids.tolist()), (), label=number % 3))
    return rows


def silent(done, total):
    pass


def together(model, rows):
    """z of rows in one micro-batch, which share what they begin with where they may."""
    batch = MicroBatch.of(rows, share=not base.is_encoder(model.get_base_model().config))
    return heads.scores(model, batch, hidden_states(model, batch))


@torch.inference_mode()
def alone(model, row):
    """The head over the pooled state of one unpadded row: the mean for an encoder, else the last token's."""
    inner, head = model.get_base_model(), heads.of(model)
    ids = torch.tensor([row.prompt])
    if base.is_encoder(inner.config):
        pooled = inner(input_ids=ids).last_hidden_state[0].mean(dim=0)
    else:
        pooled = inner.model(input_ids=ids).last_hidden_state[0, -1]
    return head.weight @ pooled + head.bias


@torch.inference_mode()
def test_a_row_among_others_is_pooled_as_by_itself(model, labelled):
    alike = [replace(row, prompt=(7, 8, *row.prompt)) for row in labelled[:9]]
    for rows in (labelled[:9], alike):
        expected = torch.stack([alone(model, row) for row in rows])
        # float32 sums in another order
        torch.testing.assert_close(together(model, rows), expected, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_the_logits_of_a_decoder_are_those_of_transformers(tiny_llama, labelled):
    theirs = AutoModelForSequenceClassification.from_pretrained(tiny_llama, num_labels=3, dtype=torch.float32)
    model = methods.attach(base.load(tiny_llama, torch.float32), LORA).eval()
    head = heads.attach(model, LABELS)
    head.weight.copy_(theirs.score.weight)
    expected = [theirs(input_ids=torch.tensor([row.prompt])).logits[0] for row in labelled]
    torch.testing.assert_close(together(model, labelled), torch.stack(expected), rtol=1e-4, atol=1e-4)


def test_the_loss_is_the_mean_cross_entropy_of_the_rows(model, labelled):
    likelihoods = torch.stack([alone(model, row) for row in labelled]).log_softmax(-1)
    plain = -likelihoods[torch.arange(len(labelled)), torch.tensor([row.label for row in labelled])].mean()
    spread = -likelihoods.mean()
    batch = MicroBatch.of(labelled, share=False)
    assert summed_loss(model, batch).item() / batch.weight == pytest.approx(plain.item(), rel=1e-4)
    smoothed = summed_loss(model, batch, label_smoothing=0.3).item() / batch.weight
    assert smoothed == pytest.approx((0.7 * plain + 0.3 * spread).item(), rel=1e-4)
    assert backward(model, micro_batches(labelled, 40, share=False), SETTINGS) == pytest.approx(plain.item(), rel=1e-4)
    assert evaluate_loss(model, labelled, 40) == pytest.approx(plain.item(), rel=1e-4)


def test_a_fresh_head_finds_every_label_equally_likely(fresh, labelled):
    scores = heads.HeadPredictor(fresh()).classify([row.prompt for row in labelled], LABELS, silent)
    assert torch.tensor(scores).exp().tolist() == [[pytest.approx(1 / 3)] * 3] * len(labelled)


def test_the_loop_trains_the_head_and_the_adapters_until_the_rows_are_told_apart(fresh, labelled):
    model = fresh()
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    steps = list(run(model, labelled, labelled, SETTINGS))
    assert steps[0].loss == pytest.approx(torch.tensor(3.0).log().item(), rel=1e-5)
    assert steps[-1].validation_loss < 0.3
    scores = torch.tensor(heads.HeadPredictor(model).classify([row.prompt for row in labelled], LABELS, silent))
    assert (scores.argmax(dim=1) == torch.tensor([row.label for row in labelled])).float().mean() > 0.9
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert {"lora_A" in name or "lora_B" in name or "classification_head" in name for name in moved} == {True}


def test_an_interrupted_run_goes_on_with_its_head_bit_for_bit(fresh, labelled, tmp_path):
    settings = replace(SETTINGS, epochs=1)

    def train(folder, stop_after=None):
        model, checkpoints, steps = fresh(), Checkpoints(folder, "a", 1000), []
        try:
            for step in run(model, labelled, labelled[:9], settings, checkpoints):
                steps.append((step.step, step.loss, step.gradient_norm, step.validation_loss))
                checkpoints.stopping = step.step == stop_after
        except Stopped:
            pass
        return steps, heads.of(model).weight

    whole, weight = train(tmp_path / "whole")
    train(tmp_path / "cut", stop_after=2)
    resumed, again = train(tmp_path / "cut")
    assert resumed == whole
    assert torch.equal(weight, again)


def test_layers_that_are_computed_again_give_the_same_run_bit_for_bit(fresh, labelled):
    def losses(**settings):
        settings = replace(SETTINGS, epochs=1, **settings)
        return [(step.loss, step.gradient_norm) for step in run(fresh(), labelled, (), settings)]

    assert losses(gradient_checkpointing=True) == losses()


def test_the_memory_of_a_head_is_found_on_a_sketch_with_its_parameters(fresh, folder, labelled):
    sketch = memory.sketch(folder, torch.float32, LORA, LABELS)
    real = {name: parameter.shape for name, parameter in fresh().named_parameters()}
    assert {name: parameter.shape for name, parameter in sketch.named_parameters()} == real
    room = memory.Room(device_bytes=1 << 30, process_bytes=0)
    fit = memory.fit(sketch, labelled, replace(SETTINGS, micro_batch_tokens=256), room, None)
    assert (fit.micro_batch_tokens, fit.gradient_checkpointing) == (256, False)
    assert fit.needed_bytes > sum(parameter.nbytes for parameter in sketch.parameters())
    assert memory.tried(fresh(), labelled, labelled, SETTINGS, fit) == fit


READ = """
import json, sys, torch
from pathlib import Path
from honed.tune import base, heads, methods
folder, saved, ids = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
torch.set_num_threads(1)
model = methods.load(base.load(folder, torch.float32), saved)
heads.load(model, saved)
assert not any(parameter.requires_grad for parameter in model.parameters())
print(json.dumps([heads.of(model).labels, heads.HeadPredictor(model).classify(ids, heads.of(model).labels, print)]))
"""


def test_what_was_saved_gives_the_same_log_probabilities_in_a_new_process(model, folder, labelled, tmp_path):
    prompts = [row.prompt for row in labelled[:5]]
    methods.save(model, "lora", tmp_path, "ab")
    heads.save(model, tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".safetensors", ".json"}
    arguments = (str(folder), str(tmp_path), json.dumps(prompts))
    printed = subprocess.check_output([sys.executable, "-c", READ, *arguments], timeout=120).decode()
    labels, scores = json.loads(printed.splitlines()[-1])
    assert tuple(labels) == LABELS
    assert scores == heads.HeadPredictor(model).classify(prompts, LABELS, silent)


def test_an_adapter_without_a_head_saves_and_loads_none(adapted, tmp_path):
    model = adapted()
    heads.save(model, tmp_path)
    heads.load(model, tmp_path)
    assert heads.of(model) is None
    assert not list(tmp_path.iterdir())


def test_labels_come_in_the_order_asked_and_keep_their_share_of_all(model, labelled):
    predictor, prompts = heads.HeadPredictor(model), [row.prompt for row in labelled]
    whole = predictor.classify(prompts, LABELS, silent)
    assert predictor.classify(prompts, ("paid", "card"), silent) == [[row[2], row[0]] for row in whole]


def test_a_label_that_the_head_does_not_know_is_refused(model, labelled):
    with pytest.raises(InvalidInput, match="knows 3 labels, and not loan; evaluate it on rows of its own") as caught:
        heads.HeadPredictor(model).classify([labelled[0].prompt], ("card", "loan"), silent)
    assert caught.value.reason == "LABEL_UNKNOWN"

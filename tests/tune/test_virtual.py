"""Prefix and prompt tuning in the loop and in the predictor, against PEFT's own forward and transformers' generate."""

import pytest
import torch
from helpers.methods import attached, frozen
from honed.tune import methods
from honed.tune.batches import Batch
from honed.tune.loop import LoopSettings, mean_loss, run
from honed.tune.predict import TorchPredictor

STOPS = frozenset({0, 2})
VIRTUAL = 5


@pytest.fixture(params=["prefix", "prompt"])
def model(request, tiny_llama, rows):
    """Tuned a little, so that the virtual tokens say something of their own."""
    model = attached(tiny_llama, request.param, "bf16", virtual_tokens=VIRTUAL)
    list(run(model, rows, (), LoopSettings(5e-2, 10, 5, 8, 0.0, 1.0, 0.0, 0)))
    return model


def prompts(count, shared):
    draw = torch.Generator().manual_seed(0)
    head = torch.randint(3, 304, (shared,), generator=draw).tolist()
    return [head + torch.randint(3, 304, (2 + place % 7,), generator=draw).tolist() for place in range(count)]


@torch.inference_mode()
def peft_logits(model, ids):
    """What PEFT's forward gives at the real tokens."""
    ids = torch.tensor([ids])
    return model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -ids.shape[1] :]


def log_likelihood(model, prompt, reply):
    steps = peft_logits(model, [*prompt, *reply]).double().log_softmax(dim=-1)
    return sum(steps[len(prompt) + place - 1, token].item() for place, token in enumerate(reply))


def silent(done, total):
    pass


def test_the_loss_is_that_of_pefts_forward(model, rows):
    total = -sum(log_likelihood(model, row.prompt, row.reply) for row in rows)
    expected = total / sum(len(row.reply) for row in rows)
    # float32; the virtual tokens go through in a pass of their own, and rows are padded
    assert mean_loss(model, Batch.of(rows)).item() == pytest.approx(expected, rel=1e-4)


def test_the_gradient_is_that_of_pefts_forward(model, rows):
    (parameter,) = methods.trainable_parameters(model)
    mean_loss(model, Batch.of(rows[:1])).backward()
    ours, parameter.grad = parameter.grad, None
    ids = torch.tensor([[*rows[0].prompt, *rows[0].reply]])
    labels = torch.tensor([[-100] * len(rows[0].prompt) + list(rows[0].reply)])
    loss = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss
    loss.backward()
    torch.testing.assert_close(ours, parameter.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("shared", [0, 30])
def test_replies_are_those_of_pefts_generate(model, shared):
    asked = prompts(19, shared)

    def greedy(prompt):
        ids = torch.tensor([prompt])
        output = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=8,
            do_sample=False,
            eos_token_id=sorted(STOPS),
            pad_token_id=0,
        )[0, len(prompt) :].tolist()
        return output[:-1] if output[-1] in STOPS else output

    found = [reply.tokens for reply in TorchPredictor(model).generate(asked, 8, STOPS, silent)]
    assert found == [greedy(prompt) for prompt in asked]


@pytest.mark.parametrize("shared", [0, 30])
def test_scores_and_likelihoods_are_those_of_pefts_forward(model, shared):
    asked, replies = prompts(18, shared), [[7, 8, 2], [9, 2], [7, 8, 11, 12, 2], [5]]
    predictor = TorchPredictor(model)
    expected = [[log_likelihood(model, prompt, reply) for reply in replies] for prompt in asked]
    for row, likelihoods in zip(predictor.score(asked, replies, silent), expected, strict=True):
        assert row == pytest.approx(likelihoods, abs=1e-3)
    found = predictor.log_likelihoods(asked, [replies[0]] * len(asked), silent)
    assert found == pytest.approx([row[0] for row in expected], abs=1e-3)
    (rows,) = predictor.log_probabilities(asked[:1], [[7, 8, 2]])
    ours = peft_logits(model, [*asked[0], 7, 8, 2])[len(asked[0]) - 1 : -1].log_softmax(dim=-1)
    torch.testing.assert_close(torch.tensor(rows), ours, rtol=1e-4, atol=1e-4)


def test_virtual_tokens_count_towards_the_context(model, tiny_llama, tmp_path):
    predictor = TorchPredictor(model)
    assert predictor.context_length == 512 - VIRTUAL
    (reply,) = predictor.generate([[9] * 500], 100, frozenset(), silent)
    assert len(reply.tokens) == 512 - VIRTUAL - 500 + 1  # the last one drawn needs no place
    methods.save(model, model.active_peft_config.peft_type.value.partition("_")[0].lower(), tmp_path, "ab" * 32)
    assert methods.saved_virtual_tokens(tmp_path) == VIRTUAL


def test_switched_off_there_are_no_virtual_tokens(model, tiny_llama):
    asked, replies = prompts(3, 0), [[7, 8, 2]] * 3
    tuned, plain = TorchPredictor(model), TorchPredictor(frozen(tiny_llama, "bf16"))
    before = tuned.log_likelihoods(asked, replies, silent)
    with model.disable_adapter():
        assert methods.virtual_cache(model, 1) is None
        assert tuned.log_likelihoods(asked, replies, silent) == plain.log_likelihoods(asked, replies, silent)
    assert tuned.log_likelihoods(asked, replies, silent) == before


def test_other_models_have_no_virtual_tokens(tiny_llama):
    for other in (
        frozen(tiny_llama, "bf16"),
        attached(tiny_llama, "lora", "bf16"),
        attached(tiny_llama, "full", "bf16"),
    ):
        assert methods.virtual_tokens(other) == 0
        assert methods.virtual_cache(other, 2) is None

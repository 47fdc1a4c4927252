"""References: transformers' own generate, and one plain forward for each row and reply."""

import pytest
import torch
from helpers.tiny_model import make_tiny_model
from honed.tune import base, methods
from honed.tune.predict import TorchPredictor

STOPS = frozenset({0, 2})


def prompts(count, shared, low=1, high=12, seed=0):
    """Prompts of different lengths that begin with the same `shared` tokens."""
    draw = torch.Generator().manual_seed(seed)

    def tokens(length):
        return torch.randint(3, 304, (length,), generator=draw).tolist()

    head = tokens(shared)
    return [head + tokens(int(torch.randint(low, high + 1, (), generator=draw))) for _ in range(count)]


def silent(done, total):
    pass


@pytest.fixture(params=["llama", "mistral", "qwen2", "qwen3"])
def model(request, tmp_path):
    return base.load(make_tiny_model(tmp_path, request.param), torch.float32)


@pytest.fixture
def llama(tiny_llama):
    return base.load(tiny_llama, torch.float32)


def greedy(model, prompt, length, stops):
    ids = torch.tensor([prompt])
    output = model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=length,
        do_sample=False,
        eos_token_id=sorted(stops),
        pad_token_id=0,
    )[0, len(prompt) :].tolist()
    return output[:-1] if output[-1] in stops else output


def answers(model, asked, length, stops=STOPS):
    return [reply.tokens for reply in TorchPredictor(model).generate(asked, length, stops, silent)]


@torch.inference_mode()
def log_likelihood(model, prompt, reply):
    steps = model(input_ids=torch.tensor([[*prompt, *reply]])).logits[0].double().log_softmax(dim=-1)
    return sum(steps[len(prompt) + place - 1, token].item() for place, token in enumerate(reply))


@pytest.mark.parametrize("shared", [0, 30])
def test_greedy_replies_are_those_of_transformers_row_by_row(model, shared):
    asked = prompts(19, shared)  # more than a batch
    # A third of the vocabulary stops, so that rows end at different steps.
    stops = frozenset(range(0, 304, 12))
    found = TorchPredictor(model).generate(asked, 10, stops, silent)
    replies = [reply.tokens for reply in found]
    assert all(reply.seconds > 0 for reply in found)
    assert replies == [greedy(model, prompt, 10, stops) for prompt in asked]
    assert len({len(reply) for reply in replies}) > 2


def test_a_reply_says_whether_a_stop_token_ended_it(model):
    stops = frozenset(range(0, 304, 12))
    found = TorchPredictor(model).generate(prompts(19, 0), 10, stops, silent)
    assert {reply.stopped for reply in found} == {True, False}
    assert all(reply.stopped or len(reply.tokens) == 10 for reply in found)


def test_a_reply_ends_where_the_context_does(tmp_path):
    small = base.load(make_tiny_model(tmp_path, max_position_embeddings=32), torch.float32)
    found = TorchPredictor(small).generate([list(range(5, 33)), [9, 9]], 100, frozenset(), silent)
    assert [len(reply.tokens) for reply in found] == [32 - 28 + 1, 32 - 2 + 1]  # the last one drawn needs no place
    assert not any(reply.stopped for reply in found)


@pytest.mark.parametrize("shared", [0, 30])
def test_a_score_is_the_teacher_forced_likelihood_of_the_reply_alone(model, shared):
    asked, replies = prompts(18, shared), [[7, 8, 2], [9, 2], [7, 8, 11, 12, 2], [5]]
    scores = TorchPredictor(model).score(asked, replies, silent)
    for prompt, row in zip(asked, scores, strict=True):
        expected = [log_likelihood(model, prompt, reply) for reply in replies]
        assert row == pytest.approx(expected, abs=1e-3)  # float32 sums of likelihoods around -20


@pytest.mark.parametrize("shared", [0, 30])
def test_a_likelihood_is_the_teacher_forced_one_of_each_rows_own_reply(model, shared):
    asked = prompts(18, shared)
    replies = [prompt[:: place % 3 + 1] for place, prompt in enumerate(asked)]
    found = TorchPredictor(model).log_likelihoods(asked, replies, silent)
    expected = [log_likelihood(model, *row) for row in zip(asked, replies, strict=True)]
    assert found == pytest.approx(expected, abs=1e-2)  # float32 sums of up to 40 terms


def test_replies_that_begin_others_or_are_equal_keep_their_own_scores(llama):
    asked, replies = prompts(3, 0), [[7, 8], [7, 8, 9], [7], [7, 8], [7, 5, 9]]
    scores = TorchPredictor(llama).score(asked, replies, silent)
    for prompt, row in zip(asked, scores, strict=True):
        assert row == pytest.approx([log_likelihood(llama, prompt, reply) for reply in replies], abs=1e-3)


def test_a_score_does_not_depend_on_the_other_replies(llama):
    asked = prompts(3, 0)
    alone = TorchPredictor(llama).score(asked, [[9, 2]], silent)
    beside = TorchPredictor(llama).score(asked, [[7] * 9, [9, 2], [9, 3]], silent)
    assert [row[1] for row in beside] == pytest.approx([row[0] for row in alone], abs=1e-4)


def test_log_probabilities_are_those_of_one_plain_forward(model):
    asked, replies = prompts(3, 0), [[7, 8, 2], [9], [5, 6]]
    found = list(TorchPredictor(model).log_probabilities(asked, replies))
    for prompt, reply, rows in zip(asked, replies, found, strict=True):
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([[*prompt, *reply]])).logits[0]
        expected = logits[len(prompt) - 1 : -1].double().log_softmax(dim=-1)
        assert rows.shape == (len(reply), 304)
        torch.testing.assert_close(torch.tensor(rows).double(), expected, rtol=1e-4, atol=1e-4)


def test_an_adapted_model_answers_with_its_adapters(adapted, llama):
    tuned, asked = adapted(), prompts(4, 0)
    replies = answers(tuned, asked, 8)
    assert replies == [greedy(tuned, prompt, 8, STOPS) for prompt in asked]
    assert replies != answers(llama, asked, 8)


@pytest.mark.parametrize("asked", [[[5, 6, 7]], [[5] * 40] * 3, [[5] * 20, [5] * 21, [5] * 20 + [6, 7]]])
def test_equal_prompts_and_prompts_that_begin_others_are_no_special_case(llama, asked):
    predictor = TorchPredictor(llama)
    assert answers(llama, asked, 5) == [greedy(llama, prompt, 5, STOPS) for prompt in asked]
    scores = predictor.score(asked, [[9, 2]], silent)
    assert [row[0] for row in scores] == pytest.approx([log_likelihood(llama, p, [9, 2]) for p in asked], abs=1e-3)


def test_progress_counts_rows_up_to_the_last(llama):
    told = []
    TorchPredictor(llama).generate(prompts(40, 0), 1, STOPS, lambda done, total: told.append((done, total)))
    assert told[-1] == (40, 40)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_asking_leaves_no_trace_in_the_model(adapted):
    model = adapted()
    before = [p.clone() for p in model.parameters()]
    predictor = TorchPredictor(model)
    first = answers(model, prompts(5, 30), 5)
    predictor.score(prompts(5, 30), [[9, 2]], silent)
    assert answers(model, prompts(5, 30), 5) == first
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
    assert methods.trainable_parameters(model)

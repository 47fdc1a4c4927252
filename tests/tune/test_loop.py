import math
from dataclasses import replace

import pytest
import torch
from helpers.tiny_model import make_tiny_model
from honed.data import TokenizedExample, all_tokens
from honed.tune import base, methods
from honed.tune.batches import MicroBatch, micro_batches
from honed.tune.guard import Diverged
from honed.tune.loop import LoopSettings, backward, epochs_since_best, evaluate_loss, run, summed_loss

SETTINGS = LoopSettings(
    learning_rate=1e-2,
    epochs=2.0,
    max_steps=None,
    batch_size=8,
    warmup_fraction=0.1,
    max_gradient_norm=1.0,
    weight_decay=0.0,
    seed=5,
)


@pytest.fixture
def fresh(tiny_llama):
    """Makes the tiny llama in float32 with fresh adapters."""
    return lambda: methods.attach(
        base.load(tiny_llama, torch.float32), methods.Settings("lora", rank=4, alpha=8, dropout=0.1, seed=0)
    )


def reference_loss(model, rows):
    """The loss as transformers computes it, from labels that ignore prompt and padding."""
    longest = max(map(len, rows))
    ids = [[*row.prompt, *row.reply] + [0] * (longest - len(row)) for row in rows]
    labels = [[-100] * len(row.prompt) + list(row.reply) + [-100] * (longest - len(row)) for row in rows]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    with torch.inference_mode():
        return model(
            input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask), labels=torch.tensor(labels)
        ).loss.item()


def mean_loss(model, rows, share=True, **settings):
    batch = MicroBatch.of(rows, share=share)
    return summed_loss(model, batch, **settings) / batch.weight


@pytest.mark.parametrize("share", [True, False])
def test_the_loss_of_packed_rows_is_that_of_transformers_with_prompt_and_padding_ignored(adapted, rows, share):
    model = adapted()
    alike = [TokenizedExample((7, 8, 9, *row.prompt), row.reply) for row in rows]
    for each in (rows, alike):
        # the same sums in float32, in another order
        assert mean_loss(model, each, share).item() == pytest.approx(reference_loss(model, each), rel=1e-5)


@pytest.mark.parametrize("architecture", ["llama", "mistral", "qwen2", "qwen3"])
@pytest.mark.parametrize("longest_plain", [0, 512])
def test_packed_rows_have_the_loss_and_the_gradients_of_each_row_alone(
    tmp_path, rows, architecture, longest_plain, monkeypatch
):
    """Whatever stands beside a row, whichever attention computes it, and with a window shorter than the rows."""
    monkeypatch.setattr("honed.tune.attention._LONGEST_PLAIN", longest_plain)
    window = {"sliding_window": 6} if architecture == "mistral" else {}
    folder = make_tiny_model(tmp_path, architecture, **window)
    model = methods.attach(base.load(folder, torch.float32), methods.Settings("lora", rank=4, alpha=8, dropout=0.0))
    alike = [TokenizedExample((7, 8, 9, *row.prompt), row.reply) for row in rows]
    targets = sum(len(row.reply) for row in alike)

    def gradients(batches):
        model.zero_grad()
        loss = 0.0
        for batch in batches:
            part = summed_loss(model, batch) / targets
            part.backward()
            loss += part.item()
        return loss, [parameter.grad for parameter in methods.trainable_parameters(model)]

    packed, of_packed = gradients(micro_batches(alike, 100, share=True))
    alone, of_alone = 0.0, None
    model.zero_grad()
    for row in alike:
        logits = model(input_ids=torch.tensor([[*row.prompt, *row.reply]])).logits[0, len(row.prompt) - 1 : -1]
        part = torch.nn.functional.cross_entropy(logits, torch.tensor(row.reply), reduction="sum") / targets
        part.backward()
        alone += part.item()
    of_alone = [parameter.grad for parameter in methods.trainable_parameters(model)]
    assert packed == pytest.approx(alone, rel=1e-5)
    torch.testing.assert_close(of_packed, of_alone, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_layers_that_are_computed_again_give_the_same_run_bit_for_bit(tiny_llama, rows, dropout):
    def losses(**settings):
        model = methods.attach(
            base.load(tiny_llama, torch.float32), methods.Settings("lora", rank=4, alpha=8, dropout=dropout)
        )
        return [(step.loss, step.gradient_norm) for step in run(model, rows, (), replace(SETTINGS, **settings))]

    assert losses(gradient_checkpointing=True) == losses()


def test_a_step_in_micro_batches_is_the_step_of_the_whole_batch(tiny_llama, rows):
    def steps(most_tokens):
        model = methods.attach(
            base.load(tiny_llama, torch.float32), methods.Settings("lora", rank=4, alpha=8, dropout=0.0)
        )
        return list(run(model, rows, (), replace(SETTINGS, micro_batch_tokens=most_tokens, epochs=1)))

    whole, parts = steps(10_000), steps(20)
    assert len(whole) == len(parts)
    for one, other in zip(whole, parts, strict=True):  # float32, another order of sums, and Adam behind it
        assert other.loss == pytest.approx(one.loss, rel=1e-4)
        assert other.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-3)


@pytest.mark.parametrize("name", ["adamw_8bit", "paged_adamw_8bit"])
def test_moments_in_eight_bits_learn_like_those_in_thirty_two(fresh, rows, name):
    """Against AdamW in 32 bits on the same rows; the rounding of the moments is what may differ."""
    exact = list(run(fresh(), rows, (), SETTINGS))
    rounded = list(run(fresh(), rows, (), replace(SETTINGS, optimizer=name)))
    assert rounded[-1].loss == pytest.approx(exact[-1].loss, rel=0.1)


def test_a_token_counts_by_the_weight_of_its_turn(adapted, rows):
    model = adapted()
    weighed = [replace(row, weight=weight) for row, weight in zip(rows, (0.5, 2.0, 1.0), strict=False)]
    parts = [(reference_loss(model, [row]), row.weight * len(row.reply)) for row in weighed]
    expected = sum(loss * weight for loss, weight in parts) / sum(weight for _, weight in parts)
    assert mean_loss(model, weighed).item() == pytest.approx(expected, rel=1e-5)
    assert evaluate_loss(model, weighed, 20) == pytest.approx(expected, rel=1e-5)
    assert backward(model, micro_batches(weighed, 20, share=True), SETTINGS) == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_all_tokens_is_that_of_transformers_with_padding_alone_ignored(adapted, rows):
    model = adapted()
    whole = [TokenizedExample(row.ids[:1], row.ids[1:]) for row in rows]
    loss = mean_loss(model, [all_tokens(row) for row in rows]).item()
    assert loss == pytest.approx(reference_loss(model, whole), rel=1e-5)


def test_smoothed_labels_give_every_token_a_share_of_the_target(adapted, rows):
    model, batch = adapted(), MicroBatch.of(rows[:3], share=False)
    with torch.inference_mode():
        likelihoods = torch.cat(
            [
                model(input_ids=torch.tensor([[*row.prompt, *row.reply]]))
                .logits[0, len(row.prompt) - 1 : -1]
                .log_softmax(-1)
                for row in rows[:3]
            ]
        )
    plain = -likelihoods.gather(1, batch.targets[:, None]).mean()
    spread = -likelihoods.mean()
    assert mean_loss(model, rows[:3], label_smoothing=0.3).item() == pytest.approx(
        (0.7 * plain + 0.3 * spread).item(), rel=1e-5
    )


def test_noise_on_the_embeddings_is_uniform_and_smaller_in_longer_rows(adapted, rows, monkeypatch):
    model = adapted()
    seen = []
    embed = model.get_base_model().get_input_embeddings()
    decoder = model.get_base_model().get_decoder()
    forward = decoder.forward
    monkeypatch.setattr(decoder, "forward", lambda **given: seen.append(given["inputs_embeds"]) or forward(**given))
    long_and_short = [TokenizedExample((3,) * 9, (4,)), TokenizedExample((3,) * 89, (4,))]
    batch = MicroBatch.of(long_and_short, share=False)
    torch.manual_seed(1)
    summed_loss(model, batch, noise_alpha=5.0)
    noise = (seen[0] - embed(batch.ids))[0]
    for part, length in ((noise[:10], 10), (noise[10:], 90)):
        reach = 5.0 / (length * noise.shape[-1]) ** 0.5
        assert part.abs().max().item() == pytest.approx(reach, rel=0.01)
        assert part.std().item() == pytest.approx(reach / 3**0.5, rel=0.05)
    seen.clear()
    assert summed_loss(model, batch).item() == summed_loss(model, batch).item()
    assert torch.equal(seen[0][0], embed(batch.ids))


@pytest.mark.parametrize(
    ("losses", "epochs"),
    [([], 0), ([3.0], 0), ([3.0, 2.0], 0), ([2.0, 3.0], 1), ([2.0, 2.0, 2.5], 2), ([3.0, 1.0, 2.0], 1)],
)
def test_the_best_epoch_is_the_first_of_the_lowest_loss(losses, epochs):
    assert epochs_since_best(losses) == epochs


def test_with_patience_the_run_ends_and_leaves_the_model_of_the_best_epoch(fresh, rows):
    settings = replace(SETTINGS, epochs=50, patience=2, learning_rate=3e-2)
    model, other = (
        fresh(),
        [TokenizedExample(row.reply, row.prompt) for row in rows],
    )  # what is learned is of no use there
    kept, losses = [], []
    for step in run(model, rows, other, settings):
        if step.validation_loss is not None:
            losses.append(step.validation_loss)
            kept.append({name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad})
    best = losses.index(min(losses))
    assert len(losses) == best + 3 < 50
    assert all(torch.equal(p, kept[best][name]) for name, p in model.named_parameters() if p.requires_grad)
    assert evaluate_loss(model, other, SETTINGS.micro_batch_tokens) == min(losses)


def test_without_patience_all_epochs_run_and_the_last_step_stays(fresh, rows):
    model = fresh()
    steps = list(run(model, rows, rows, replace(SETTINGS, epochs=3)))
    assert steps[-1].step == steps[-1].total_steps == 9
    assert evaluate_loss(model, rows, SETTINGS.micro_batch_tokens) == steps[-1].validation_loss


def test_a_loss_over_many_tokens_is_computed_in_parts(adapted, rows, monkeypatch):
    def loss_and_gradients():
        model = adapted().train()
        loss = mean_loss(model, rows)
        loss.backward()
        return loss.item(), [p.grad for p in methods.trainable_parameters(model)]

    loss, gradients = loss_and_gradients()
    monkeypatch.setattr("honed.tune.loop._LOGITS_AT_ONCE", 7)
    loss_in_parts, gradients_in_parts = loss_and_gradients()
    assert loss_in_parts == pytest.approx(loss, rel=1e-6)  # the same sum in another order
    torch.testing.assert_close(gradients_in_parts, gradients, rtol=1e-4, atol=1e-7)


def test_the_validation_loss_is_the_mean_over_all_trained_tokens(adapted, rows):
    model = adapted(dropout=0.5)  # which must not be felt
    total = sum(reference_loss(model, [row]) * len(row.reply) for row in rows)
    expected = total / sum(len(row.reply) for row in rows)
    model.train()
    assert evaluate_loss(model, rows, 50) == pytest.approx(expected, rel=1e-5)
    assert model.training


def test_the_same_seed_gives_the_same_losses_bit_for_bit(fresh, rows):
    def losses(settings):
        return [(step.loss, step.gradient_norm, step.validation_loss) for step in run(fresh(), rows, rows, settings)]

    first = losses(SETTINGS)
    assert first == losses(SETTINGS)
    assert first != losses(replace(SETTINGS, seed=6))


def test_the_loop_learns_and_leaves_the_base_alone(fresh, rows):
    model = fresh()
    frozen = {name: p.clone() for name, p in model.named_parameters() if not p.requires_grad}
    before = evaluate_loss(model, rows, 100)
    steps = list(run(model, rows, (), replace(SETTINGS, epochs=10)))
    assert evaluate_loss(model, rows, 100) < 0.5 * before
    assert all(torch.equal(p, frozen[name]) for name, p in model.named_parameters() if not p.requires_grad)
    assert steps[0].loss > steps[-1].loss


def test_a_step_is_adams_on_the_clipped_gradient(fresh, rows):
    """Adam's first step moves every weight by the learning rate against the sign of its gradient (Kingma & Ba 2015)."""
    model, twin = fresh(), fresh()
    settings = replace(SETTINGS, epochs=1, batch_size=len(rows), warmup_fraction=0, max_gradient_norm=1e-3)
    (step,) = run(model, rows, (), settings)
    torch.manual_seed(settings.seed)  # dropout draws as in the loop
    twin.train()
    backward(twin, micro_batches(rows, settings.micro_batch_tokens, share=False), settings)
    norms = [p.grad.norm() for p in methods.trainable_parameters(twin)]
    assert step.learning_rate == settings.learning_rate
    assert step.gradient_norm == pytest.approx(math.hypot(*norms), rel=0.2)  # rows of a length may stand otherwise
    pairs = zip(methods.trainable_parameters(model), methods.trainable_parameters(twin), strict=True)
    moved = [(after - start).abs().max().item() for after, start in pairs]
    # float32, and Adam's epsilon of 1e-8 beside gradients that the clipping made small
    assert max(moved) == pytest.approx(settings.learning_rate, rel=0.01)


@pytest.mark.parametrize(
    ("epochs", "max_steps", "expected"), [(1.0, None, 3), (2.5, None, 8), (0.01, None, 1), (9.0, 2, 2), (1.0, 99, 3)]
)
def test_steps_come_from_epochs_unless_a_limit_ends_them_before(fresh, rows, epochs, max_steps, expected):
    settings = replace(SETTINGS, epochs=epochs, max_steps=max_steps)
    steps = list(run(fresh(), rows, rows[:2], settings))
    assert [step.step for step in steps] == list(range(1, expected + 1))
    assert {step.total_steps for step in steps} == {expected}
    checked = [step.step for step in steps if step.validation_loss is not None]
    assert checked == sorted({expected, *range(3, expected + 1, 3)})


def test_tokens_and_seconds_are_sums_so_far(fresh, rows):
    steps = list(run(fresh(), rows, (), replace(SETTINGS, epochs=1)))
    assert steps[-1].tokens == sum(map(len, rows))
    assert [step.seconds for step in steps] == sorted(step.seconds for step in steps)
    assert all(step.validation_loss is None for step in steps)


def test_the_model_is_left_in_evaluation_mode(fresh, rows):
    model = fresh()
    list(run(model, rows, rows, replace(SETTINGS, max_steps=1)))
    assert not model.training


def test_a_loss_that_is_no_longer_a_number_ends_the_run_with_advice(fresh, rows):
    model = fresh()
    methods.trainable_parameters(model)[0].data[0, 0] = torch.inf
    with pytest.raises(Diverged, match=r"step 1; lower the learning rate \(now 0.01\)") as caught:
        list(run(model, rows, (), SETTINGS))
    assert caught.value.reason == "LOSS_NOT_FINITE"

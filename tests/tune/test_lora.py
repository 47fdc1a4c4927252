import json

import pytest
import torch
from honed.errors import InvalidInput
from honed.tune import base, methods
from honed.tune.methods import lora
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors import safe_open
from torch import nn

IDS = torch.arange(3, 60).reshape(3, 19)


@torch.inference_mode()
def logits(model):
    return model(input_ids=IDS).logits


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_our_forward_is_pefts_own(adapted, tiny_llama, mode):
    ours = adapted(dropout=0.3)
    config = LoraConfig(r=4, lora_alpha=8, lora_dropout=0.3, target_modules="all-linear", task_type="CAUSAL_LM")
    theirs = get_peft_model(base.load(tiny_llama, torch.float32), config)
    theirs.load_state_dict(ours.state_dict())
    results = []
    for model in (ours, theirs):
        getattr(model, mode)()
        torch.manual_seed(0)  # the same dropout on both sides
        results.append(logits(model))
    # float32: B is scaled before the product here, after it there
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-5)


def test_our_gradients_are_pefts_own(adapted, tiny_llama):
    ours = adapted()
    theirs = get_peft_model(
        base.load(tiny_llama, torch.float32),
        LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    theirs.load_state_dict(ours.state_dict())
    for model in (ours, theirs):
        model(input_ids=IDS, labels=IDS).loss.backward()
    expected = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        if parameter.requires_grad:
            torch.testing.assert_close(parameter.grad, expected[name].grad, rtol=1e-4, atol=1e-5)


def test_fresh_adapters_change_nothing_and_train_alone(tiny_llama):
    plain = logits(base.load(tiny_llama, torch.float32))
    model = methods.attach(
        base.load(tiny_llama, torch.float32), methods.Settings("lora", rank=4, alpha=8, dropout=0, seed=0)
    )
    torch.testing.assert_close(logits(model), plain, rtol=0, atol=0)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert all("lora_" in name for name in trained)
    assert len(trained) == 2 * 2 * 7  # A and B of 7 linear layers in 2 blocks
    assert not any("lm_head" in name for name in trained)


def test_adapters_are_float32_on_a_base_of_any_dtype(tiny_llama):
    model = methods.attach(
        base.load(tiny_llama, torch.bfloat16), methods.Settings("lora", rank=4, alpha=8, dropout=0, seed=0)
    )
    assert {p.dtype for p in methods.trainable_parameters(model)} == {torch.float32}
    assert logits(model).dtype == torch.bfloat16


def test_the_same_seed_gives_the_same_adapters(tiny_llama):
    def weights(seed):
        model = methods.attach(
            base.load(tiny_llama, torch.float32), methods.Settings("lora", rank=4, alpha=8, dropout=0, seed=seed)
        )
        return torch.cat([p.flatten() for p in methods.trainable_parameters(model)])

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_detached_adapters_leave_the_base_as_it_was_and_room_for_others(adapted, tiny_llama):
    model = adapted()
    bare = model.get_base_model()
    lora.detach(model)
    fresh = base.load(tiny_llama, torch.float32)
    assert [(n, type(m)) for n, m in bare.named_modules()] == [(n, type(m)) for n, m in fresh.named_modules()]
    assert all(torch.equal(value, fresh.state_dict()[name]) for name, value in bare.state_dict().items())
    again, first = (
        methods.attach(each, methods.Settings("lora", rank=8, alpha=4, dropout=0.1, seed=5)) for each in (bare, fresh)
    )
    expected = dict(first.named_parameters())
    for name, parameter in again.named_parameters():
        assert parameter.requires_grad == expected[name].requires_grad
        assert torch.equal(parameter, expected[name])


def test_switched_off_adapters_leave_the_base(adapted, tiny_llama):
    model = adapted()
    with model.disable_adapter():
        torch.testing.assert_close(logits(model), logits(base.load(tiny_llama, torch.float32)), rtol=0, atol=0)


def test_a_saved_adapter_gives_the_same_logits_bit_for_bit(adapted, tiny_llama, tmp_path):
    model = adapted()
    methods.save(model, "lora", tmp_path, "ab" * 32)
    loaded = methods.load(base.load(tiny_llama, torch.float32), tmp_path)
    torch.testing.assert_close(logits(loaded), logits(model), rtol=0, atol=0)
    assert not methods.trainable_parameters(loaded)


def test_filled_adapters_are_those_they_were_filled_from_and_train(adapted, tiny_llama, tmp_path):
    model = adapted()
    methods.save(model, "lora", tmp_path, "ab" * 32)
    filled = methods.attach(base.load(tiny_llama, torch.float32), methods.Settings("lora", rank=4, alpha=8, seed=7))
    lora.fill(filled, lora.values(tmp_path))
    torch.testing.assert_close(logits(filled), logits(model), rtol=0, atol=0)
    assert len(methods.trainable_parameters(filled)) == 2 * 2 * 7
    assert lora.scale(tmp_path) == 2


def test_adapters_are_not_filled_from_those_of_another_rank_or_other_layers(adapted):
    right, other_rank = (get_peft_model_state_dict(adapted(rank=rank), save_embedding_layers=False) for rank in (4, 2))
    for wrong in (other_rank, dict(list(right.items())[1:]), {**right, "more": torch.zeros(1)}):
        model = adapted()
        before = [parameter.clone() for parameter in methods.trainable_parameters(model)]
        with pytest.raises(InvalidInput) as caught:
            lora.fill(model, wrong)
        assert caught.value.reason == "ADAPTER_MISMATCH"
        assert all(map(torch.equal, before, methods.trainable_parameters(model)))


def test_a_saved_adapter_is_weights_and_settings_that_name_the_base_by_digest(adapted, tiny_llama, tmp_path):
    methods.save(adapted(), "lora", tmp_path, "ab" * 32)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    text = (tmp_path / "adapter_config.json").read_text()
    assert json.loads(text)["base_model_name_or_path"] == "sha256:" + "ab" * 32
    assert str(tiny_llama.parent) not in text
    modules = json.loads(text)["target_modules"]
    assert modules == sorted(modules)  # the same adapter is the same bytes, whatever a set's order
    with safe_open(tmp_path / "adapter_model.safetensors", framework="pt") as file:
        assert len(file.keys()) == 2 * 2 * 7


def test_every_linear_layer_but_the_head_is_adapted(adapted):
    model = adapted().get_base_model()
    bare = [name for name, module in model.named_modules() if type(module) is nn.Linear and "lora" not in name]
    assert [name for name in bare if not name.endswith("base_layer")] == ["lm_head"]


@pytest.mark.parametrize("method", ["lora", "rslora"])
def test_the_scale_is_that_of_the_paper(tiny_llama, method):
    model = methods.attach(base.load(tiny_llama, torch.float32), methods.Settings(method, rank=16, alpha=8))
    scales = {layer.scaling["default"] for _, layer in lora.layers(model)}
    assert scales == {8 / 16 if method == "lora" else 8 / 16**0.5}

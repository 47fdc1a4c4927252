import json

import pytest
import torch
from helpers.methods import SERVED, attached, frozen
from honed.data import Message, Renderer
from honed.export import merge, save_checkpoint
from honed.tune import base, methods
from transformers import AutoModelForCausalLM

IDS = torch.arange(3, 40)[None]


@pytest.fixture
def adapted(tiny_llama):
    """The tiny llama with adapters that do something."""
    model = methods.attach(
        base.load(tiny_llama, torch.float32), methods.Settings("lora", rank=4, alpha=8, dropout=0, seed=0)
    )
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data = 0.1 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


@torch.inference_mode()
def logits(model):
    return model(input_ids=IDS).logits


def test_every_merged_weight_is_the_base_plus_the_scaled_product(adapted, tiny_llama):
    layer = adapted.get_base_model().model.layers[1].mlp.down_proj
    expected = layer.base_layer.weight.double() + 8 / 4 * (
        layer.lora_B["default"].weight.double() @ layer.lora_A["default"].weight.double()
    )
    merged = merge(adapted)
    # one addition and a sum of 4 products in float32
    torch.testing.assert_close(merged.model.layers[1].mlp.down_proj.weight.double(), expected, rtol=0, atol=1e-6)


def test_the_merged_model_computes_what_the_adapted_one_did(adapted, tiny_llama):
    before = logits(adapted)
    assert (before - logits(base.load(tiny_llama, torch.float32))).abs().max() > 0.1  # the adapters do something
    # float32 through two layers; the sums are taken in another order
    torch.testing.assert_close(logits(merge(adapted)), before, rtol=1e-4, atol=1e-4)


def test_a_weight_that_is_not_finite_is_not_merged(adapted):
    adapted.get_base_model().model.layers[0].mlp.up_proj.lora_B["default"].weight.data[0, 0] = torch.inf
    with pytest.raises(ValueError, match="NaN"):
        merge(adapted)


def test_a_saved_checkpoint_is_a_whole_model_folder(adapted, tiny_llama, tmp_path):
    merged = merge(adapted)
    save_checkpoint(merged, tiny_llama, tmp_path)
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, local_files_only=True)
    torch.testing.assert_close(logits(loaded), logits(merged), rtol=0, atol=0)
    prompt = [Message("user", "Hi")]
    assert Renderer.load(tmp_path).prompt(prompt) == Renderer.load(tiny_llama).prompt(prompt)
    assert Renderer.load(tmp_path).digests() == Renderer.load(tiny_llama).digests()


def test_a_saved_checkpoint_names_no_path(adapted, tiny_llama, tmp_path):
    save_checkpoint(merge(adapted), tiny_llama, tmp_path)
    assert "_name_or_path" not in json.loads((tmp_path / "config.json").read_text())
    assert str(tiny_llama.parent) not in (tmp_path / "config.json").read_text()


@pytest.mark.parametrize("method", SERVED)
def test_a_loaded_model_of_every_served_method_computes_the_same_merged(tiny_llama, tmp_path, method):
    precision = "nf4" if method in ("loftq", "pissa") else "bf16"
    tuned = attached(tiny_llama, method, precision)
    draw = torch.Generator().manual_seed(1)
    for parameter in methods.trainable_parameters(tuned):
        parameter.data += 0.05 * torch.randn(parameter.shape, generator=draw)
    methods.save(tuned, method, tmp_path, "ab" * 32)
    loaded = methods.load(frozen(tiny_llama, precision), tmp_path)
    before = logits(loaded)
    assert (before - logits(frozen(tiny_llama, precision))).abs().max() > 0.1
    # float32 through two layers; the sums are taken in another order
    torch.testing.assert_close(logits(merge(loaded)), before, rtol=1e-4, atol=1e-4)


def test_a_fully_tuned_weight_that_is_not_finite_is_not_merged(tiny_llama):
    tuned = attached(tiny_llama, "full", "bf16")
    tuned.get_base_model().model.layers[0].mlp.up_proj.weight.data[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"layers\.0\.mlp\.up_proj"):
        merge(tuned)

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from helpers.tiny_model import make_tiny_model
from honed.quantize import Nf4
from honed.tune import base
from safetensors.torch import load_file
from torch import nn

IDS = torch.arange(3, 60).reshape(3, 19)


@torch.inference_mode()
def logits(model):
    return model(input_ids=IDS).logits


def quantised(folder, precision="nf4", *, keep, dtype=torch.bfloat16):
    model = base.load(folder, dtype)
    return model, base.quantize_linears(model, precision, keep_dequantized=keep)


def test_a_base_is_loaded_frozen_in_evaluation_mode_with_its_weights(tiny_llama):
    model = base.load(tiny_llama, torch.float32)
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    stored = load_file(tiny_llama / "model.safetensors")
    assert all(torch.equal(p, stored[name]) for name, p in model.named_parameters())


def test_kept_dequantised_or_packed_the_products_are_the_same_bit_for_bit(tiny_llama):
    (kept, digest), (packed, same) = quantised(tiny_llama, keep=True), quantised(tiny_llama, keep=False)
    assert sum(isinstance(module, Linear4bit) for module in packed.modules()) == 14
    assert digest == same
    torch.testing.assert_close(logits(kept), logits(packed), rtol=0, atol=0)
    assert not torch.equal(logits(kept), logits(base.load(tiny_llama, torch.bfloat16)))


def test_every_linear_layer_but_the_head_is_rounded_to_the_grid(tiny_llama):
    plain = dict(base.load(tiny_llama, torch.bfloat16).named_parameters())
    model, _ = quantised(tiny_llama, keep=True)
    linear = {f"{name}.weight" for name, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    for name, parameter in model.named_parameters():
        rounded = name in linear and name != "lm_head.weight"
        expected = Nf4.quantize(plain[name].data).dequantize() if rounded else plain[name]
        assert torch.equal(parameter, expected), name


@pytest.mark.parametrize("tied", [True, False])
def test_the_head_stays_as_it_is_tied_or_not(tmp_path, tied):
    folder = make_tiny_model(tmp_path, tie_word_embeddings=tied)
    plain = base.load(folder, torch.bfloat16)
    model, _ = quantised(folder, keep=False)
    assert torch.equal(model.get_output_embeddings().weight, plain.get_output_embeddings().weight)
    assert torch.equal(model.get_input_embeddings().weight, plain.get_input_embeddings().weight)


def test_bf16_leaves_the_weights_and_has_a_digest_of_its_own(tiny_llama):
    model, digest = quantised(tiny_llama, "bf16", keep=False)
    torch.testing.assert_close(logits(model), logits(base.load(tiny_llama, torch.bfloat16)), rtol=0, atol=0)
    assert digest != quantised(tiny_llama, keep=True)[1]


@pytest.mark.parametrize("precision", ["nf4", "bf16"])
def test_another_weight_gives_another_digest(tiny_llama, precision):
    model = base.load(tiny_llama, torch.bfloat16)
    model.model.layers[1].mlp.up_proj.weight.data[5, 7] += 0.5
    changed = base.quantize_linears(model, precision, keep_dequantized=True)
    assert changed != quantised(tiny_llama, precision, keep=True)[1]


@pytest.mark.parametrize("precision", ["nf4", "bf16"])
def test_the_weights_and_their_digest_are_the_same_whatever_is_computed_in(tiny_llama, precision):
    wide, narrow = base.load_to_tune(tiny_llama, torch.float32), base.load_to_tune(tiny_llama, torch.bfloat16)
    digests = [base.quantize_linears(model, precision, keep_dequantized=True) for model in (wide, narrow)]
    assert digests[0] == digests[1]
    torch.testing.assert_close(logits(wide), logits(narrow.float()), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16", True),
        ("flags\t\t: fpu avx2 avx512f avx512vl", False),
        ("Features\t: fp asimd i8mm bf16", True),
        ("", False),
    ],
)
def test_bfloat16_is_computed_in_where_the_processor_names_units_for_it(flags, expected):
    assert base.has_bfloat16_units(f"processor\t: 0\n{flags}\nbugs\t: avx512_bf16_bug bf16\n") is expected

"""PiSSA and LoftQ: what they begin with, against the full singular value decomposition (Eckart & Young 1936)."""

import json

import pytest
import torch
from helpers.methods import attached, frozen, logits
from honed.errors import InvalidInput
from honed.tune import base, methods
from honed.tune.methods import lora
from honed.tune.methods.low_rank import factors
from safetensors.torch import load_file

IDS = torch.arange(3, 60).reshape(3, 19)
RANK, SCALE = 4, 2.0


def best(weight, rank):
    left, values, right = torch.linalg.svd(weight.double())
    return left[:, :rank] * values[:rank] @ right[:rank]


@pytest.mark.parametrize("shape", [(40, 90), (90, 40), (12, 12)])
@pytest.mark.parametrize("rank", [1, 7, 12])
def test_factors_are_the_best_approximation_of_their_rank(shape, rank):
    torch.manual_seed(0)
    weight = torch.randn(shape)
    a, b = factors(weight, rank, 3.0)
    assert (a.shape, b.shape) == ((rank, shape[1]), (shape[0], rank))
    error, least = (weight - 3.0 * b @ a).norm().item(), (weight - best(weight, rank)).norm().item()
    assert error <= least * 1.001 + 1e-4


def test_pissa_trains_from_the_principal_directions(tiny_llama):
    model = attached(tiny_llama, "pissa", "bf16")
    for _, layer in lora.layers(model):
        product = SCALE * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        weight = layer.base_layer.weight
        least = (weight - best(weight, RANK)).norm().item()
        assert (weight - product).norm().item() <= least * 1.001


@pytest.mark.parametrize("precision", ["bf16", "nf4"])
def test_pissa_leaves_the_base_and_is_saved_as_a_plain_lora_of_twice_the_rank(tiny_llama, tmp_path, precision):
    model = attached(tiny_llama, "pissa", precision)
    untouched = frozen(tiny_llama, precision)
    for name, layer in lora.layers(model):
        assert torch.equal(layer.base_layer.weight, untouched.get_submodule(name).weight)
        layer.lora_A["default"].weight.data += 0.1
    methods.save(model, "pissa", tmp_path, "ab" * 32)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["peft_type"]) == (2 * RANK, 2 * RANK * SCALE, "LORA")
    name, layer = next(iter(lora.layers(model)))
    saved = load_file(tmp_path / "adapter_model.safetensors")
    a, b = (saved[f"base_model.model.{name}.lora_{each}.weight"] for each in "AB")
    old = SCALE * layer.lora_B["default"].weight @ (layer.lora_A["default"].weight - 0.1)
    new = SCALE * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    torch.testing.assert_close(SCALE * b @ a, new - old, rtol=1e-4, atol=1e-5)  # float32
    assert torch.equal(logits(methods.load(untouched, tmp_path), IDS), logits(model, IDS))


def test_loftq_makes_up_for_what_its_rank_can_of_the_quantising(tiny_llama):
    model, original = attached(tiny_llama, "loftq", "nf4"), base.load_to_tune(tiny_llama, torch.float32)
    quantised = frozen(tiny_llama, "nf4")
    for name, layer in lora.layers(model):
        base_weight = layer.base_layer.weight
        assert torch.equal(base_weight, quantised.get_submodule(name).weight)
        lost = original.get_submodule(name).weight - base_weight
        left = lost - SCALE * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        assert left.norm().item() <= (lost - best(lost, RANK)).norm().item() * 1.001
        assert left.norm() < lost.norm()


def test_loftq_is_refused_on_a_base_that_is_not_quantised(tiny_llama):
    with pytest.raises(InvalidInput, match="not quantised") as caught:
        attached(tiny_llama, "loftq", "bf16")
    assert caught.value.reason == "NOTHING_TO_COMPENSATE"


def test_packed_weights_give_the_same_start_as_dequantised_ones(tiny_llama):
    values = []
    for keep in (True, False):
        model, settings = base.load_to_tune(tiny_llama, torch.float32), methods.Settings("loftq", rank=RANK)
        original = methods.to_compensate(model, settings)
        base.quantize_linears(model, "nf4", keep_dequantized=keep)
        adapted = methods.attach(model, settings, original)
        values.append([parameter.clone() for parameter in methods.trainable_parameters(adapted)])
    torch.testing.assert_close(*values, rtol=0, atol=0)

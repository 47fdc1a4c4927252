import math

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from honed.quantize import Nf4, relative_error

# The 16 levels of NF4: Dettmers et al. 2023 (arXiv 2305.14314), appendix E.
LEVELS = torch.tensor(
    [
        -1.0,
        -0.6961928009986877,
        -0.5250730514526367,
        -0.39491748809814453,
        -0.28444138169288635,
        -0.18477343022823334,
        -0.09105003625154495,
        0.0,
        0.07958029955625534,
        0.16093020141124725,
        0.24611230194568634,
        0.33791524171829224,
        0.44070982933044434,
        0.5626170039176941,
        0.7229568362236023,
        1.0,
    ]
)
BLOCK = 64


def weight(*shape, dtype=torch.float32, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 5, 64])
def test_the_product_with_the_dequantised_weight_is_that_of_bitsandbytes_bit_for_bit(dtype, rows):
    original, x = weight(96, 128, dtype=dtype), weight(rows, 128, dtype=dtype, seed=1)
    layer = Linear4bit(128, 96, bias=False, compute_dtype=dtype, quant_type="nf4", compress_statistics=True)
    layer.load_state_dict({"weight": original})
    layer.requires_grad_(False)
    layer.to("cpu")
    assert layer.weight.quant_state is not None
    ours = torch.nn.functional.linear(x, Nf4.quantize(original).dequantize())
    torch.testing.assert_close(layer(x), ours, rtol=0, atol=0)


def test_every_value_goes_to_the_nearest_level_of_its_block():
    original = weight(16, 256)
    blocks = original.reshape(-1, BLOCK)
    scales = blocks.abs().amax(dim=1, keepdim=True)
    nearest = (blocks[:, :, None] / scales[:, :, None] - LEVELS).abs().argmin(dim=-1)
    packed = Nf4.quantize(original).packed.reshape(-1)
    codes = torch.stack([packed >> 4, packed & 15], dim=1).reshape(-1, BLOCK)
    assert torch.equal(codes.long(), nearest)
    # The scales are stored in 8 bits, of a format whose steps are below 4 % of the value, and shifted by their mean.
    found = Nf4.quantize(original).dequantize().reshape(-1, BLOCK)
    error = (found - LEVELS[nearest] * scales).abs().amax(dim=1)
    assert (error <= 0.04 * scales[:, 0]).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(64,), (8, 24), (3, 5, 64)])
def test_shape_and_dtype_survive(shape, dtype):
    restored = Nf4.quantize(weight(*shape, dtype=dtype)).dequantize()
    assert (restored.shape, restored.dtype) == (torch.Size(shape), dtype)


def test_a_normal_weight_loses_about_a_tenth():
    # 16 levels at the quantiles of a normal distribution, blocks of 64: QLoRA's setting; 9 % for a normal weight.
    original = weight(256, 256)
    assert 0.08 < relative_error(original, Nf4.quantize(original).dequantize()) < 0.105


def test_the_bytes_are_the_same_for_the_same_weight_and_for_no_other():
    original = weight(32, 64)
    quantised = Nf4.quantize(original).to_bytes()
    assert quantised == Nf4.quantize(original.clone()).to_bytes()
    scaled = Nf4.quantize(original * 2)  # the codes stay, the scales do not
    assert torch.equal(scaled.packed, Nf4.quantize(original).packed)
    assert scaled.to_bytes() != quantised
    assert Nf4.quantize(-original).to_bytes() != quantised


def test_the_relative_error_is_the_norm_of_the_difference_over_the_norm():
    exact, other = torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor([[3.0, 1.0], [2.0, 4.0]])
    assert relative_error(exact, other) == pytest.approx(math.sqrt(5) / 5, rel=1e-6)
    assert relative_error(exact, exact) == 0
    assert relative_error(exact, torch.zeros(2, 2)) == 1


def test_the_relative_error_of_half_precision_is_summed_in_float32():
    exact = torch.full((1000,), 200.0, dtype=torch.float16)  # squares overflow float16
    assert relative_error(exact, exact * 0.5) == pytest.approx(0.5, rel=1e-6)

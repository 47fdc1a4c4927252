"""The tuning loop on a CUDA device: packed NF4 weights, bitsandbytes' own kernels."""

import math

import pytest
import torch
from helpers.tiny_model import make_tiny_model
from honed.data import TokenizedExample
from honed.tune import base, methods
from honed.tune.loop import LoopSettings, run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

ROWS = [TokenizedExample(tuple(range(3, 20 + place)), (5, 7, 2)) for place in range(8)]


@pytest.mark.parametrize("precision", ["nf4", "bf16"])
def test_tuning_on_cuda_lowers_the_loss_on_packed_weights(tmp_path, precision):
    make_tiny_model(tmp_path)
    model = base.load(tmp_path, torch.bfloat16)
    base.quantize_linears(model, precision, keep_dequantized=base.has_room_for_dequantized())
    adapted = methods.attach(model, methods.Settings("lora", rank=4, alpha=8, dropout=0.0, seed=0))
    settings = LoopSettings(5e-3, 10, None, 4, 0.0, 1.0, 0.0, 0)
    steps = list(run(adapted, ROWS, [], settings))
    assert next(model.parameters()).is_cuda
    packed = [module for module in model.modules() if type(module).__name__ == "Linear4bit"]
    assert bool(packed) == (precision == "nf4")
    assert all(math.isfinite(step.loss) for step in steps)
    assert steps[-1].loss < steps[0].loss

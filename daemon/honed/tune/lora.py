"""Low-rank adapters on all linear layers but the head (Hu et al. 2021, arXiv 2106.09685; QLoRA: Dettmers et al. 2023).

    y = W x + (alpha / r) · B A x        W [out, in] frozen, A [r, in], B [out, r], B starts at zero

PEFT builds, saves and loads them. Their forward is ours: PEFT casts the input to the adapter's float32 and back in
every layer; here the float32 parameters are cast to the input's dtype, which the matrix units are fast in
(docs/decisions.md has the figures).
"""

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

_ADAPTER = "default"


def attach(model: PreTrainedModel, rank: int, alpha: float, dropout: float, seed: int) -> PeftModel:
    """Adds fresh adapters; their parameters are float32 and the only ones that train."""
    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # pyright: ignore[reportArgumentType] - PEFT takes any number, its annotation says int
        lora_dropout=dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM" if model.can_generate() else "FEATURE_EXTRACTION",
    )
    return _with_our_forward(get_peft_model(model, config))


def load(model: PreTrainedModel, folder: Path) -> PeftModel:
    """Attaches saved adapters, frozen."""
    return _with_our_forward(PeftModel.from_pretrained(model, str(folder), is_trainable=False))


def save(model: PeftModel, folder: Path, base_digest: str) -> None:
    """Writes adapter_model.safetensors and adapter_config.json; the base is named by its digest, never by a path."""
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    config_file = folder / "adapter_config.json"
    config: dict[str, Any] = json.loads(config_file.read_text("utf-8"))
    config["base_model_name_or_path"] = f"sha256:{base_digest}"
    config["target_modules"] = sorted(config["target_modules"])  # a set of PEFT's: the same adapter, the same bytes
    config_file.write_text(json.dumps(config, indent=1, sort_keys=True), "utf-8")


def trainable_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Parameters that train."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _with_our_forward(model: PeftModel) -> PeftModel:
    for layer in model.modules():
        if isinstance(layer, LoraLayer):
            layer.forward = _Forward(layer)  # pyright: ignore[reportAttributeAccessIssue] - a method is replaced
    return model


class _Forward:
    """The forward of one adapted layer."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer

    def __call__(self, x: Tensor) -> Tensor:
        layer = self._layer
        y = layer.base_layer(x)
        if layer.disable_adapters:
            return y
        a, b = layer.lora_A[_ADAPTER].weight.to(x.dtype), layer.lora_B[_ADAPTER].weight
        scaled_b = (b * layer.scaling[_ADAPTER]).to(x.dtype)
        return y + functional.linear(functional.linear(layer.lora_dropout[_ADAPTER](x), a), scaled_b)

"""The frozen base: loaded from an imported folder, its linear layers put into the number format to tune against."""

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import torch
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from honed.architectures import ENCODERS
from honed.quantize import Nf4, nf4
from honed.tune import attention
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

Precision = Literal["nf4", "bf16"]

_CPU_INFO = Path("/proc/cpuinfo")
_BFLOAT16_UNITS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # x86: Cooper Lake, Sapphire Rapids, Zen 4; Arm


def device() -> torch.device:
    """The device to tune on: CUDA where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def compute_dtype() -> torch.dtype:
    """bfloat16 where the device multiplies it in hardware, else float32.

    A CPU without such units emulates bfloat16 at a tenth to a hundredth of its float32 speed (docs/benchmarks.md).
    """
    if device().type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = has_bfloat16_units(_CPU_INFO.read_text("utf-8") if _CPU_INFO.exists() else "")
    return torch.bfloat16 if native else torch.float32


def name(dtype: torch.dtype) -> str:
    """ "bfloat16" for torch.bfloat16."""
    return str(dtype).removeprefix("torch.")


def has_bfloat16_units(cpu_info: str) -> bool:
    """Whether the text of /proc/cpuinfo names instructions that multiply bfloat16."""
    flags = next((line for line in cpu_info.splitlines() if line.lower().startswith(("flags", "features"))), "")
    return not _BFLOAT16_UNITS.isdisjoint(flags.split())


def load(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """The model of an imported folder, all weights in `dtype`, frozen, in evaluation mode: a causal language model, or
    an encoder, without the layer behind [CLS] that its own pooling would be."""
    family, options = _family(AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False))
    model: Any = family.from_pretrained(
        folder,
        dtype=dtype,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        **options,
    )
    return model.to(device()).eval().requires_grad_(False)


def outline(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """As `load`, on the meta device: every shape, no data."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    family, options = _family(config)
    with torch.device("meta"):
        return family.from_config(config, dtype=dtype, **options).requires_grad_(False)


def _family(config: PretrainedConfig) -> tuple[Any, dict[str, Any]]:
    """What builds a model of this configuration, and with which options."""
    if is_encoder(config):
        return AutoModel, {"attn_implementation": "sdpa", "add_pooling_layer": False}
    return AutoModelForCausalLM, {"attn_implementation": attention.NAME}


def is_encoder(config: PretrainedConfig) -> bool:
    """Whether a model of this configuration reads texts and writes none."""
    return config.model_type in ENCODERS


def load_to_tune(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """As `load`, its weights rounded to bfloat16 whatever they are computed in: the same model on every machine."""
    model: Any = load(folder, torch.bfloat16)
    return model if dtype == torch.bfloat16 else model.to(dtype)  # `to` would round the rotary frequencies


def quantize_linears(model: PreTrainedModel, precision: Precision, *, keep_dequantized: bool) -> str:
    """Puts every linear layer but the head into `precision`, in place, and returns the digest of the quantised tensors.

    NF4 layers hold the packed weights and dequantise in every product, as QLoRA does; with `keep_dequantized` they
    hold what the dequantising gives instead: the same products bit for bit, at 4 times the memory of the layer (8
    times, in float32) and without its time.
    """
    digest = hashlib.sha256()
    if precision == "bf16":
        digest.update(f"torch {metadata.version('torch')} bfloat16".encode())
    else:
        digest.update(nf4.version().encode())
    for name, layer in list(model.named_modules()):
        if not isinstance(layer, nn.Linear) or layer is model.get_output_embeddings():
            continue
        digest.update(name.encode())
        weight = layer.weight.detach().bfloat16()
        if precision == "bf16":
            digest.update(weight.cpu().view(torch.uint8).numpy().tobytes())
            continue
        quantised = Nf4.quantize(weight)
        digest.update(quantised.to_bytes())
        if keep_dequantized:
            layer.weight.copy_(quantised.dequantize())  # in place, so that there are not two of it
        else:
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, _linear4bit(layer))
    return digest.hexdigest()


def has_room_for_dequantized() -> bool:
    """Whether the weights may be kept dequantised: on a CPU they were just loaded whole, so they fit; a GPU's memory is
    what NF4 is there to save."""
    return device().type == "cpu"


def _linear4bit(layer: nn.Linear) -> nn.Module:
    replacement = Linear4bit(
        layer.in_features,
        layer.out_features,
        bias=layer.bias is not None,
        compute_dtype=layer.weight.dtype,
        quant_type="nf4",
        compress_statistics=True,
        device="meta",
    )
    packed: Any = Params4bit  # its options come through __new__, which pyright does not see
    # Quantised from bfloat16, dequantised to it: the weights that `keep_dequantized` keeps.
    weight = layer.weight.data.bfloat16()
    replacement.weight = packed(weight, requires_grad=False, quant_type="nf4", compress_statistics=True)
    replacement.bias = layer.bias
    return replacement.to(layer.weight.device)

"""Rotations of a layer's inputs, block by block (OFT: Qiu et al. 2023, arXiv 2306.07280; applied to inputs as in OFTv2,
Qiu et al. 2025, arXiv 2506.19847).

    y = W R x        R [in, in] of orthogonal blocks [b, b], each (I + Q)(I − Q)⁻¹, Q skew-symmetric and zero at first

By PEFT, which sums the first five terms of (I − Q)⁻¹'s series (Cayley–Neumann).
"""

from honed.errors import InvalidInput
from honed.tune.methods.settings import Settings
from honed.tune.methods.targets import targets
from peft import OFTConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel


def check(model: PreTrainedModel, settings: Settings) -> None:
    """Raises InvalidInput if a pattern matches nothing, or the blocks do not fill a layer's inputs."""
    for name, layer in targets(model, settings.target_modules).items():
        if layer.in_features % settings.block_size:
            raise InvalidInput(
                f"block_size: {settings.block_size} does not divide the {layer.in_features} inputs of {name}; give a "
                "divisor of all layers' inputs, such as 32, or target_modules without this layer.",
                reason="BLOCK_SIZE_UNFIT",
                layer=name,
                width=layer.in_features,
            )


def attach(model: PreTrainedModel, settings: Settings) -> PeftModel:
    """Adds rotations by nothing."""
    config = OFTConfig(
        oft_block_size=settings.block_size,
        target_modules=list(targets(model, settings.target_modules)),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)

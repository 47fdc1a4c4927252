"""Merging adapters into their base: the weights that the merged export is made from. Knows torch; how a method is
merged stands with the method, in PEFT or in honed.tune."""

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

# What a Hugging Face folder has besides weights and config.json.
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json")


def merge(model: Any) -> PreTrainedModel:
    """The weights that do what the tuned model does, such as W + (alpha / r) · B A for LoRA, computed in its dtype.

    Args:
        model: as `honed.tune.methods.load` gives it, of a method that can be merged.

    Raises:
        ValueError: a weight would not be finite.
    """
    merged: Any = model.merge_and_unload(safe_merge=True)  # safe: non-finite weights are refused
    return merged


def save_checkpoint(model: PreTrainedModel, base_folder: Path, folder: Path) -> None:
    """Writes a Hugging Face folder: the model's weights in their dtype, the base's tokenizer and settings."""
    model.save_pretrained(str(folder))
    for name in (*TOKENIZER_FILES, "generation_config.json"):
        if (base_folder / name).exists():
            shutil.copyfile(base_folder / name, folder / name)
    config_file = folder / "config.json"
    config: dict[str, Any] = json.loads(config_file.read_text("utf-8"))
    config.pop("_name_or_path", None)
    config_file.write_text(json.dumps(config, indent=1, sort_keys=True), "utf-8")

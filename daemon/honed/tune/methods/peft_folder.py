"""Adapters of PEFT on disk: adapter_model.safetensors and adapter_config.json."""

import json
from pathlib import Path
from typing import Any

from peft import PeftConfig, PeftModel
from transformers import PreTrainedModel

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
_BASE = "base_model_name_or_path"
_SETS = ("target_modules", "feedforward_modules")  # of PEFT's: in no order


def save(model: PeftModel, folder: Path, method: str, base_digest: str) -> None:
    """Writes both files: the same adapter, the same bytes. The base is named by its digest, never by a path."""
    model.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    config: dict[str, Any] = json.loads((folder / CONFIG_FILE).read_text("utf-8"))
    for name in _SETS:
        if isinstance(config.get(name), list):
            config[name] = sorted(config[name])
    write_config(folder, config, method, base_digest)


def load(model: PreTrainedModel, folder: Path) -> PeftModel:
    """Attaches a saved adapter."""
    values = read_config(folder)
    del values["method"]
    config = PeftConfig.from_peft_type(**values)
    return PeftModel.from_pretrained(model, str(folder), is_trainable=False, config=config)


def write_config(folder: Path, config: dict[str, Any], method: str, base_digest: str) -> None:
    """Writes adapter_config.json with the method and the base's digest in it."""
    whole = config | {"method": method, _BASE: f"sha256:{base_digest}"}
    (folder / CONFIG_FILE).write_text(json.dumps(whole, indent=1, sort_keys=True), "utf-8")


def read_config(folder: Path) -> dict[str, Any]:
    """Reads adapter_config.json; `method` says what made it."""
    return json.loads((folder / CONFIG_FILE).read_text("utf-8"))

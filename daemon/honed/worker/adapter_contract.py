"""The contract of an adapter: digests of what it was trained with, kept beside it and checked before it is used."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Self

from honed import manifest
from honed.data import Renderer
from honed.errors import WrongState

CONTRACT_FILE = "contract.json"


@dataclass(frozen=True)
class Contract:
    """SHA-256 digests, and the number format they hold for; see honed.v1.Contract."""

    base_precision: Literal["nf4", "bf16"]
    weights: str
    quantised_weights: str
    tokenizer: str
    chat_template: str
    mask_rule: str

    @classmethod
    def of(
        cls, model_folder: Path, precision: Literal["nf4", "bf16"], quantised_weights: str, renderer: Renderer
    ) -> Self:
        """The contract in force for a base as it is loaded now."""
        return cls(precision, weights_digest(model_folder), quantised_weights, **renderer.digests())

    def save(self, folder: Path) -> None:
        (folder / CONTRACT_FILE).write_text(json.dumps(asdict(self), indent=1), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        return cls(**json.loads((folder / CONTRACT_FILE).read_text("utf-8")))

    def require(self, found: "Contract") -> None:
        """Raises WrongState if what is loaded now differs from what the adapter was trained with."""
        ours, theirs = asdict(self), asdict(found)
        for name, expected in ours.items():
            if theirs[name] != expected:
                raise WrongState(
                    f"The adapter was trained with another {name.replace('_', ' ')}: expected {expected}, "
                    f"found {theirs[name]}. Tune again, or install the versions that it was tuned with.",
                    reason="CONTRACT_MISMATCH",
                    part=name,
                    expected=expected,
                    found=theirs[name],
                )


def weights_digest(model_folder: Path) -> str:
    """SHA-256 over the digests of the weight files, as the model's manifest records them."""
    files: dict[str, str] = json.loads((model_folder / manifest.MANIFEST_FILE).read_text("utf-8"))["files"]
    weights = {name: digest for name, digest in files.items() if name.endswith(".safetensors")}
    return manifest.Manifest(weights, 0).digest

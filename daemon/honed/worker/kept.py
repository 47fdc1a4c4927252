"""What a tune job had done before its first step, kept beside its checkpoints for the attempts to come."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from honed import durable
from honed.data import Example

_FILE = "before.json"


@dataclass(frozen=True)
class Kept:
    """The changed copies of rows, each with its kind, and what the base answered (see Evaluation.kept)."""

    added: Sequence[tuple[str, Example]]
    evaluation: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Writes it whole or not at all."""
        folder.mkdir(exist_ok=True)
        added = [(kind, example.to_json()) for kind, example in self.added]
        durable.write(folder / _FILE, json.dumps({"added": added, "evaluation": self.evaluation}))

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """What an earlier attempt wrote, if there was one."""
        try:
            whole = json.loads((folder / _FILE).read_text("utf-8"))
        except FileNotFoundError:
            return None
        return cls([(kind, Example.from_json(example)) for kind, example in whole["added"]], whole["evaluation"])

"""The instruction that an adapter was tuned with, carried from the data set to what is served, beside the weights."""

import json
from collections.abc import Sequence
from pathlib import Path

from honed.data.messages import Message

INSTRUCTION_FILE = "instruction.json"


def save_instruction(folder: Path, instruction: str) -> None:
    """Writes instruction.json."""
    (folder / INSTRUCTION_FILE).write_text(json.dumps({"instruction": instruction}), "utf-8")


def load_instruction(folder: Path) -> str:
    """The instruction of an adapter or export; empty if it was tuned without one, or not tuned."""
    file = folder / INSTRUCTION_FILE
    return json.loads(file.read_text("utf-8"))["instruction"] if file.exists() else ""


def as_trained(messages: Sequence[Message], instruction: str) -> tuple[Message, ...]:
    """A conversation with the instruction in front, unless it brings a system message of its own."""
    if not instruction or messages[0].role == "system":
        return tuple(messages)
    return (Message("system", instruction), *messages)

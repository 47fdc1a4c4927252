"""What previews show of rows, and what the tiny model's chat template writes for them."""

from helpers.tiny_model import END_OF_TURN
from honed.client import Client
from honed.v1.datasets_pb2 import Dataset


def shown(client: Client, dataset: Dataset) -> tuple[str, str]:
    """The first training row: all of its text, and the part under the loss."""
    tokens = client.preview_dataset(dataset.name, "tiny", rows=1).rows[0].tokens
    return "".join(token.text for token in tokens), "".join(token.text for token in tokens if token.trained)


def chatml(*turns: tuple[str, str]) -> str:
    """What the tiny model's chat template writes, up to the last end of turn."""
    return "\n".join(f"<|im_start|>{role}\n{content}{END_OF_TURN}" for role, content in turns)

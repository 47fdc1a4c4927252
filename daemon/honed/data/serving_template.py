"""What an adapter was tuned with, carried from the data set to what is served, beside the weights."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from honed.data.bound_template import BoundTemplate
from honed.data.messages import Message
from honed.errors import InvalidInput

TEMPLATE_FILE = "template.json"


@dataclass(frozen=True)
class ServingTemplate:
    """How a request becomes the prompt that a training row would have been.

    Attributes:
        template: None where the rows were conversations or bare text, or nothing was tuned.
    """

    template: BoundTemplate | None = None

    def save(self, folder: Path) -> None:
        """Writes template.json."""
        template = None if self.template is None else self.template.to_json()
        (folder / TEMPLATE_FILE).write_text(json.dumps(template, ensure_ascii=False), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """That of an adapter or export; an empty one where there is no file."""
        file = folder / TEMPLATE_FILE
        if not file.exists():
            return cls()
        template = json.loads(file.read_text("utf-8"))
        return cls(None if template is None else BoundTemplate.from_json(template))

    def chat(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """A conversation with the template's instruction in front, unless it brings a system message of its own."""
        instruction = self.template.instruction if self.template else ""
        if not instruction or messages[0].role == "system":
            return tuple(messages)
        return (Message("system", instruction), *messages)

    def row(self, slots: Mapping[str, str]) -> tuple[Message, ...]:
        """The prompt of a row, given as `BoundTemplate.prompt` takes it.

        Raises:
            InvalidInput: reason TEMPLATE_MISSING or ROW_INVALID.
        """
        if self.template is None:
            raise InvalidInput(
                "This model was not tuned with a template, so a row has no slots to fill. Send chat or prompt instead.",
                reason="TEMPLATE_MISSING",
                violations=(("row", "the model has no template; expected chat or prompt"),),
            )
        return self.template.prompt(slots)

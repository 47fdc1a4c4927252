"""What a model is asked and what it should answer, before any tokenizer: pure data, no I/O."""

from dataclasses import dataclass, field
from typing import Any, Literal, Self

Role = Literal["system", "user", "assistant"]
Task = Literal["classify", "extract", "generate", "text"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Attributes:
        weight: of an assistant's turn inside a training example: by how much each of its tokens counts in the loss; 0
            leaves it out.
    """

    role: Role
    content: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt and the reply to learn (or to expect).

    Attributes:
        messages: the prompt; the last message is the user's. Empty for bare text, all of which is learned.
        reply: the assistant's answer, without any end-of-turn token; of bare text, the text.
        references: further replies that are as good, for evaluation.
        rejected: of a preference pair, the reply that was not chosen.
        row: number in the uploaded table: "17", or "test 17" of a separate test table.
        columns: values by which an evaluation may be sliced.
        weight: by how much each token of the reply counts in the loss; above 0.
    """

    messages: tuple[Message, ...]
    reply: str
    references: tuple[str, ...] = ()
    rejected: str = ""
    row: str = ""
    columns: dict[str, str] = field(default_factory=dict[str, str])
    weight: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """Short keys, and only what is there: a data set has millions of these."""
        turns = [
            [turn.role, turn.content] if turn.weight == 1 else [turn.role, turn.content, turn.weight]
            for turn in self.messages
        ]
        extra = {
            "references": self.references,
            "rejected": self.rejected,
            "row": self.row,
            "columns": self.columns,
        }
        weight = {} if self.weight == 1 else {"weight": self.weight}
        return {"messages": turns, "reply": self.reply} | weight | {name: each for name, each in extra.items() if each}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        turns = tuple(Message(*turn) for turn in value["messages"])
        return cls(
            turns,
            value["reply"],
            tuple(value.get("references", ())),
            value.get("rejected", ""),
            value.get("row", ""),
            value.get("columns", {}),
            value.get("weight", 1.0),
        )

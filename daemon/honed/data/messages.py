"""What a model is asked and what it should answer, before any tokenizer: pure data, no I/O."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt and the reply to learn (or to expect).

    Attributes:
        messages: the prompt; the last message is the user's.
        reply: the assistant's answer, without any end-of-turn token.
    """

    messages: tuple[Message, ...]
    reply: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        return cls(tuple(Message(**message) for message in value["messages"]), value["reply"])

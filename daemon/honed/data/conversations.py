"""ShareGPT and OpenAI conversations to messages; knows no chat template."""

from typing import Literal

from honed.data.messages import Message, Role
from honed.data.problems import BadRow
from honed.data.records import Record, Value, kind

_SHAREGPT_ROLES: dict[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}
_OPENAI_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
_CALLS = ("tool_calls", "function_call")
MAX_MESSAGES = 1000
MIN_WEIGHT, MAX_WEIGHT = 0.001, 100


def conversation(record: Record, shape: Literal["sharegpt", "messages"]) -> list[Message]:
    """The messages of a row, the first a system's or a user's, the last an assistant's; outer white space stripped.

    Of the column "conversations" (a list of {"from", "value"}) or "messages" (a list of {"role", "content"}, an
    assistant's with a "weight" by which its tokens count in the loss). What OpenAI writes as parts of type "text" is
    joined.

    Raises:
        BadRow: a value has the wrong type, is missing or empty, a role is unknown or out of turn, no assistant's
            message is trained, or there are too many.
    """
    column = "conversations" if shape == "sharegpt" else "messages"
    turns = record.values.get(column)
    if turns is None:
        raise BadRow(f"{column!r} is missing")
    if not isinstance(turns, list):
        raise BadRow(f"{column!r} must be a list of messages, found {kind(turns)}")
    if len(turns) > MAX_MESSAGES:
        raise BadRow(f"{column!r} holds {len(turns):,} messages; make several rows of at most {MAX_MESSAGES:,}")
    read = _sharegpt_message if shape == "sharegpt" else _openai_message
    messages: list[Message] = []
    for number, turn in enumerate(turns, 1):
        try:
            if not isinstance(turn, dict):
                raise BadRow(f"expected an object, found {kind(turn)}")
            message = read(turn)
            _check_turn(message.role, messages[-1].role if messages else None)
        except BadRow as bad:
            raise BadRow(f"message {number} of {column!r}: {bad.reason}") from None
        messages.append(message)
    _check_end(messages, column)
    return messages


def _sharegpt_message(turn: dict[str, Value]) -> Message:
    role = _role(turn, "from", _SHAREGPT_ROLES)
    return Message(role, _content(turn, "value"))


def _openai_message(turn: dict[str, Value]) -> Message:
    role = _role(turn, "role", _OPENAI_ROLES)
    for key in _CALLS:
        if turn.get(key):
            raise BadRow(f"{key!r} cannot be learned; expected text in 'content' alone")
    weight = turn.get("weight")
    if weight is None:  # as Parquet pads every message
        return Message(role, _content(turn, "content"))
    # true and false are no weights, though Python takes them for 1 and 0.
    number = weight if isinstance(weight, int | float) and not isinstance(weight, bool) else -1
    if number != 0 and not MIN_WEIGHT <= number <= MAX_WEIGHT:
        raise BadRow(f"'weight' must be 0 or a number from {MIN_WEIGHT} to {MAX_WEIGHT}, found {weight!r:.100}")
    if number and role != "assistant":
        raise BadRow(f"'weight' is {weight!r}, but only an assistant's message can be learned")
    return Message(role, _content(turn, "content"), float(number))


def _role(turn: dict[str, Value], key: str, roles: dict[str, Role]) -> Role:
    name = turn.get(key)
    if name is None:
        raise BadRow(f"{key!r} is missing")
    role = roles.get(name) if isinstance(name, str) else None
    if role is None:
        raise BadRow(f"the role {name!r:.100} is unknown; expected {', '.join(roles)}")
    return role


def _content(turn: dict[str, Value], key: str) -> str:
    value = turn.get(key)
    if value is None:
        raise BadRow(f"{key!r} is missing")
    if isinstance(value, list):
        value = "".join(_part(part, key) for part in value)
    if not isinstance(value, str):
        raise BadRow(f"{key!r} must be text, found {kind(value)}")
    if not value.strip():
        raise BadRow(f"{key!r} is empty")
    return value.strip()


def _part(part: Value, key: str) -> str:
    if not isinstance(part, dict) or part.get("type") != "text":
        found = f"the type {part.get('type')!r:.100}" if isinstance(part, dict) else kind(part)
        raise BadRow(f"a part of {key!r} must be of type 'text', found {found}")
    text = part.get("text")
    if not isinstance(text, str):
        raise BadRow(f"'text' in a part of {key!r} must be text, found {kind(text)}")
    return text


def _check_turn(role: Role, before: Role | None) -> None:
    allowed = {
        None: ("system", "user"),
        "system": ("user",),
        "user": ("assistant",),
        "assistant": ("user",),
    }[before]
    if role not in allowed:
        after = f"after the {before}'s" if before else "at the beginning"
        raise BadRow(f"a message of the {role} {after}; expected one of the {' or '.join(allowed)}")


def _check_end(messages: list[Message], column: str) -> None:
    if not messages:
        raise BadRow(f"{column!r} is empty")
    if messages[-1].role != "assistant":
        raise BadRow(f"{column!r} ends with a message of the {messages[-1].role}; expected the assistant's reply last")
    if not any(message.weight for message in messages if message.role == "assistant"):
        raise BadRow("all of its labels are masked: every message of the assistant has 'weight' 0")

"""Prompt–instruction templates: rows of a table to examples, and examples to the prompts a base model is given.

A tuned model sees the short prompt of `Template.example`. A base model that was never told the labels gets them listed
(`zero_shot`), and worked examples besides (`few_shot`), so that the baseline is a fair one.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from honed.data.messages import Example, Message

CLASSIFY_INSTRUCTION = "Classify the message."


@dataclass(frozen=True)
class Template:
    """How a row becomes an example.

    Attributes:
        prompt_column: column of the user's message.
        reply_column: column of the reply.
        instruction: system message; empty for none.
        labelled: True if the reply is one of a closed set of labels.
    """

    prompt_column: str
    reply_column: str
    instruction: str
    labelled: bool

    def example(self, values: dict[str, str]) -> Example:
        """The example of one row."""
        return Example(
            (*_system(self.instruction), Message("user", values[self.prompt_column])), values[self.reply_column]
        )

    def zero_shot(self, example: Example, labels: Sequence[str]) -> tuple[Message, ...]:
        """The prompt for a base model: the task and, for a labelled table, all labels."""
        return self.few_shot(example, labels, ())

    def few_shot(self, example: Example, labels: Sequence[str], shots: Sequence[Example]) -> tuple[Message, ...]:
        """The zero-shot prompt with worked examples as earlier turns."""
        instruction = self.instruction
        if self.labelled:
            listed = ", ".join(labels)
            task = f"Answer with exactly one of these labels and nothing else: {listed}."
            instruction = f"{instruction} {task}" if instruction else task
        turns = [turn for shot in shots for turn in (shot.messages[-1], Message("assistant", shot.reply))]
        return (*_system(instruction), *turns, example.messages[-1])

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        return cls(**value)


def choose_shots(train: Sequence[Example], labelled: bool, count: int) -> list[Example]:
    """`count` training examples to show: label by label in turn for a labelled table, else the first ones.

    Test rows are never among them: they are not in `train`.
    """
    if not labelled:
        return list(train[:count])
    by_label: dict[str, list[Example]] = {}
    for example in train:
        by_label.setdefault(example.reply, []).append(example)
    shots: list[Example] = []
    depth = 0
    while len(shots) < min(count, len(train)):
        shots += [by_label[label][depth] for label in sorted(by_label) if depth < len(by_label[label])]
        depth += 1
    return shots[:count]


def _system(instruction: str) -> tuple[Message, ...]:
    return (Message("system", instruction),) if instruction else ()

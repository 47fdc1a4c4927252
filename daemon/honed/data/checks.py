"""What is noted of every row while a table streams by: keys, lengths and oddities, never its text.

About 60 bytes a row are kept, and 128 more for the search for near duplicates. `honed.data.findings` says what it
means.
"""

import re
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from honed.data.lengths import Lengths
from honed.data.messages import Example
from honed.data.near_duplicates import NearDuplicates
from honed.data.splits import Keys, Labels, text_key

MAX_NEAR_DUPLICATE_ROWS = 100_000
MAX_SLICE_VALUES = 50
_MAX_VALUE_CHARACTERS = 200

# UTF-8 once read as Latin-1 or Windows-1252 and written again, and characters lost to a wrong decoder.
_MOJIBAKE = re.compile("\u00c3[\u0080-\u00bf\u0192\u0160\u2026\u2018-\u201e]|\u00e2\u20ac|\u00c2[\u00a0-\u00bf]|\ufffd")
# Controls but tab and line ends; zero-width and direction marks, which hide or reorder what people read.
_CONTROLS = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufeff]")
_STRANGE = re.compile(f"{_MOJIBAKE.pattern}|{_CONTROLS.pattern}")


@dataclass
class Column:
    """What is noted of one column: its values while they are few."""

    values: set[str] = field(default_factory=set[str])

    def add(self, value: str) -> None:
        if len(self.values) <= MAX_SLICE_VALUES:
            self.values.add(value)

    @property
    def sliceable(self) -> bool:
        """Whether an evaluation may be sliced by it."""
        return 2 <= len(self.values) <= MAX_SLICE_VALUES and max(map(len, self.values)) <= _MAX_VALUE_CHARACTERS


class Checks:
    """Takes rows in the order of the table, those of the training table first.

    Attributes:
        prompts: keys of what is asked, the system message included; of bare text, of the text.
        pairs: keys of prompt and reply together.
        groups: keys of what must stay on one side of the split.
        labels: the labels in the order in which they came; empty unless rows are labelled.
        label_ids: place of each row's label in `labels`.
        characters: length of prompt and reply.
        tokens: length in tokens, if a model is known.
        trained_tokens: tokens under the loss, likewise.
        columns: what was noted of each column.
        mojibake, controls: rows with strange characters.
        near: the search for near duplicates.
    """

    def __init__(self) -> None:
        self.prompts = array("Q")
        self.pairs = array("Q")
        self.groups = array("Q")
        self.labels: list[str] = []
        self.label_ids = array("i")
        self.characters = Lengths()
        self.tokens = Lengths()
        self.trained_tokens = Lengths()
        self.columns: dict[str, Column] = {}
        self.mojibake: list[int] = []
        self.controls: list[int] = []
        self.near = NearDuplicates()
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.prompts)

    def add(self, examples: Sequence[Example], groups: Sequence[str | None], *, labelled: bool) -> None:
        """Notes rows; `groups` names the group of each, None being that of its prompt."""
        prompts = [_asked(example) for example in examples]
        if len(self) < MAX_NEAR_DUPLICATE_ROWS:
            self.near.add(prompts)
        for example, prompt, group in zip(examples, prompts, groups, strict=True):
            reply = example.reply
            key = text_key(prompt)
            system = _system(example)
            self.prompts.append(text_key(f"{system}\0{prompt}") if system else key)
            self.pairs.append(text_key(f"{system}\0{prompt}\0{reply}"))
            self.groups.append(key if group is None else text_key(f"\0{group}"))
            self.characters.values.append(len(prompt) + (len(reply) if example.messages else 0))
            if labelled:
                number = self._numbers.setdefault(reply, len(self._numbers))
                if number == len(self.labels):
                    self.labels.append(reply)
                self.label_ids.append(number)
            if not (prompt.isascii() and reply.isascii() and prompt.isprintable() and reply.isprintable()):
                self._note_strange(f"{prompt}\n{reply}")

    def label_array(self) -> Labels:
        """[N] numbers of the labels; zeros where there are none."""
        return np.frombuffer(self.label_ids, np.int32) if self.labels else np.zeros(len(self), np.int32)

    def key_arrays(self) -> tuple[Keys, Keys, Keys]:
        """[N] keys of prompts, of pairs and of groups."""
        prompts, pairs, groups = (np.frombuffer(keys, np.uint64) for keys in (self.prompts, self.pairs, self.groups))
        return prompts, pairs, groups

    def _note_strange(self, text: str) -> None:
        if _STRANGE.search(text):
            (self.mojibake if _MOJIBAKE.search(text) else self.controls).append(len(self) - 1)


def _system(example: Example) -> str:
    return example.messages[0].content if example.messages and example.messages[0].role == "system" else ""


def _asked(example: Example) -> str:
    """A row's turns but the system message, or bare text itself."""
    if not example.messages:
        return example.reply
    turns = [message.content for message in example.messages if message.role != "system"]
    return turns[0] if len(turns) == 1 else "\0".join(turns)

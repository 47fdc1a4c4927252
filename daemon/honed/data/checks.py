"""What is noted of every row while a table streams by: keys, lengths and oddities, never its text.

About 32 bytes a row are kept, and 132 more of each row that the search for near duplicates compares. What it means,
`honed.data.findings` says.
"""

import re
from array import array
from collections.abc import Sequence

import numpy as np
from honed.data.lengths import Lengths
from honed.data.messages import Example
from honed.data.near_duplicates import NearDuplicates
from honed.data.splits import Keys, Labels, text_key

MAX_NEAR_DUPLICATE_ROWS = 100_000  # of each table
_64_BITS = 2**64 - 1

# UTF-8 once read as Latin-1 or Windows-1252 and written again, and characters lost to a wrong decoder.
_MOJIBAKE = re.compile("\u00c3[\u0080-\u00bf\u0192\u0160\u2026\u2018-\u201e]|\u00e2\u20ac|\u00c2[\u00a0-\u00bf]|\ufffd")
# Controls but tab and line ends; zero-width and direction marks, invisible operators and tags, which hide or reorder
# what people read.
_CONTROLS = re.compile(
    "[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
    "\U000e0000-\U000e007f]"
)
_FLAGS = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{1,6}\U000e007f")  # of England, Scotland, …: tags that are seen


class Checks:
    """Takes rows in the order of the table, those of the training table first.

    Attributes:
        prompts: keys of what is asked, the system message included; of bare text, of the text. These and `pairs` are
            Python's hashes, equal within this process alone.
        pairs: keys of prompt and reply together, and of the rejected one.
        groups: keys of what must stay on one side of the split.
        labels: the labels in the order in which they came; empty unless rows are labelled.
        label_ids: place of each row's label in `labels`.
        characters: length of prompt and replies.
        mojibake, controls: rows with strange characters.
        near: the search for near duplicates.
        compared: rows that it compares.
    """

    def __init__(self) -> None:
        self.prompts = array("Q")
        self.pairs = array("Q")
        self.groups = array("Q")
        self.labels: list[str] = []
        self.label_ids = array("i")
        self.characters = Lengths()
        self.mojibake: list[int] = []
        self.controls: list[int] = []
        self.near = NearDuplicates()
        self.compared = 0
        self._table_start = 0
        self._numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.prompts)

    def start_table(self) -> None:
        """Says that the rows to come are of another table."""
        self._table_start = len(self)

    def add(self, examples: Sequence[Example], groups: Sequence[str | None], *, labelled: bool) -> None:
        """Notes rows; `groups` names the group of each, None being that of its prompt."""
        prompts = [_asked(example) for example in examples]
        compared = prompts[: max(self._table_start + MAX_NEAR_DUPLICATE_ROWS - len(self), 0)]
        self.near.add(compared, len(self))
        self.compared += len(compared)
        for example, prompt, group in zip(examples, prompts, groups, strict=True):
            reply, rejected, system = example.reply, example.rejected, _system(example)
            said = f"{system}\0{prompt}\0{reply}"
            if rejected:
                said += f"\0{rejected}"
            self.prompts.append(hash((system, prompt)) & _64_BITS)
            self.pairs.append(hash(said) & _64_BITS)
            self.groups.append(text_key(prompt if group is None else f"\0{group}"))
            self.characters.add(len(prompt) + (len(reply) if example.messages else 0) + len(rejected))
            if labelled:
                number = self._numbers.setdefault(reply, len(self._numbers))
                if number == len(self.labels):
                    self.labels.append(reply)
                self.label_ids.append(number)
            if not (said.isascii() and said.replace("\0", "").isprintable()):
                self._note_strange(said)

    def label_array(self) -> Labels:
        """[N] numbers of the labels; zeros where there are none."""
        return np.frombuffer(self.label_ids, np.int32) if self.labels else np.zeros(len(self), np.int32)

    def key_arrays(self) -> tuple[Keys, Keys, Keys]:
        """[N] keys of prompts, of pairs and of groups."""
        prompts, pairs, groups = (np.frombuffer(keys, np.uint64) for keys in (self.prompts, self.pairs, self.groups))
        return prompts, pairs, groups

    def _note_strange(self, text: str) -> None:
        """Notes the last row if its text holds strange characters; NUL, between its parts, is none."""
        if _MOJIBAKE.search(text):
            self.mojibake.append(len(self) - 1)
        if _CONTROLS.search(text) and _CONTROLS.search(_FLAGS.sub("", text)):
            self.controls.append(len(self) - 1)


def _system(example: Example) -> str:
    return example.messages[0].content if example.messages and example.messages[0].role == "system" else ""


def _asked(example: Example) -> str:
    """A row's turns but the system message, or bare text itself."""
    if not example.messages:
        return example.reply
    turns = [message.content for message in example.messages if message.role != "system"]
    return turns[0] if len(turns) == 1 else "\0".join(turns)

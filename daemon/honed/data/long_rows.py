"""Rows measured against a model's context: counted, and those that are too long refused, left out or cut."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
from honed.data.findings import SHOWN_ROWS, Finding
from honed.data.kept import Row
from honed.data.labels import MAX_LABELS
from honed.data.lengths import Lengths, distribution
from honed.data.messages import Example, Task
from honed.data.problems import BadRow, Problems
from honed.data.tokens import Renderer
from honed.errors import InvalidInput
from numpy.typing import NDArray

_ENDS = 2  # the end-of-turn token before a piece and the one behind it
_SHRINK = 0.9
_DONE = {"drop": "left out", "split": "cut into pieces that fit"}


@dataclass(frozen=True)
class IntakeModel:
    """The model whose tokens are counted, and what becomes of rows that are too long for it."""

    name: str
    renderer: Renderer
    context_length: int
    long_rows: Literal["refuse", "drop", "split"]


class Measure(NamedTuple):
    """Tokens of a row, those of them under the loss, and those of the row with the longer reply of a preference."""

    tokens: int
    trained: int
    longest: int


class LongRows:
    """Counts the tokens of rows, and takes out those that are too long.

    Attributes:
        dropped_labels: labels of rows that were left out.
    """

    def __init__(self, model: IntakeModel, task: Task) -> None:
        """Raises InvalidInput if rows of this task cannot be split and were to be."""
        if model.long_rows == "split" and task != "text":
            raise InvalidInput.of_field(
                "header.long_rows", "only bare text can be split (--split-long); leave long rows out (--drop-long)"
            )
        self.dropped_labels: set[str] = set()
        self._model = model
        self._task = task
        self._names: list[str] = []
        self._tokens = Lengths()
        self._trained = Lengths()

    @property
    def count(self) -> int:
        """How many rows were too long."""
        return len(self._names)

    def measure(self, examples: Sequence[Example]) -> list[Measure]:
        """Counts the tokens of some rows, on all cores; changes nothing, so that it may run beside.

        Raises:
            InvalidInput: a row holds what this model cannot read as text.
        """
        renderer = self._model.renderer
        found: list[Measure] = []
        for example, row in zip(examples, renderer.examples(examples), strict=True):
            other = len(renderer.reply(example, example.rejected)) if example.rejected else 0
            found.append(Measure(len(row), row.trained, len(row.prompt) + max(len(row.reply), other)))
        return found

    def measure_each(self, rows: Sequence[Row], problems: Problems) -> Iterator[tuple[Row, Measure]]:
        """As `measure`, one by one; rows that are refused become problems."""
        for row in rows:
            try:
                (measure,) = self.measure([row.example])
            except InvalidInput as error:
                problems.add(row.number, str(error))
            else:
                yield row, measure

    def fitting(self, row: Row, measure: Measure, prefix: str) -> list[Row]:
        """The row, its pieces, or nothing; `prefix` stands before its number where it is named.

        Raises:
            BadRow: it is too long.
        """
        model, bare = self._model, self._task == "text"
        if measure.longest <= model.context_length:
            self._count(measure)
            return [row]
        self._names.append(f"{prefix}{row.number}")
        if model.long_rows == "drop":
            if self._task == "classify" and len(self.dropped_labels) < MAX_LABELS:
                self.dropped_labels.add(row.example.reply)
            return []
        if model.long_rows == "refuse":
            more = " or cut them (--split-long)" if bare else ""
            raise BadRow(
                f"{measure.longest} tokens, more than the {model.context_length} that {model.name} takes; "
                f"shorten it, or leave such rows out (--drop-long){more}"
            )
        texts = cut(row.example.reply, model.renderer, model.context_length)
        pieces = [replace(row.example, reply=text) for text in texts]
        for piece in self.measure(pieces):
            self._count(piece)
        group = row.group or row.example.reply
        return [
            replace(row, example=piece, group=group, piece=f" ({number} of {len(pieces)})")
            for number, piece in enumerate(pieces, 1)
        ]

    def statistics(self, held_out: NDArray[np.bool_]) -> dict[str, Any]:
        """JSON of honed.v1.TokenStatistics of the [N] rows that fit, but for the time of tuning."""
        return {
            "model": self._model.name,
            "context_length": self._model.context_length,
            "row": distribution(self._tokens.array()[~held_out]),
            "trained": int(self._trained.array()[~held_out].sum(dtype=np.int64)),
            "too_long": self.count,
        }

    def findings(self) -> list[Finding]:
        """ROWS_TOO_LONG, if there are any."""
        if not self._names:
            return []
        message = f"{self.count:,} row(s) are longer than the model's context and were {_DONE[self._model.long_rows]}."
        return [Finding("warning", "ROWS_TOO_LONG", message, self.count, tuple(self._names[:SHOWN_ROWS]))]

    def _count(self, measure: Measure) -> None:
        self._tokens.add(measure.tokens)
        self._trained.add(measure.trained)


def cut(text: str, renderer: Renderer, context_length: int) -> list[str]:
    """Pieces of at most `context_length` tokens, cut between tokens; together they are the text, letter for letter.

    Raises:
        BadRow: the context is too short to hold every character.
    """
    starts = [start for start, _ in renderer.tokenizer.encode(text, add_special_tokens=False).offsets]
    step = context_length - _ENDS
    while step > 0:
        edges = sorted({0, *starts[step::step], len(text)})
        pieces = [text[start:end] for start, end in pairwise(edges)]
        # A piece alone may tokenise otherwise than within the text.
        if all(len(renderer.example(Example((), piece))) <= context_length for piece in pieces):
            return pieces
        step = int(step * _SHRINK)
    raise BadRow(
        f"the text cannot be cut to fit a context of {context_length} tokens: some characters take more by themselves; "
        "remove them, or leave such rows out (--drop-long)"
    )

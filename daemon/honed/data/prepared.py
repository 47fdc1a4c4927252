"""A prepared data set on disk: train.jsonl, test.jsonl and dataset.json in one folder, written once, read by jobs."""

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Self

import orjson
from honed.data.bound_template import BoundTemplate
from honed.data.messages import Example, Message, Task
from honed.data.shapes import Shape
from honed.data.shots import untuned_prompt

_TRAIN, _TEST, _FACTS = "train.jsonl", "test.jsonl", "dataset.json"


@dataclass(frozen=True)
class Prepared:
    """A data set: what a row is, the template that made the examples, and the examples themselves, loaded when asked.

    Attributes:
        labels: in alphabetical order; empty unless the task is "classify".
        slice_columns: columns of the test rows by which an evaluation may be sliced.
        digest: SHA-256 over all of it; empty before it is written, as is `folder`, where the examples lie.
    """

    shape: Shape
    task: Task
    template: BoundTemplate | None
    labels: tuple[str, ...]
    slice_columns: tuple[str, ...]
    digest: str = ""
    folder: Path | None = None

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what a `writer` wrote."""
        facts = json.loads((folder / _FACTS).read_text("utf-8"))
        template = facts["template"]
        return cls(
            shape=facts["shape"],
            task=facts["task"],
            template=None if template is None else BoundTemplate.from_json(template),
            labels=tuple(facts["labels"]),
            slice_columns=tuple(facts["slice_columns"]),
            digest=facts["digest"],
            folder=folder,
        )

    @cached_property
    def train(self) -> tuple[Example, ...]:
        """The training examples, in the order of the table."""
        return tuple(self.stream_train())

    @cached_property
    def test(self) -> tuple[Example, ...]:
        """The held-out examples."""
        return tuple(self._stream(_TEST))

    def stream_train(self) -> Iterator[Example]:
        """The training examples one by one, for those who need not keep them."""
        return self._stream(_TRAIN)

    def untuned_prompt(self, example: Example, shots: Sequence[Example] = ()) -> tuple[Message, ...]:
        """The prompt for a model that was not tuned: the task and its labels, and worked examples."""
        return untuned_prompt(self.template, example, self.labels, shots)

    @contextmanager
    def writer(self, folder: Path) -> Generator["Writer"]:
        """Writes the examples and, at the end of the block, the facts."""
        facts: dict[str, Any] = {
            "shape": self.shape,
            "task": self.task,
            "template": None if self.template is None else self.template.to_json(),
            "labels": self.labels,
            "slice_columns": self.slice_columns,
        }
        with (folder / _TRAIN).open("wb") as train, (folder / _TEST).open("wb") as test:
            writer = Writer(train, test, json.dumps(facts, sort_keys=True))
            yield writer
        (folder / _FACTS).write_text(json.dumps(facts | {"digest": writer.digest}, sort_keys=True), "utf-8")

    def _stream(self, name: str) -> Iterator[Example]:
        assert self.folder is not None, "only what was loaded has examples"
        with (self.folder / name).open("rb") as file:
            for line in file:
                yield Example.from_json(orjson.loads(line))


class Writer:
    """Takes the examples of a data set, and counts and digests them."""

    def __init__(self, train: BinaryIO, test: BinaryIO, facts: str) -> None:
        self._files = (train, test)
        self._digests = (hashlib.sha256(facts.encode()), hashlib.sha256())
        self._counts = [0, 0]

    def train(self, line: bytes) -> None:
        """A training example as its line of JSON."""
        self._write(0, line)

    def test(self, example: Example) -> None:
        """A test example."""
        self._write(1, orjson.dumps(example.to_json(), option=orjson.OPT_APPEND_NEWLINE))

    @property
    def train_rows(self) -> int:
        return self._counts[0]

    @property
    def test_rows(self) -> int:
        return self._counts[1]

    @property
    def digest(self) -> str:
        """SHA-256 over what the examples were made with, and over all of them."""
        return hashlib.sha256(b"".join(digest.digest() for digest in self._digests)).hexdigest()

    def _write(self, side: int, line: bytes) -> None:
        self._files[side].write(line)
        self._digests[side].update(line)
        self._counts[side] += 1

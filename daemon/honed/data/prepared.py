"""A prepared data set on disk: train.jsonl, test.jsonl and dataset.json in one folder, written once, read by jobs."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from honed.data.formats import Format, Problems, Row, read_rows
from honed.data.messages import Example
from honed.data.splits import split
from honed.data.templates import Template
from honed.errors import InvalidInput

MAX_LABEL_CHARACTERS = 200


@dataclass(frozen=True)
class Prepared:
    """Examples, split, with the template that made them and the labels in alphabetical order."""

    template: Template
    labels: tuple[str, ...]
    train: tuple[Example, ...]
    test: tuple[Example, ...]

    def write(self, folder: Path) -> str:
        """Writes the files and returns their digest: SHA-256 over template, labels and all rows."""
        digest = hashlib.sha256()
        facts = json.dumps({"template": self.template.to_json(), "labels": self.labels}, sort_keys=True)
        digest.update(facts.encode())
        (folder / "dataset.json").write_text(facts, "utf-8")
        for name, rows in (("train.jsonl", self.train), ("test.jsonl", self.test)):
            with (folder / name).open("w", encoding="utf-8") as file:
                for row in rows:
                    line = json.dumps(row.to_json(), ensure_ascii=False) + "\n"
                    file.write(line)
                    digest.update(line.encode())
            digest.update(b"\0")
        return digest.hexdigest()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads what `write` wrote."""
        facts = json.loads((folder / "dataset.json").read_text("utf-8"))
        return cls(
            Template.from_json(facts["template"]),
            tuple(facts["labels"]),
            tuple(_examples(folder / "train.jsonl")),
            tuple(_examples(folder / "test.jsonl")),
        )


def prepare(
    train_file: Path, test_file: Path | None, table_format: Format, template: Template, test_fraction: float, seed: int
) -> Prepared:
    """Parses, checks and splits a table.

    Raises:
        InvalidInput: anything is wrong with a file or a row; nothing is written.
    """
    columns = (template.prompt_column, template.reply_column)
    if columns[0] == columns[1]:
        raise InvalidInput(f"Prompt and reply cannot both be column {columns[0]!r}.", reason="COLUMN_MISSING")
    rows = _checked_examples(read_rows(train_file, table_format, columns, "training table"), template, "training table")
    if test_file is None:
        train, test = split(rows, test_fraction, seed, stratify=template.labelled)
    else:
        train = rows
        test = _checked_examples(read_rows(test_file, table_format, columns, "test table"), template, "test table")
    labels = tuple(sorted({example.reply for example in train})) if template.labelled else ()
    if template.labelled:
        if len(labels) < 2:
            raise InvalidInput(
                f"All training rows carry the label {train[0].reply!r}; classification needs two labels or more. "
                f"Is {template.reply_column!r} the right column?",
                reason="LABELS_TOO_FEW",
            )
        problems = Problems()
        for number, example in enumerate(test, 1):
            if example.reply not in labels:
                problems.add(number, f"label {example.reply!r} does not occur in the training rows")
        problems.raise_if_any("test table")
    return Prepared(template, labels, tuple(train), tuple(test))


def _checked_examples(rows: list[Row], template: Template, file: str) -> list[Example]:
    problems = Problems()
    examples: list[Example] = []
    for row in rows:
        values = {column: text.strip() for column, text in row.values.items()}
        empty = [column for column, text in values.items() if not text]
        for column in empty:
            problems.add(row.number, f"{column!r} is empty")
        if template.labelled and len(values[template.reply_column]) > MAX_LABEL_CHARACTERS:
            problems.add(row.number, f"the label is longer than {MAX_LABEL_CHARACTERS} characters")
        elif not empty:
            examples.append(template.example(values))
    problems.raise_if_any(file)
    return examples


def _examples(path: Path) -> Iterable[Example]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield Example.from_json(json.loads(line))

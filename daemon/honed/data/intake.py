"""A table to a prepared data set: read, checked, split and written in two passes, in bounded memory.

The first pass parses every row, counts its tokens and spools it to disk; keys, lengths and ids alone stay in memory.
Once every row is known to be good, the split is drawn and the second pass deals the rows out.
"""

from array import array
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import orjson
from honed.data.checks import Checks, Column
from honed.data.findings import SHOWN_ROWS, Finding, findings, label_counts
from honed.data.formats import Format, Table, open_table
from honed.data.lengths import distribution
from honed.data.long_rows import cut
from honed.data.messages import Example
from honed.data.prepared import Prepared, Writer
from honed.data.problems import BadRow, Problems
from honed.data.reader import Reader, Wanted, cell
from honed.data.records import Record
from honed.data.splits import split, text_key
from honed.data.tokens import Renderer, TokenizedExample
from honed.errors import InvalidInput
from numpy.typing import NDArray

MAX_LABELS = 1000
MAX_LABEL_CHARACTERS = 200
_BATCH_ROWS = 500
_BATCH_CHARACTERS = 1 << 21
_SAMPLE_ROWS = 100


@dataclass(frozen=True)
class IntakeModel:
    """The model whose tokens are counted, and what becomes of rows that are too long for it."""

    name: str
    renderer: Renderer
    context_length: int
    long_rows: Literal["refuse", "drop", "split"]


class Intake:
    """Prepares one data set."""

    def __init__(self, folder: Path, wanted: Wanted, model: IntakeModel | None) -> None:
        """`folder` takes the data set; nothing in it counts until `prepare` has returned."""
        self._folder = folder
        self._wanted = wanted
        self._model = model
        self._checks = Checks()
        self._numbers = array("I")  # of each row kept, in its table
        self._ids: dict[int, int] = {}  # of the table that is read: a row's id, hashed, to its number
        self._pieces: dict[int, str] = {}  # of rows that were cut: " (1 of 3)"
        self._train_rows = 0
        self._too_long: list[str] = []
        self._tracked: tuple[str, ...] = ()

    def prepare(
        self, train_file: Path, test_file: Path | None, table_format: Format | None, test_fraction: float, seed: int
    ) -> dict[str, Any]:
        """Writes train.jsonl, test.jsonl and dataset.json; returns the facts of honed.worker.contract.IngestWork but
        for the report's time of tuning, and the digest.

        Raises:
            InvalidInput: anything is wrong with a file or a row.
        """
        with self._spool("rows", "wb") as rows, self._spool("columns", "wb") as columns:
            table = open_table(train_file, table_format, "training table")
            reader = Reader.of(table, list(islice(table.records(Problems()), _SAMPLE_ROWS)), self._wanted)
            self._tracked = tuple(column for column in table.columns if column not in reader.columns)
            self._checks.columns = {column: Column() for column in self._tracked}
            self._read(reader, table, "training table", rows, columns)
            self._train_rows = len(self._checks)
            if test_file is not None:
                test_table = open_table(test_file, table_format, "test table")
                reader.require_columns(test_table)
                self._read(reader, test_table, "test table", rows, columns)
        held_out = self._held_out(test_fraction, seed, separate=test_file is not None)
        labels = self._labels(held_out) if reader.task == "classify" else []
        slices = [column for column, seen in self._checks.columns.items() if seen.sliceable]
        data = Prepared(reader.shape, reader.task, reader.template, tuple(labels), tuple(slices))
        with data.writer(self._folder) as writer:
            self._deal(
                writer, held_out, slices, merge=reader.task in ("generate", "extract") and reader.shape != "preference"
            )
        for name in ("rows", "columns"):
            (self._folder / f"{name}.spool").unlink()
        return {
            "digest": writer.digest,
            "format": table.format,
            "shape": reader.shape,
            "task": reader.task,
            "template": reader.template.template.to_json() if reader.template else None,
            "columns": {slot: list(names) for slot, names in reader.template.columns.items()}
            if reader.template
            else {},
            "parameters": reader.template.parameters if reader.template else {},
            "train_rows": writer.train_rows,
            "test_rows": writer.test_rows,
            "labels": labels,
            "slice_columns": slices,
            "report": self._report(held_out, reader),
        }

    def _read(self, reader: Reader, table: Table, file: str, rows: BinaryIO, columns: BinaryIO) -> None:
        """The first pass over one table. While some rows are tokenised, on all cores, the next are parsed."""
        problems = Problems()
        self._ids.clear()
        before = len(self._checks)
        with ThreadPoolExecutor(1) as pool:
            waiting: tuple[list[_Row], Future[list[TokenizedExample]] | None] | None = None
            for batch in self._batches(reader, table, problems):
                tokens = (
                    pool.submit(self._model.renderer.examples, [row.example for row in batch]) if self._model else None
                )
                if waiting:
                    self._note(*waiting, reader, problems, rows, columns)
                waiting = batch, tokens
            if waiting:
                self._note(*waiting, reader, problems, rows, columns)
        problems.raise_if_any(file)
        if len(self._checks) == before:
            raise InvalidInput(
                f"{file}: no row of data is left; expected at least one"
                f"{' that is not too long for the model' if self._too_long else ' after the header'}.",
                reason="TABLE_EMPTY",
            )

    def _batches(self, reader: Reader, table: Table, problems: Problems) -> Iterator[list["_Row"]]:
        """The good rows of a table, some at a time: few of long ones."""
        batch: list[_Row] = []
        characters = 0
        for record in table.records(problems):
            try:
                example = reader.example(record)
                if reader.task == "classify" and len(example.reply) > MAX_LABEL_CHARACTERS:
                    raise BadRow(f"the label is longer than {MAX_LABEL_CHARACTERS} characters")
                self._check_id(reader, record)
                batch.append(_Row(record, example, reader.group(record)))
            except BadRow as error:
                problems.add(record.number, error.reason)
                continue
            characters += len(example.reply) + sum(len(turn.content) for turn in example.messages)
            if len(batch) == _BATCH_ROWS or characters > _BATCH_CHARACTERS:
                yield batch
                batch, characters = [], 0
        if batch:
            yield batch

    def _check_id(self, reader: Reader, record: Record) -> None:
        """Raises BadRow if an earlier row of the table has the same id."""
        if (row_id := reader.row_id(record)) and (
            first := self._ids.setdefault(text_key(row_id), record.number)
        ) != record.number:
            raise BadRow(
                f"{reader.id_column or 'id'!r} is {row_id!r:.100}, as in row {first}; remove one of the two, or name "
                "another id column, or none (--id-column '')"
            )

    def _note(
        self,
        batch: list["_Row"],
        tokens: Future[list[TokenizedExample]] | None,
        reader: Reader,
        problems: Problems,
        rows: BinaryIO,
        columns: BinaryIO,
    ) -> None:
        """Checks and spools some rows."""
        if self._model is not None and tokens is not None:
            batch = list(self._counted(self._model, batch, tokens, reader, problems))
        checks, tracked = self._checks, self._tracked
        prefix = "test " if self._train_rows else ""
        for row in batch:
            name = f"{prefix}{row.record.number}{row.piece}"
            if row.piece:
                self._pieces[len(self._numbers)] = row.piece
            self._numbers.append(row.record.number)
            rows.write(orjson.dumps(row.example.to_json() | {"row": name}, option=orjson.OPT_APPEND_NEWLINE))
            if tracked:
                values = [cell(row.record.values.get(column)) for column in tracked]
                for column, value in zip(tracked, values, strict=True):
                    checks.columns[column].add(value)
                columns.write(orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE))
        if batch:
            checks.add([row.example for row in batch], [row.group for row in batch], labelled=reader.task == "classify")
        if len(checks.labels) > MAX_LABELS:
            raise InvalidInput(
                f"There are more than {MAX_LABELS:,} different labels; a closed set was expected. Is it the right "
                "column? For free replies use another template than one that classifies.",
                reason="LABELS_TOO_MANY",
                limit_labels=MAX_LABELS,
            )

    def _counted(
        self,
        model: IntakeModel,
        batch: list["_Row"],
        tokens: Future[list[TokenizedExample]],
        reader: Reader,
        problems: Problems,
    ) -> Iterator["_Row"]:
        """The rows that fit the model, their tokens counted."""
        try:
            counted = zip(batch, tokens.result(), strict=True)
        except InvalidInput:
            counted = _one_by_one(model.renderer, batch, problems)
        for row, found in counted:
            if len(found) <= model.context_length:
                self._checks.tokens.values.append(len(found))
                self._checks.trained_tokens.values.append(found.trained)
                yield row
                continue
            self._too_long.append(f"{'test ' if self._train_rows else ''}{row.record.number}")
            if model.long_rows == "split" and reader.task == "text":
                pieces = cut(row.example.reply, model.renderer, model.context_length)
                for number, piece in enumerate(pieces, 1):
                    part = replace(row.example, reply=piece)
                    length = len(model.renderer.example(part))
                    self._checks.tokens.values.append(length)
                    self._checks.trained_tokens.values.append(length - 1)
                    yield _Row(row.record, part, row.group or row.example.reply, f" ({number} of {len(pieces)})")
            elif model.long_rows != "drop":
                what = "only bare text can be split" if model.long_rows == "split" else "shorten it, or have it dropped"
                problems.add(
                    row.record.number,
                    f"{len(found)} tokens, more than the {model.context_length} that {model.name} takes; {what}",
                )

    def _held_out(self, test_fraction: float, seed: int, *, separate: bool) -> NDArray[np.bool_]:
        """Which rows are test rows. Every label occurs in training."""
        if separate:
            return np.arange(len(self._checks)) >= self._train_rows
        labels = self._checks.label_array()
        if self._checks.labels:  # numbered in alphabetical order, so that the order of the table does not matter
            labels = np.argsort(np.argsort(self._checks.labels))[labels]
        _, _, groups = self._checks.key_arrays()
        held_out = split(groups, labels, test_fraction, seed)
        unseen = np.setdiff1d(labels[held_out], labels[~held_out])
        back = groups[held_out & np.isin(labels, unseen)]
        return held_out & ~np.isin(groups, back)

    def _labels(self, held_out: NDArray[np.bool_]) -> list[str]:
        """The labels of the training rows, in alphabetical order.

        Raises:
            InvalidInput: there is one only, or a test row carries another.
        """
        names, numbers = self._checks.labels, self._checks.label_array()
        known = set(map(int, numbers[~held_out]))
        if len(known) < 2:
            raise InvalidInput(
                f"All training rows carry the label {names[known.pop()]!r}; classification needs two labels or more. "
                "Is it the right column?",
                reason="LABELS_TOO_FEW",
            )
        problems = Problems()
        for index in np.flatnonzero(held_out & ~np.isin(numbers, sorted(known))).tolist():
            label = names[int(numbers[index])]
            problems.add(self._numbers[index], f"label {label!r} does not occur in the training rows")
        problems.raise_if_any("test table")
        return sorted(names[number] for number in known)

    def _deal(self, writer: Writer, held_out: NDArray[np.bool_], slices: list[str], *, merge: bool) -> None:
        """The second pass. With `merge`, test rows of one prompt become one row with several references."""
        prompts, _, _ = self._checks.key_arrays()
        tested, counts = np.unique(prompts[held_out], return_counts=True)
        waiting = dict(zip(tested[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True)) if merge else {}
        merged: dict[int, list[Example]] = {}
        wanted = [self._tracked.index(column) for column in slices]
        with self._spool("rows", "rb") as rows, self._spool("columns", "rb") as columns:
            for index, line in enumerate(rows):
                values = columns.readline() if self._tracked else b""
                if not held_out[index]:
                    writer.train(line)
                    continue
                example = Example.from_json(orjson.loads(line))
                if wanted:
                    cells = orjson.loads(values)
                    example = replace(example, columns={self._tracked[at]: cells[at] for at in wanted})
                key = int(prompts[index])
                if key not in waiting:
                    writer.test(example)
                    continue
                alike = merged.setdefault(key, [])
                alike.append(example)
                if len(alike) == waiting[key]:
                    others = dict.fromkeys(other.reply for other in alike[1:] if other.reply != alike[0].reply)
                    writer.test(replace(alike[0], references=tuple(others)))
                    del merged[key]

    def _report(self, held_out: NDArray[np.bool_], reader: Reader) -> dict[str, Any]:
        """JSON of honed.v1.DataReport."""
        checks = self._checks
        found = findings(checks, held_out, self._name, (*reader.columns, reader.group_column))
        report: dict[str, Any] = {
            "rows": len(checks),
            "labels": label_counts(checks, held_out) if checks.labels else [],
            "characters": checks.characters.distribution(),
        }
        if self._model is not None:
            tokens = np.frombuffer(checks.tokens.values, np.uint32)
            trained = np.frombuffer(checks.trained_tokens.values, np.uint32)
            report["tokens"] = {
                "model": self._model.name,
                "context_length": self._model.context_length,
                "row": distribution(tokens[~held_out]),
                "trained": int(trained[~held_out].sum(dtype=np.int64)),
                "too_long": len(self._too_long),
            }
            if self._too_long:
                done = {"drop": "left out", "split": "cut into pieces that fit"}[self._model.long_rows]
                message = f"{len(self._too_long):,} row(s) are longer than the model's context and were {done}."
                shown = tuple(self._too_long[:SHOWN_ROWS])
                found.insert(0, Finding("warning", "ROWS_TOO_LONG", message, len(self._too_long), shown))
        return report | {"findings": [finding.to_json() for finding in found]}

    def _name(self, index: int) -> str:
        prefix = "" if index < self._train_rows else "test "
        return f"{prefix}{self._numbers[index]}{self._pieces.get(index, '')}"

    def _spool(self, name: str, mode: Literal["rb", "wb"]) -> BinaryIO:
        return (self._folder / f"{name}.spool").open(mode)


@dataclass(frozen=True, slots=True)
class _Row:
    """A row on its way: `piece` says which part of a row that was cut it is."""

    record: Record
    example: Example
    group: str | None
    piece: str = ""


def _one_by_one(renderer: Renderer, batch: list[_Row], problems: Problems) -> Iterator[tuple[_Row, TokenizedExample]]:
    """Tokenises rows of which some are refused, so that these are named."""
    for row in batch:
        try:
            yield row, renderer.example(row.example)
        except InvalidInput as error:
            problems.add(row.record.number, str(error))

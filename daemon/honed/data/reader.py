"""Records of a table to examples, by what a row is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from honed.data.binding import bind
from honed.data.bound_template import BoundTemplate
from honed.data.conversations import conversation
from honed.data.formats import Table
from honed.data.messages import Example, Message, Task
from honed.data.problems import BadRow
from honed.data.records import Record, quoted
from honed.data.shapes import Shape, bare_text, detect_shape, preference
from honed.data.templates import Template
from honed.errors import InvalidInput
from honed.template_library import BUILT_IN

_SHAPE_TEMPLATES: Mapping[Shape, str] = {"prompt_completion": "prompt-completion", "alpaca": "alpaca"}
_COLUMNS: Mapping[Shape, tuple[str, ...]] = {
    "sharegpt": ("conversations",),
    "messages": ("messages",),
    "text": ("text",),
    "preference": ("prompt", "chosen", "rejected"),
}


@dataclass(frozen=True)
class Wanted:
    """How a table is to be read; see honed.v1.UploadDatasetHeader. None and empty mean: detected, or the default."""

    shape: Shape | None = None
    template: Template | None = None
    columns: Mapping[str, Sequence[str]] | None = None
    parameters: Mapping[str, str] | None = None
    verbalizer: Mapping[str, str] | None = None
    instruction: str = ""
    group_column: str = ""
    id_column: str | None = None


@dataclass(frozen=True)
class Reader:
    """Makes an example of each record.

    Attributes:
        id_column: None for "id", if no example is made of it; empty for none.
        columns: the columns that examples are made of; the group's and the ids' are apart.
    """

    shape: Shape
    task: Task
    template: BoundTemplate | None
    group_column: str
    id_column: str | None
    columns: tuple[str, ...]

    @classmethod
    def of(cls, table: Table, sample: Sequence[Record], wanted: Wanted) -> "Reader":
        """The reader of a table.

        Raises:
            InvalidInput: the shape is unknown, a column is missing, or the template does not fit.
        """
        shape: Shape = wanted.shape or ("table" if wanted.template else detect_shape(table, sample))
        if shape == "table" and wanted.template is None:
            raise InvalidInput.of_field("header.template", "expected templates/{id}, for rows of the shape table")
        if shape == "table" or shape in _SHAPE_TEMPLATES:
            template = wanted.template or Template.from_json(BUILT_IN[_SHAPE_TEMPLATES[shape]])
            bound = bind(
                template,
                wanted.columns or {},
                wanted.parameters or {},
                wanted.verbalizer or {},
                wanted.instruction,
                (*table.columns, *_later_columns(table, template)),
            )
            task, columns = bound.template.task, bound.source_columns
        else:
            if wanted.instruction:
                raise InvalidInput.of_field(
                    "header.instruction", f"rows of the shape {shape} bring their own; leave it out, or use a template"
                )
            bound, columns = None, _COLUMNS[shape]
            task = "text" if shape == "text" else "generate"
        reader = cls(shape, task, bound, wanted.group_column, wanted.id_column, columns)
        reader.require_columns(table)
        return reader

    def require_columns(self, table: Table) -> None:
        """Raises InvalidInput if a column that is read is not there, in this table or another of the same kind."""
        later = _later_columns(table, self.template.template) if self.template else ()
        for column in (*self.columns, *filter(None, (self.group_column, self.id_column))):
            if column not in (*table.columns, *later):
                raise InvalidInput(
                    f"{table.file}: there is no column {column!r}; it has {quoted(table.columns)}.",
                    reason="COLUMN_MISSING",
                    column=column,
                )

    def example(self, record: Record) -> Example:
        """The example of a record.

        Raises:
            BadRow: what is wrong with it.
        """
        if self.template is not None:
            return self.template.example(record.values)
        if self.shape == "text":
            return Example((), bare_text(record))
        if self.shape == "preference":
            pair = preference(record)
            return Example((Message("user", pair.prompt),), pair.chosen, rejected=pair.rejected)
        turns = conversation(record, "sharegpt" if self.shape == "sharegpt" else "messages")
        last = max(place for place, turn in enumerate(turns) if turn.role == "assistant" and turn.trained)
        return Example(tuple(turns[:last]), turns[last].content)

    def group(self, record: Record) -> str | None:
        """The group of a record; None if no column names one.

        Raises:
            BadRow: the column is empty.
        """
        if not self.group_column:
            return None
        if group := cell(record.values.get(self.group_column)):
            return group
        raise BadRow(f"{self.group_column!r}, by which rows are grouped, is empty")

    def row_id(self, record: Record) -> str:
        """The id of a record; empty if it has none."""
        column = ("" if "id" in self.columns else "id") if self.id_column is None else self.id_column
        return cell(record.values.get(column)) if column else ""


def _later_columns(table: Table, template: Template) -> tuple[str, ...]:
    """Columns that may come further down: a key of a JSON row that only some rows have fills an optional slot."""
    if table.format not in ("json", "jsonl"):
        return ()
    return tuple(slot.name for slot in template.slots if slot.optional and slot.name not in table.columns)


def cell(value: Any) -> str:
    """A value as people write it in a table; lists and objects, which no slice can be made of, are empty."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else ""

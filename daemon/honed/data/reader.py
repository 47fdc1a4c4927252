"""Records of a table to examples, by what a row is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from honed.data.binding import bind
from honed.data.bound_template import BoundTemplate
from honed.data.columns import cell
from honed.data.conversations import conversation
from honed.data.formats import Table
from honed.data.messages import Example, Message, Task
from honed.data.problems import BadRow
from honed.data.records import Record, kind, quoted
from honed.data.shapes import SHAPES, Shape, bare_text, detect_shape, preference
from honed.data.templates import Template
from honed.errors import InvalidInput
from honed.template_library import BUILT_IN


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
        group_column: that keeps rows on one side of the split; empty for none.
        id_column: whose values no two rows share; empty for none.
        columns: that examples are made of; the group's and the ids' are apart.
        required: that every table has. Others fill optional slots, and may come further down or not at all.
        unfilled: optional slots without a column in the training table.
    """

    shape: Shape
    task: Task
    template: BoundTemplate | None
    group_column: str
    id_column: str
    columns: tuple[str, ...]
    required: tuple[str, ...]
    unfilled: tuple[str, ...]

    @classmethod
    def of(cls, table: Table, wanted: Wanted) -> "Reader":
        """The reader of a training table.

        Raises:
            InvalidInput: the shape is unknown, a column is missing, or the template does not fit.
        """
        shape: Shape = wanted.shape or ("table" if wanted.template else detect_shape(table))
        bound = _bound_template(shape, table, wanted)
        columns = bound.source_columns if bound else SHAPES[shape].columns
        task: Task = bound.template.task if bound else "text" if shape == "text" else "generate"
        late = set(_late_columns(table, bound.template) if bound else ())
        named = (wanted.group_column, wanted.id_column or "")
        reader = cls(
            shape,
            task,
            bound,
            wanted.group_column,
            ("" if "id" in (*columns, wanted.group_column) else "id") if wanted.id_column is None else wanted.id_column,
            columns,
            required=(*(column for column in columns if column not in late), *filter(None, named)),
            unfilled=tuple(slot for slot, filled in bound.columns.items() if not filled) if bound else (),
        )
        reader.require_columns(table)
        return reader

    @property
    def merges(self) -> bool:
        """Whether test rows of one prompt are one row with several references."""
        return self.task in ("generate", "extract") and self.shape != "preference"

    def require_columns(self, table: Table) -> None:
        """Raises InvalidInput if a column that is read is not there, in this table or another of the same kind."""
        late = _late_columns(table, self.template.template) if self.template else ()
        for column in self.required:
            if column not in (*table.columns, *late):
                raise InvalidInput(
                    f"{table.file}: there is no column {column!r}; it has {quoted(table.columns)}. Name another one, "
                    "or add it.",
                    reason="COLUMN_MISSING",
                    column=column,
                )

    def example(self, record: Record) -> Example:
        """The example of a record.

        Raises:
            BadRow: what is wrong with it.
        """
        if self.template is not None:
            for slot in self.unfilled:
                self._refuse_unfilled(slot, record)
            return self.template.example(record.values)
        if self.shape == "text":
            return Example((), bare_text(record))
        if self.shape == "preference":
            pair = preference(record)
            return Example((Message("user", pair.prompt),), pair.chosen, rejected=pair.rejected)
        turns = conversation(record, "sharegpt" if self.shape == "sharegpt" else "messages")
        last = max(place for place, turn in enumerate(turns) if turn.role == "assistant" and turn.weight)
        return Example(tuple(turns[:last]), turns[last].content, weight=turns[last].weight)

    def group(self, record: Record) -> str | None:
        """The group of a record; None if no column names one.

        Raises:
            BadRow: the column is empty, or holds a list or an object.
        """
        if not self.group_column:
            return None
        value = record.values.get(self.group_column)
        group = cell(value)
        if group is None:
            raise BadRow(
                f"{self.group_column!r}, by which rows are grouped, holds {kind(value)}; expected text or a number"
            )
        if not group:
            raise BadRow(f"{self.group_column!r}, by which rows are grouped, is empty; fill it, or remove the row")
        return group

    def row_id(self, record: Record) -> str:
        """The id of a record; empty if it has none."""
        return cell(record.values.get(self.id_column)) or "" if self.id_column else ""

    def _refuse_unfilled(self, slot: str, record: Record) -> None:
        """Raises BadRow if a record brings what its slot would take, had the training table such a column."""
        if slot not in self.columns and cell(record.values.get(slot)) != "":
            raise BadRow(
                f"{slot!r} is filled, and the training table has no such column, so it would be lost; add it there, or "
                "leave it out here"
            )


def _bound_template(shape: Shape, table: Table, wanted: Wanted) -> BoundTemplate | None:
    """The template that renders rows of a shape; None where they bring their own messages or text."""
    built_in = "" if shape == "table" else SHAPES[shape].template
    template = wanted.template or (Template.from_json(BUILT_IN[built_in]) if built_in else None)
    if template is not None and (built_in or shape == "table"):
        return bind(
            template,
            wanted.columns or {},
            wanted.parameters or {},
            wanted.verbalizer or {},
            wanted.instruction,
            (*table.columns, *_late_columns(table, template)),
        )
    if shape == "table":
        raise InvalidInput.of_field("header.template", "expected templates/{id}, for rows of the shape table")
    if wanted.instruction:
        raise InvalidInput.of_field(
            "header.instruction", f"rows of the shape {shape} bring their own; leave it out, or use a template"
        )
    return None


def _late_columns(table: Table, template: Template) -> tuple[str, ...]:
    """Columns that may come further down: a key of a JSON row that only some rows have fills an optional slot."""
    if table.format not in ("json", "jsonl"):
        return ()
    return tuple(slot.name for slot in template.slots if slot.optional and slot.name not in table.columns)

"""A template with the columns of one table in its slots: the one renderer of rows in tuning, evaluation and serving."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self, cast

from honed.data.filling import Filling, parsed_json
from honed.data.messages import Example, Message
from honed.data.problems import BadRow
from honed.data.records import quoted
from honed.data.template_language import SlotValue, Write
from honed.data.templates import Template
from honed.errors import InvalidInput

_NOTED_LABELS = 1001  # one more than a table may have


@dataclass(frozen=True)
class BoundTemplate:
    """A template, the columns that fill its slots, and the values of its parameters.

    Attributes:
        columns: columns by slot; an optional slot may have none.
        verbalizer: words that the model writes for a label, by label; a label not named is written as it is.
        instruction: the system message, rendered; empty for none.
        label_of: for the task "classify" the label of the table behind each reply that `example` has made.
    """

    template: Template
    columns: dict[str, tuple[str, ...]]
    parameters: dict[str, str]
    verbalizer: dict[str, str]
    instruction: str
    label_of: dict[str, str] = field(default_factory=dict[str, str], init=False, repr=False, compare=False)

    @property
    def source_columns(self) -> tuple[str, ...]:
        """Every column that fills a slot, once."""
        return tuple(dict.fromkeys(column for columns in self.columns.values() for column in columns))

    @property
    def reply_keys(self) -> tuple[str, ...]:
        """The keys of the JSON object that every reply is; empty where the template leaves them open."""
        parts = self.template.compiled["reply"].parts
        (slot, *_) = self.template.slots_of("reply")
        whole = len(parts) == 1 and isinstance(parts[0], Write) and parts[0].filters == ("json",)
        return self.columns[slot.name] if slot.many and whole else ()

    def example(self, values: Mapping[str, object]) -> Example:
        """The example of one row of the table.

        Args:
            values: JSON values by column.

        Raises:
            BadRow: a column is missing, empty or no text, the row makes an empty prompt or reply, or the reply is
                that of another label.
        """
        filled: dict[str, SlotValue] = dict(self.parameters)
        for filling in self._fillings:
            filled[filling.slot.name] = filling.of_row(values)
        label = ""
        if slot := self._label_slot:
            label = cast("str", filled[slot])
            filled[slot] = self.verbalizer.get(label, label)
        reply = self.template.compiled["reply"].render(filled).strip()
        if not reply:
            raise BadRow("the reply is empty")
        if label and reply not in self.label_of and len(self.label_of) < _NOTED_LABELS:
            self.label_of[reply] = label
        if label and (other := self.label_of.get(reply, label)) != label:
            raise BadRow(
                f"the labels {other!r:.100} and {label!r:.100} are both written as {reply!r:.100}; give them different "
                "words (--verbalize), or make them one label of the table"
            )
        if self.template.task == "extract" and not isinstance(parsed_json(reply), dict):
            raise BadRow(f"the reply must be a JSON object, found {reply[:40]!r}")
        return Example(self._prompt(filled), reply)

    def require_labels(self, verbalizer: Mapping[str, str]) -> None:
        """Checks, once the rows of a table have gone through `example`, that words were given for labels that it has.

        Raises:
            InvalidInput: names the label that no row carries, and those that rows do.
        """
        labels = tuple(sorted(self.label_of.values()))
        for label in verbalizer:
            if label.strip() not in labels:
                raise InvalidInput.of_field(
                    f"verbalizer[{label[:80]!r}]", f"no row carries this label; there are {quoted(labels)}"
                )

    def prompt(self, slots: Mapping[str, str]) -> tuple[Message, ...]:
        """What is put before a model to be answered, rendered as the prompt of a training row.

        Args:
            slots: text by slot; of a slot that takes many columns, a JSON object by column. A single column may be
                given bare.

        Raises:
            InvalidInput: reason ROW_INVALID; `violations` names the slots.
        """
        asked = {filling.slot.name: filling for filling in self._fillings_asked}
        answered = {slot.name for slot in self.template.slots_of("reply")}
        violations: list[tuple[str, str]] = []
        for name in slots:
            if name not in asked:
                why = "is what the model answers; leave it out" if name in answered else "is no slot of the template"
                violations.append((f"row.values[{name[:80]!r}]", f"{why}; expected {', '.join(asked) or 'none'}"))
        filled: dict[str, SlotValue] = dict(self.parameters)
        for name, filling in asked.items():
            try:
                filled[name] = filling.of_text(slots.get(name, ""))
            except BadRow as error:
                violations.append((f"row.values[{name!r}]", error.reason))
        if not violations:
            try:
                return self._prompt(filled)
            except BadRow as error:
                violations.append(("row.values", error.reason))
        raise InvalidInput(
            f"The row does not fit the template {self.template.name!r}. "
            f"{'; '.join(f'{where}: {what}' for where, what in violations)}.",
            reason="ROW_INVALID",
            violations=tuple(violations),
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "template": self.template.to_json(),
            "columns": {slot: list(columns) for slot, columns in self.columns.items()},
            "parameters": self.parameters,
            "verbalizer": self.verbalizer,
            "instruction": self.instruction,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        template = Template.from_json(value["template"])
        columns = {slot: tuple(columns) for slot, columns in value["columns"].items()}
        return cls(template, columns, value["parameters"], value["verbalizer"], value["instruction"])

    @cached_property
    def _fillings(self) -> tuple[Filling, ...]:
        template = self.template
        return tuple(Filling(slot, self.columns[slot.name], template.takes_structure(slot)) for slot in template.slots)

    @cached_property
    def _label_slot(self) -> str:
        """The slot of the label; empty where the reply is not one of a closed set."""
        return self.template.slots_of("reply")[0].name if self.template.task == "classify" else ""

    @cached_property
    def _fillings_asked(self) -> tuple[Filling, ...]:
        names = self.template.compiled["user"].names()
        return tuple(filling for filling in self._fillings if filling.slot.name in names)

    @cached_property
    def _system(self) -> tuple[Message, ...]:
        return (Message("system", self.instruction),) if self.instruction else ()

    def _prompt(self, filled: Mapping[str, SlotValue]) -> tuple[Message, ...]:
        user = self.template.compiled["user"].render(filled).strip()
        if not user:
            names = ", ".join(repr(filling.slot.name) for filling in self._fillings_asked)
            raise BadRow(f"the prompt is empty; fill one of the slots {names}")
        return (*self._system, Message("user", user))

"""Prompt–instruction templates: a task's instruction, prompt and reply, with the slots that columns fill.

`bound_template` puts the columns of one table into them; the built-in ones are in `honed.template_library`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, Literal, Self, get_args

from honed import template_library
from honed.data.template_language import NAME, STRUCTURE_FILTERS, Compiled, Write, compile_template
from honed.errors import InvalidInput

TemplateTask = Literal["classify", "extract", "generate"]
Violation = tuple[str, str]

_NAMES = "a lower-case letter, then at most 62 of a-z, 0-9 and '_'"


@dataclass(frozen=True)
class Slot:
    """A place that columns fill row by row.

    Attributes:
        optional: True if the slot may be left without a column, or empty in a row.
        many: True if several columns may fill it.
    """

    name: str
    description: str
    optional: bool = False
    many: bool = False


@dataclass(frozen=True)
class Parameter:
    """A value that a data set sets once for all rows; where there is no default, it must."""

    name: str
    description: str
    default_value: str = ""


@dataclass(frozen=True)
class Template:
    """How the slots of a row become an instruction, a prompt and a reply, each in the language of `template_language`.

    Attributes:
        name: "templates/{id}".
        version: from 1.
        system: the instruction, the same for every row: it names parameters, no slots. Empty for none.
        verbalizer: words that the model writes for a label, by label; for the task "classify".
    """

    name: str
    version: int
    description: str
    task: TemplateTask
    system: str
    user: str
    reply: str
    slots: tuple[Slot, ...]
    parameters: tuple[Parameter, ...] = ()
    verbalizer: dict[str, str] = field(default_factory=dict[str, str])

    @cached_property
    def compiled(self) -> dict[str, Compiled]:
        """`system`, `user` and `reply`, ready to render.

        Raises:
            InvalidInput: one of them is not in the language.
        """
        return {name: compile_template(source, f"template.{name}") for name, source in self._sources()}

    def slots_of(self, source: Literal["user", "reply"]) -> tuple[Slot, ...]:
        """The slots that a text names, in the order of their declaration."""
        names = self.compiled[source].names()
        return tuple(slot for slot in self.slots if slot.name in names)

    def takes_structure(self, slot: Slot) -> bool:
        """Whether lists and objects may fill a slot as they are: it is written as JSON wherever it is written."""
        written = [write for write in self._writes() if write.name == slot.name]
        return bool(written) and all(write.filters[:1] == ("json",) for write in written)

    def check(self) -> None:
        """Refuses a template that could not work.

        Raises:
            InvalidInput: reason TEMPLATE_INVALID; `violations` lists every mistake by its field.
        """
        violations = [*self._declaration_mistakes()]
        for name, source in self._sources():
            try:
                compile_template(source, f"template.{name}")
            except InvalidInput as error:
                violations += error.violations
        violations = violations or [*self._use_mistakes(), *self._task_mistakes()]  # these read what was compiled
        if violations:
            raise InvalidInput(
                f"The template cannot be used. {'; '.join(f'{where}: {what}' for where, what in violations)}.",
                reason="TEMPLATE_INVALID",
                violations=tuple(violations),
            )

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "slots": [asdict(slot) for slot in self.slots],
            "parameters": [asdict(parameter) for parameter in self.parameters],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The template of `to_json`; it may still be one that `check` refuses."""
        nested: dict[str, Any] = {
            "slots": tuple(Slot(**slot) for slot in value["slots"]),
            "parameters": tuple(Parameter(**parameter) for parameter in value["parameters"]),
        }
        return cls(**{**value, **nested})

    def digest(self) -> str:
        """SHA-256 of everything but the name and the version."""
        return template_library.digest(self.to_json())

    def _sources(self) -> tuple[tuple[str, str], ...]:
        return (("system", self.system), ("user", self.user), ("reply", self.reply))

    def _writes(self) -> tuple[Write, ...]:
        return (*self.compiled["user"].writes(), *self.compiled["reply"].writes())

    def _declaration_mistakes(self) -> Iterator[Violation]:
        if self.task not in get_args(TemplateTask):
            yield "template.task", f"expected {', '.join(get_args(TemplateTask))}, found {self.task!r}"
        seen: set[str] = set()
        for kind, declared in (("slots", self.slots), ("parameters", self.parameters)):
            for place, entry in enumerate(declared):
                where = f"template.{kind}[{place}].name"
                if NAME.fullmatch(entry.name) is None:
                    yield where, f"expected {_NAMES}, found {entry.name[:80]!r}"
                elif entry.name in seen:
                    yield where, f"{entry.name!r} is declared twice; slots and parameters need names of their own"
                seen.add(entry.name)

    def _use_mistakes(self) -> Iterator[Violation]:
        slots = {slot.name: slot for slot in self.slots}
        parameters = {parameter.name for parameter in self.parameters}
        for source, compiled in self.compiled.items():
            for name in compiled.names():
                if source == "system" and name in slots:
                    what = "is the same for every row and may name parameters only; write the slot into `user`"
                    yield "template.system", f"names the slot {name!r}; the instruction {what}"
                elif name not in slots and name not in parameters:
                    known = ", ".join((*slots, *sorted(parameters))) or "nothing"
                    yield f"template.{source}", f"names {name!r}, which is not declared; declared: {known}"
        used = {name for compiled in self.compiled.values() for name in compiled.names()}
        for kind, declared in (("slots", self.slots), ("parameters", self.parameters)):
            for place, entry in enumerate(declared):
                if entry.name not in used:
                    yield f"template.{kind}[{place}]", f"{entry.name!r} is used nowhere; use it or remove it"
        for source, compiled in self.compiled.items():
            yield from _filter_mistakes(source, compiled, slots)

    def _task_mistakes(self) -> Iterator[Violation]:
        never_empty = frozenset(
            (*(slot.name for slot in self.slots if not slot.optional), *(each.name for each in self.parameters))
        )
        for source in ("user", "reply"):
            if not self.compiled[source].can_write(never_empty):
                yield f"template.{source}", "can only render nothing; write text or a slot that a row can fill"
        answered = self.slots_of("reply")
        if not answered:
            yield "template.reply", "names no slot, so every row would have the same reply"
        if self.task == "classify":
            asked = self.compiled["user"].names()
            if len(answered) != 1:
                names = ", ".join(slot.name for slot in answered)
                yield "template.reply", f"must name exactly one slot, the label; it names {names or 'none'}"
            for slot in answered:
                if slot.many or slot.optional or self.takes_structure(slot):
                    yield (
                        "template.reply",
                        f"the label's slot {slot.name!r} must be text: not optional, not of many columns, not JSON",
                    )
                if slot.name in asked:
                    yield "template.user", f"names {slot.name!r}, the label's slot, and so gives the answer away"
        yield from verbalizer_mistakes("template.verbalizer", self.task, self.verbalizer)


def verbalizer_mistakes(where: str, task: str, verbalizer: Mapping[str, str]) -> Iterator[Violation]:
    """What is wrong with the words for labels."""
    if verbalizer and task != "classify":
        yield where, f"words for labels need the task 'classify'; this is {task!r}"
    by_words: dict[str, str] = {}
    for label, words in verbalizer.items():
        if not words.strip():
            yield f"{where}[{label!r}]", "expected the words for the label, found none"
        elif words.strip() in by_words:
            yield f"{where}[{label!r}]", f"the words {words!r} are those of {by_words[words.strip()]!r} too"
        by_words[words.strip()] = label


def _filter_mistakes(source: str, compiled: Compiled, slots: Mapping[str, Slot]) -> Iterator[Violation]:
    """Columns as an object need `json` or `lines` before anything else, and nothing but them can be `lines`."""
    for write in compiled.writes():
        slot = slots.get(write.name)
        first = write.filters[0] if write.filters else ""
        if slot is not None and slot.many and first not in STRUCTURE_FILTERS:
            what = "takes many columns and must be written with the filter json or lines"
            yield f"template.{source}", f"{write.name!r} {what}: {{{{ {write.name} | lines }}}}"
        elif first == "lines" and (slot is None or not slot.many):
            yield f"template.{source}", f"the filter lines is for slots of many columns; {write.name!r} has one value"

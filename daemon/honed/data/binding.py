"""Binds a template to a table: columns to its slots, values to its parameters, each mistake named with its remedy."""

from collections.abc import Mapping, Sequence

from honed.data.bound_template import BoundTemplate
from honed.data.problems import BadRow
from honed.data.records import quoted
from honed.data.templates import Parameter, Slot, Template, verbalizer_mistakes
from honed.errors import InvalidInput


def bind(
    template: Template,
    columns: Mapping[str, Sequence[str]],
    parameters: Mapping[str, str],
    verbalizer: Mapping[str, str],
    instruction: str,
    available: Sequence[str],
) -> BoundTemplate:
    """Puts the columns of a table into the slots of a template.

    Args:
        template: one that `Template.check` accepts.
        columns: columns by slot; a slot that is not named takes the column of its own name.
        parameters: values; a parameter that is not named takes its default.
        verbalizer: words by label, before those of the template.
        instruction: the system message in place of the template's; empty for the template's.
        available: the columns of the table.

    Raises:
        InvalidInput: SLOT_UNKNOWN, COLUMN_MISSING, COLUMN_TWICE, PARAMETER_UNKNOWN, PARAMETER_MISSING or FIELD_INVALID.
    """
    bound = _bind_columns(template, columns, available)
    instruction = instruction.strip()
    values = _bind_parameters(template, parameters, needs_system=not instruction)
    words = {label.strip(): text.strip() for label, text in (template.verbalizer | dict(verbalizer)).items()}
    mistakes = tuple(verbalizer_mistakes("verbalizer", template.task, words))
    if mistakes:
        raise InvalidInput(
            "; ".join(f"{where}: {what}" for where, what in mistakes), reason="FIELD_INVALID", violations=mistakes
        )
    try:
        instruction = instruction or template.compiled["system"].render(values).strip()
    except BadRow as error:
        raise InvalidInput.of_field("parameters", error.reason) from None
    return BoundTemplate(template, bound, values, words, instruction)


def _bind_columns(
    template: Template, columns: Mapping[str, Sequence[str]], available: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    slots = {slot.name: slot for slot in template.slots}
    for name in columns:
        if name not in slots:
            raise InvalidInput(
                f"{template.name} has no slot {name!r}; it has {quoted(tuple(slots))}.",
                reason="SLOT_UNKNOWN",
                violations=((f"columns[{name[:80]!r}]", "no slot of the template"),),
                slot=name,
            )
    bound: dict[str, tuple[str, ...]] = {}
    elsewhere = {column for names in columns.values() for column in names}
    for slot in template.slots:
        named = tuple(columns.get(slot.name, ()))
        if not named and slot.name in available and slot.name not in elsewhere:
            named = (slot.name,)
        if not named and not slot.optional:
            raise InvalidInput(
                f"No column fills the slot {slot.name!r} of {template.name}{_described(slot)}. "
                f"Name one; the table has {quoted(tuple(available))}.",
                reason="COLUMN_MISSING",
                violations=(
                    (f"columns[{slot.name!r}]", "no column is named, and none that is free has the slot's name"),
                ),
                column=slot.name,
            )
        for column in named:
            if column not in available:
                raise InvalidInput(
                    f"There is no column {column!r} for the slot {slot.name!r}. "
                    f"The table has {quoted(tuple(available))}.",
                    reason="COLUMN_MISSING",
                    violations=((f"columns[{slot.name!r}]", f"there is no column {column!r}"),),
                    column=column,
                )
        if len(named) > 1 and not slot.many:
            raise InvalidInput.of_field(f"columns[{slot.name!r}]", f"the slot takes one column, found {len(named)}")
        bound[slot.name] = named
    _refuse_shared(template, bound)
    return bound


def _refuse_shared(template: Template, bound: Mapping[str, tuple[str, ...]]) -> None:
    """One column in two places is a slip, and where one of them is the reply it gives the answer away."""
    owners: dict[str, str] = {}
    for slot, columns in bound.items():
        for column in columns:
            if column in owners:
                where = f"the slots {owners[column]!r} and {slot!r}" if owners[column] != slot else f"{slot!r} twice"
                raise InvalidInput(
                    f"The column {column!r} fills {where} of {template.name}; a column fills one place.",
                    reason="COLUMN_TWICE",
                    violations=((f"columns[{slot!r}]", f"{column!r} is taken"),),
                    column=column,
                )
            owners[column] = slot


def _bind_parameters(template: Template, given: Mapping[str, str], *, needs_system: bool) -> dict[str, str]:
    known = {parameter.name for parameter in template.parameters}
    for name in given:
        if name not in known:
            raise InvalidInput(
                f"{template.name} has no parameter {name!r}; it has {quoted(tuple(sorted(known))) or 'none'}.",
                reason="PARAMETER_UNKNOWN",
                violations=((f"parameters[{name[:80]!r}]", "no parameter of the template"),),
                parameter=name,
            )
    # An instruction of the data set's own stands in for the template's, and so for the parameters that only it names.
    used = {
        name
        for source, text in template.compiled.items()
        if source != "system" or needs_system
        for name in text.names()
    }
    values: dict[str, str] = {}
    for parameter in template.parameters:
        value = given.get(parameter.name, "").strip() or parameter.default_value.strip()
        if not value and parameter.name in used:
            raise InvalidInput(
                f"{template.name} needs a value for the parameter {parameter.name!r}{_described(parameter)}.",
                reason="PARAMETER_MISSING",
                violations=((f"parameters[{parameter.name!r}]", "no value is given, and there is no default"),),
                parameter=parameter.name,
            )
        values[parameter.name] = value
    return values


def _described(entry: Slot | Parameter) -> str:
    return f" ({entry.description.rstrip('.')})" if entry.description else ""

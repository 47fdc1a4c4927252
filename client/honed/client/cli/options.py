"""Options and arguments that several commands share."""

from collections.abc import Callable
from inspect import Parameter, Signature, signature
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, with the field names of honed.v1.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Print the job's name and return; do not follow it.")]
Earlier = Annotated[
    list[str] | None,
    typer.Option(
        metavar="DATASET",
        help="Measure on its test rows too what has been forgotten since; ID or datasets/ID; repeatable.",
    ),
]

_UNITS_S = {"s": 1, "m": 60, "h": 3600}

# How a reply is drawn: the fields of GenerateRequest.
MaxTokens = Annotated[int | None, typer.Option(help="Tokens of the reply at most. [default: 256]")]
Temperature = Annotated[float | None, typer.Option(help="0 to 2; 0 is greedy. [default: 0]")]
TopP = Annotated[float | None, typer.Option(help="Smallest set of tokens whose probability reaches this.")]
TopK = Annotated[int | None, typer.Option(help="Most likely tokens kept. [default: all]")]
Seed = Annotated[int | None, typer.Option(help="Seed of the sampling. [default: a random one]")]
Stop = Annotated[list[str] | None, typer.Option(help="String that ends the reply; may be repeated.")]
System = Annotated[str | None, typer.Option(help="System message put before the conversation.")]


def with_options_of(
    definition: Callable[..., Any], *, but: tuple[str, ...] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command that takes `**options` the parameters of `definition`, without those in `but`, in their place.

    Typer reads a command's signature, where options shared by several commands would else be written out in each.
    """

    def extend(command: Callable[..., None]) -> Callable[..., None]:
        own = signature(command, eval_str=True).parameters.values()
        shared = [each for name, each in signature(definition, eval_str=True).parameters.items() if name not in but]
        parameters = [
            *(each for each in own if each.kind is Parameter.POSITIONAL_OR_KEYWORD),
            *shared,
            *(each for each in own if each.kind is Parameter.KEYWORD_ONLY),
        ]
        command.__signature__ = Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess] - PEP 362 allows it
        command.__annotations__ = {each.name: each.annotation for each in parameters}
        return command

    return extend


def numbers(option: str, text: str | None, kind: Callable[[str], Any]) -> list[Any]:
    """The comma-separated numbers of an option.

    Raises:
        typer.BadParameter: One is no number.
    """
    try:
        return [kind(part) for part in text.split(",")] if text is not None else []
    except ValueError:
        raise typer.BadParameter(f"{option} must be numbers with commas between them, found {text!r}") from None


def seconds(option: str, text: str) -> float:
    """A time span such as 90s, 30m or 2h.

    Raises:
        typer.BadParameter: It has another form.
    """
    unit = _UNITS_S.get(text[-1:])
    try:
        if unit is not None:
            return float(text[:-1]) * unit
    except ValueError:
        pass
    raise typer.BadParameter(f"{option} must be a number with s, m or h behind it, found {text!r}")


def pairs(option: str, form: str, values: list[str] | None) -> dict[str, str]:
    """The values of a repeatable option of the form KEY=VALUE; `form` is how its help calls that.

    Raises:
        typer.BadParameter: A value has another form, or a key comes twice.
    """
    found: dict[str, str] = {}
    for value in values or []:
        key, separator, rest = value.partition("=")
        if not (key and separator):
            raise typer.BadParameter(f"{option} must be {form}, found {value!r}")
        if key in found:
            raise typer.BadParameter(f"{option} gives {key!r} twice")
        found[key] = rest
    return found

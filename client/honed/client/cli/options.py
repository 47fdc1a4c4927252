"""Options and arguments that several commands share."""

from pathlib import Path
from typing import Annotated

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

TensorBoard = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard",
        metavar="DIR",
        help="Write the training's figures as TensorBoard event files to DIR/ID of the job.",
    ),
]

# How a reply is drawn: the fields of GenerateRequest.
MaxTokens = Annotated[int | None, typer.Option(help="Tokens of the reply at most. [default: 256]")]
Temperature = Annotated[float | None, typer.Option(help="0 to 2; 0 is greedy. [default: 0]")]
TopP = Annotated[float | None, typer.Option(help="Smallest set of tokens whose probability reaches this.")]
TopK = Annotated[int | None, typer.Option(help="Most likely tokens kept. [default: all]")]
Seed = Annotated[int | None, typer.Option(help="Seed of the sampling. [default: a random one]")]
Stop = Annotated[list[str] | None, typer.Option(help="String that ends the reply; may be repeated.")]
System = Annotated[str | None, typer.Option(help="System message put before the conversation.")]


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

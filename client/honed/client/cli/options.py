"""Options and arguments that several commands share."""

from typing import Annotated

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, with the field names of honed.v1.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Print the job's name and return; do not follow it.")]

# How a reply is drawn: the fields of GenerateRequest.
MaxTokens = Annotated[int | None, typer.Option(help="Tokens of the reply at most. [default: 256]")]
Temperature = Annotated[float | None, typer.Option(help="0 to 2; 0 is greedy. [default: 0]")]
TopP = Annotated[float | None, typer.Option(help="Smallest set of tokens whose probability reaches this.")]
TopK = Annotated[int | None, typer.Option(help="Most likely tokens kept. [default: all]")]
Seed = Annotated[int | None, typer.Option(help="Seed of the sampling. [default: a random one]")]
Stop = Annotated[list[str] | None, typer.Option(help="String that ends the reply; may be repeated.")]
System = Annotated[str | None, typer.Option(help="System message put before the conversation.")]

"""`hone run` and `hone chat`: replies of a served model."""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer
from honed.client.cli.options import AsJson, MaxTokens, Seed, Stop, System, Temperature, TopK, TopP, pairs
from honed.client.cli.output import Output, as_dict, note
from honed.client.cli.session import session
from honed.client.cli.values import visible

if TYPE_CHECKING:
    from honed.client import Sampling
    from honed.v1.generation_pb2 import GenerateResponse

Served = Annotated[
    str,
    typer.Argument(metavar="MODEL", help="exports/ID, or adapters/ID or models/ID for its newest export."),
]


def run(
    ctx: typer.Context,
    model: Served,
    *,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[PROMPT]...", help="The prompt; '-' or nothing reads stdin.")
    ] = None,
    row: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SLOT=VALUE",
            help="In place of a prompt: a value for a slot of the template it was tuned with; repeatable.",
        ),
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Put the prompt before the model as it is, no template.")] = False,
    system: System = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    seed: Seed = None,
    stop: Stop = None,
    as_json: AsJson = False,
) -> None:
    """Stream one reply to stdout."""
    if raw and system is not None:
        raise typer.BadParameter("--system needs the chat template, which --raw leaves out")
    slots = pairs("--row", "SLOT=VALUE", row)
    if slots and (words or raw or system is not None):
        raise typer.BadParameter("--row fills the adapter's template; it goes with no prompt, no --system and no --raw")
    prompt = None if slots else _read_stdin() if words in (None, [], ["-"]) else " ".join(words)
    sampling: Sampling = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "seed": seed,
        "stop": stop or [],
    }
    with session(ctx, as_json) as (client, out):
        if prompt is None:
            _speak(out, client.generate(model, row=slots, **sampling))
        elif raw:
            _speak(out, client.generate(model, prompt=prompt, **sampling))
        else:
            conversation = [*_system_message(system), {"role": "user", "content": prompt.removesuffix("\n")}]
            _speak(out, client.generate(model, conversation, **sampling))


def chat(
    ctx: typer.Context,
    model: Served,
    *,
    system: System = None,
    max_tokens: MaxTokens = None,
    temperature: Temperature = None,
    top_p: TopP = None,
    top_k: TopK = None,
    seed: Seed = None,
    stop: Stop = None,
    as_json: AsJson = False,
) -> None:
    """Talk with a model. Ctrl-D ends the conversation, Ctrl-C a reply."""
    with suppress(ImportError):
        import_module("readline")  # gives input() a history and line editing
    sampling: Sampling = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_p": top_p,
        "top_k": top_k,
        "seed": seed,
        "stop": stop or [],
    }
    conversation = _system_message(system)
    with session(ctx, as_json) as (client, out):
        while True:
            try:
                question = input("> " if sys.stdin.isatty() else "")
            except EOFError:
                return
            conversation.append({"role": "user", "content": question})
            try:
                reply = _speak(out, client.generate(model, conversation, **sampling))
            except KeyboardInterrupt:
                note("\nstopped; the question is forgotten")
                conversation.pop()
            else:
                conversation.append({"role": "assistant", "content": reply})


def _speak(out: Output, responses: Iterable[GenerateResponse]) -> str:
    """Prints a reply while it comes and returns its text. A terminal gets no control characters of the model's."""
    from honed.v1.generation_pb2 import FINISH_REASON_LENGTH, GenerateDone

    pieces: list[str] = []
    done = GenerateDone()
    for response in responses:
        if response.HasField("done"):
            done = response.done
        else:
            pieces.append(response.delta)
            if not out.as_json:
                sys.stdout.write(visible(response.delta, keep="\n\t") if sys.stdout.isatty() else response.delta)
                sys.stdout.flush()
    reply = "".join(pieces)
    if out.as_json:
        out.answer({"text": reply, "done": as_dict(done)})
    else:
        print(flush=True)
    if done.finish_reason == FINISH_REASON_LENGTH:
        note(f"the reply was cut off after {done.completion_tokens} tokens; --max-tokens or the context allows no more")
    return reply


def _system_message(system: str | None) -> list[dict[str, str]]:
    return [] if system is None else [{"role": "system", "content": system}]


def _read_stdin() -> str:
    if sys.stdin.isatty():
        note("reading the prompt from the terminal; Ctrl-D ends it")
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"standard input is not UTF-8: {error}") from None

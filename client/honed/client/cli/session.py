"""One command's connection to the daemon, and what becomes of its errors: a message on stderr and an exit code.

Only errors that are expected end here. A bug keeps its traceback.
"""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer
from honed.client.cli.output import Output, note
from honed.client.cli.values import visible

if TYPE_CHECKING:
    from honed.client import Client, HonedError

INTERRUPTED: Final = 130


@dataclass(frozen=True)
class Globals:
    """The options that stand before the command."""

    address: str | None
    token_file: Path | None
    as_json: bool


@contextmanager
def session(ctx: typer.Context, as_json: bool) -> Generator[tuple[Client, Output]]:
    """The client and the output of one command. `as_json` is the command's own --json.

    Raises:
        typer.Exit: With the exit code, once the error has been reported.
    """
    from honed.client import Client, HonedError

    options = ctx.find_object(Globals)
    assert options is not None, "the root command sets it"
    try:
        with Client(options.address, token_file=options.token_file) as client:
            yield client, Output(as_json=as_json or options.as_json)
        sys.stdout.flush()  # a reader who has left is noticed here and not while Python shuts down
    except HonedError as error:
        _report(error)
        raise typer.Exit(exit_code(error)) from None
    except ValueError as error:
        if not str(error).startswith("Value out of range"):  # protobuf's words for a number that its field cannot hold
            raise
        note(f"hone: a number is too large or too small: {error}.")
        raise typer.Exit(2) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is still buffered has nowhere to go
        raise typer.Exit(1) from None
    except OSError as error:
        note(f"hone: {error}")
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def exit_code(error: HonedError) -> int:
    """The exit code of an error, as `hone --help` lists them."""
    from honed.client import errors

    codes: dict[type[HonedError], int] = {
        errors.InvalidArgument: 2,
        errors.NotFound: 3,
        errors.NotAllowed: 4,
        errors.Unavailable: 5,
        errors.NoRoom: 6,
        errors.JobFailed: 7,
    }
    return codes.get(type(error), 1)


def _report(error: HonedError) -> None:
    from honed.client.errors import Unavailable

    note(f"hone: {visible(error.message, keep=chr(10))}")
    for subject, description in [*error.field_violations, *error.preconditions]:
        note(f"  {visible(subject)}: {visible(description)}")
    if error.reason:
        note(f"({visible(error.reason)})")
    elif isinstance(error, Unavailable):
        note("Is the daemon running? --address or HONED_ADDRESS says where.")

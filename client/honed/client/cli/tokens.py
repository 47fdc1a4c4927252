"""Tokens of a previewed row, with the part under the loss marked."""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from honed.client.cli.values import visible

if TYPE_CHECKING:
    from honed.v1.datasets_pb2 import PreviewRow, PreviewToken


def print_row(row: PreviewRow) -> None:
    """Prints a row to stdout: the trained part in colour on a terminal, elsewhere between ⟦ and ⟧."""
    trained = sum(token.trained for token in row.tokens)
    print(f"row {row.row}: {len(row.tokens)} tokens, {trained} trained")
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        text = Text.assemble(
            *((piece, "bold green" if is_trained else "dim") for is_trained, piece in _parts(row.tokens))
        )
        Console().print(text, soft_wrap=True)
    else:
        print(marked(row.tokens))
    print()


def marked(tokens: Iterable[PreviewToken]) -> str:
    """The tokens' text with control characters visible and each trained part between ⟦ and ⟧."""
    return "".join(f"⟦{piece}⟧" if is_trained else piece for is_trained, piece in _parts(tokens))


def _parts(tokens: Iterable[PreviewToken]) -> Iterator[tuple[bool, str]]:
    """Runs of tokens that are all trained, or all not, as text. A line break is shown and broken."""
    for is_trained, run in groupby(tokens, key=lambda token: token.trained):
        yield is_trained, visible("".join(token.text for token in run)).replace("\\n", "\\n\n")

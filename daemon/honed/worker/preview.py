"""Renders training rows for one model: what it will see, token by token. Runs under limits; loads no torch."""

from pathlib import Path
from typing import Any

from honed.data import Prepared, Renderer, TokenizedExample
from honed.worker.contract import PreviewWork
from honed.worker.report import Report


def run(work: PreviewWork, output: Path, report: Report) -> dict[str, Any]:  # noqa: ARG001 - the handlers' signature
    """Tokens of the first rows, and the lengths of all."""
    renderer = Renderer.load(Path(work.model))
    rows = [renderer.example(example) for example in Prepared.load(Path(work.dataset)).train]
    return {
        "rows": [_tokens(renderer, row) for row in rows[: work.rows]],
        "longest_tokens": max(map(len, rows)),
        "total_tokens": sum(map(len, rows)),
    }


def _tokens(renderer: Renderer, row: TokenizedExample) -> list[dict[str, Any]]:
    return [
        {"id": token, "text": renderer.token_text(token), "trained": place >= len(row.prompt)}
        for place, token in enumerate((*row.prompt, *row.reply))
    ]

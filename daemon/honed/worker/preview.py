"""Renders training rows for one model: what it will see, token by token. Runs under limits; loads no torch."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from honed.data import Example, Prepared, Renderer, TokenizedExample
from honed.data.lengths import Lengths
from honed.worker.contract import PreviewWork
from honed.worker.report import Report

_BATCH_ROWS = 2000


def run(work: PreviewWork, output: Path, report: Report) -> dict[str, Any]:  # noqa: ARG001 - the handlers' signature
    """Tokens of the first rows, and the lengths of all."""
    renderer = Renderer.load(Path(work.model))
    lengths = Lengths()
    trained = 0
    shown: list[dict[str, Any]] = []
    for batch in _batches(Prepared.load(Path(work.dataset)).stream_train()):
        for example, tokens in zip(batch, renderer.examples(batch), strict=True):
            lengths.values.append(len(tokens))
            trained += tokens.trained
            if len(shown) < work.rows:
                shown.append({"row": example.row, "tokens": _tokens(renderer, tokens)})
    return {"rows": shown, "lengths": lengths.distribution(), "trained_tokens": trained}


def _batches(examples: Iterable[Example]) -> Iterator[list[Example]]:
    iterator = iter(examples)
    while batch := list(islice(iterator, _BATCH_ROWS)):
        yield batch


def _tokens(renderer: Renderer, row: TokenizedExample) -> list[dict[str, Any]]:
    trained = [False] * len(row.prompt) + [True] * len(row.reply)
    for start, end in row.earlier:
        trained[start:end] = [True] * (end - start)
    return [
        {"id": token, "text": renderer.token_text(token), "trained": flag}
        for token, flag in zip((*row.prompt, *row.reply), trained, strict=True)
    ]

"""Renders training rows for one model: what it will see, token by token. Runs under limits; loads no torch."""

from pathlib import Path
from typing import Any

from honed.data import Prepared, Renderer, TokenizedExample, load_renderer
from honed.data.batches import batches, characters
from honed.data.lengths import Lengths, distribution
from honed.worker.contract import PreviewWork
from honed.worker.report import Report

_SHOWN_BYTES = 3 << 20  # a message of gRPC has 4 MiB: about 200,000 tokens
_TOKEN_BYTES = 12  # on the wire, beside its text


def run(work: PreviewWork, output: Path, report: Report) -> dict[str, Any]:  # noqa: ARG001 - the handlers' signature
    """Tokens of the first rows, fewer than asked for where these are too many for one answer; the lengths of all."""
    renderer = load_renderer(Path(work.model))
    lengths = Lengths()
    trained = 0
    shown: list[dict[str, Any]] = []
    room, rows = _SHOWN_BYTES, work.rows
    for batch in batches(Prepared.load(Path(work.dataset)).stream_train(), characters):
        for example, row in zip(batch, renderer.examples(batch), strict=True):
            lengths.add(len(row))
            trained += row.trained
            if len(shown) < rows:
                tokens = _tokens(renderer, row)
                room -= sum(len(token["text"].encode()) + _TOKEN_BYTES for token in tokens)
                if room < 0:
                    rows = len(shown)
                else:
                    shown.append({"row": example.row, "tokens": tokens})
    return {"rows": shown, "lengths": distribution(lengths.array()), "trained_tokens": trained}


def _tokens(renderer: Renderer, row: TokenizedExample) -> list[dict[str, Any]]:
    return [
        {"id": token, "text": renderer.token_text(token), "trained": weight > 0}
        for token, weight in zip(row.ids, row.weights(), strict=True)
    ]

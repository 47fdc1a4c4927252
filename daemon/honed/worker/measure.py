"""Parity of a graph against the torch model it was made from: the measurement that every conversion gets."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from honed.data import Example, Renderer
from honed.evaluate import PROBE, LogProbabilities, Progress, log_softmax, measure
from honed.serve.graph import Graph
from honed.serve.predict import GraphPredictor
from honed.tune.predict import TorchPredictor

MAX_PARITY_ROWS = 500
BUILT_IN = "built-in probe"
_KV_CACHE_BYTES = 1 << 30


def open_graph(folder: Path, threads: int, slots: int = 1) -> Graph:
    """A graph for `slots` rows at a time."""
    return Graph(folder, threads, slots=slots, kv_cache_bytes=_KV_CACHE_BYTES * slots)


def parity(
    reference: TorchPredictor,
    graph: Graph,
    renderer: Renderer,
    examples: Sequence[Example],
    source: str,
    progress: Progress,
) -> dict[str, Any]:
    """The fields of honed.v1.Parity.

    Args:
        reference: the source model, computing in float32.
        examples: held-out rows; the first MAX_PARITY_ROWS are used.
        source: name of the data set they are from; the built-in probe has none.
    """
    rows = [renderer.example(example) for example in examples[:MAX_PARITY_ROWS]]
    served = GraphPredictor(graph)
    expected = reference.log_probabilities([row.prompt for row in rows], [row.reply for row in rows])

    def compared() -> Iterator[tuple[Sequence[int], LogProbabilities, LogProbabilities]]:
        for done, (row, exact) in enumerate(zip(rows, expected, strict=True), 1):
            yield row.reply, exact, log_softmax(served.logits(row.prompt, row.reply))
            progress(done, len(rows))

    agreement = asdict(measure(compared()))
    # A probe, bare text and a preferred reply are texts to follow, not answers to expect.
    if examples is PROBE or any(not example.messages or example.rejected for example in examples):
        del agreement["reference_accuracy"], agreement["accuracy"]
    return agreement | {
        "source": BUILT_IN if examples is PROBE else source,
        "onnxruntime_version": metadata.version("onnxruntime"),
    }

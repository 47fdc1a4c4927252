"""The second pass: rows that passed are dealt out to either side of the split, those of one test prompt merged."""

from dataclasses import replace

import numpy as np
from honed.data.kept import Kept
from honed.data.messages import Example
from honed.data.prepared import Writer
from numpy.typing import NDArray


def deal(kept: Kept, held_out: NDArray[np.bool_], writer: Writer, *, merge: bool) -> None:
    """Writes every row to its side. With `merge`, test rows of one prompt become one row with several references."""
    prompts, _, _ = kept.checks.key_arrays()
    tested, counts = np.unique(prompts[held_out], return_counts=True)
    waiting = dict(zip(tested[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True)) if merge else {}
    alike: dict[int, list[Example]] = {}
    for index, (line, cells) in enumerate(kept.spooled()):
        if not held_out[index]:
            writer.train(line)
            continue
        key, example = int(prompts[index]), kept.example(line, cells)
        if key not in waiting:
            writer.test(example)
            continue
        examples = alike.setdefault(key, [])
        examples.append(example)
        if len(examples) == waiting[key]:
            writer.test(_merged(examples))
            del alike[key]


def _merged(examples: list[Example]) -> Example:
    """The first of them, with the other replies as references, and of its cells those that all of them share."""
    first = examples[0]
    others = dict.fromkeys(example.reply for example in examples if example.reply != first.reply)
    shared = {
        column: value
        for column, value in first.columns.items()
        if all(example.columns[column] == value for example in examples)
    }
    return replace(first, references=tuple(others), columns=shared)

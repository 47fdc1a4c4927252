"""Which rows are held out: pure, seeded, stratified by label."""

import random
from collections.abc import Sequence

from honed.data.messages import Example
from honed.errors import InvalidInput


def split(
    examples: Sequence[Example], test_fraction: float, seed: int, *, stratify: bool
) -> tuple[list[Example], list[Example]]:
    """Training and test examples, each in the order of the table.

    Of every label (of the whole, if not stratified) round(n · test_fraction) rows are held out, at least one of each
    and never all. The draw of a label depends on the seed and the label alone, not on the other labels.

    Raises:
        InvalidInput: a label (or the table) has a single row and cannot be on both sides.
    """
    if test_fraction == 0:
        return list(examples), []
    groups: dict[str, list[int]] = {}
    for index, example in enumerate(examples):
        groups.setdefault(example.reply if stratify else "", []).append(index)
    single = sorted(label for label, members in groups.items() if len(members) < 2)
    if single:
        what = f"label(s) {', '.join(map(repr, single[:12]))} have" if stratify else "the table has"
        raise InvalidInput(
            f"A test split needs two rows or more of everything, but {what} only one. "
            "Add rows, or give a separate test file, or set the test fraction to 0.",
            reason="LABEL_TOO_SMALL",
            labels=",".join(single[:100]),
        )
    held_out: set[int] = set()
    for label, members in groups.items():
        count = min(max(round(len(members) * test_fraction), 1), len(members) - 1)
        held_out.update(random.Random(f"{seed}:{label}").sample(members, count))  # noqa: S311 - a split, no secret
    train = [example for index, example in enumerate(examples) if index not in held_out]
    test = [examples[index] for index in sorted(held_out)]
    return train, test

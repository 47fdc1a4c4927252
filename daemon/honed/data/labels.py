"""The labels of a table that is to be classified: a closed set of short ones, each of which occurs in training."""

from collections.abc import Collection

import numpy as np
from honed.data.kept import Kept
from honed.data.problems import BadRow, Problems
from honed.errors import InvalidInput
from numpy.typing import NDArray

MAX_LABELS = 1000
MAX_LABEL_CHARACTERS = 200


def check_label(label: str) -> None:
    """Raises BadRow if a label is too long for one."""
    if len(label) > MAX_LABEL_CHARACTERS:
        raise BadRow(
            f"the label is longer than {MAX_LABEL_CHARACTERS} characters; is it the right column? For free replies use "
            "another template than one that classifies"
        )


def check_count(labels: Collection[str]) -> None:
    """Raises InvalidInput if there are too many labels for a closed set."""
    if len(labels) > MAX_LABELS:
        raise InvalidInput(
            f"There are more than {MAX_LABELS:,} different labels; a closed set was expected. Is it the right "
            "column? For free replies use another template than one that classifies.",
            reason="LABELS_TOO_MANY",
            limit_labels=MAX_LABELS,
        )


def trained_labels(kept: Kept, held_out: NDArray[np.bool_], dropped: Collection[str]) -> list[str]:
    """The labels of the training rows, in alphabetical order.

    Args:
        held_out: [N] True for the test rows.
        dropped: labels of rows that were left out as too long.

    Raises:
        InvalidInput: there is one only, or a test row carries another.
    """
    names, numbers = kept.checks.labels, kept.checks.label_array()
    known = set(map(int, numbers[~held_out]))
    if len(known) < 2:
        raise InvalidInput(
            f"All training rows carry the label {names[known.pop()]!r}; classification needs two labels or more. "
            "Is it the right column?",
            reason="LABELS_TOO_FEW",
        )
    problems = Problems()
    for index in np.flatnonzero(held_out & ~np.isin(numbers, sorted(known))).tolist():
        label = names[int(numbers[index])]
        left_out = ", for rows that are too long were left out (--drop-long)" if label in dropped else ""
        problems.add(
            kept.number(index),
            f"label {label!r} does not occur in the training rows{left_out}; correct it, add training rows of it, or "
            "remove the row",
        )
    problems.raise_if_any("test table")
    return sorted(names[number] for number in known)

"""What the checks of a table mean: findings with a severity, the rows they concern, and what to do."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from honed.data.checks import MAX_NEAR_DUPLICATE_ROWS, Checks
from honed.data.columns import Column
from honed.data.splits import Keys, Labels
from numpy.typing import NDArray

SHOWN_ROWS = 20
_IMBALANCE = 10
_FEW_ROWS = 10

Severity = Literal["error", "warning", "info"]
_GRAVEST_FIRST: tuple[Severity, ...] = ("error", "warning", "info")
Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Finding:
    """One thing found; see honed.v1.Finding."""

    severity: Severity
    code: str
    message: str
    count: int = 0
    rows: tuple[str, ...] = ()
    column: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON of honed.v1.Finding."""
        return asdict(self) | {"severity": f"SEVERITY_{self.severity.upper()}"}


def findings(
    checks: Checks,
    held_out: Mask,
    name: Callable[[int], str],
    columns: Mapping[str, Column],
    *,
    merged: bool = False,
    drawn: bool = True,
) -> list[Finding]:
    """Everything found, the gravest first.

    Args:
        held_out: [N] True for the rows of the test split.
        name: what to call a row, by its index in the checks.
        columns: what was noted of the columns that nothing is made of.
        merged: whether test rows of one prompt become one.
        drawn: whether test rows were to be drawn; else they were given, or none were wanted.
    """

    def of_rows(severity: Severity, code: str, rows: Rows | Sequence[int], message: str) -> list[Finding]:
        shown = tuple(name(int(row)) for row in rows[:SHOWN_ROWS])
        return [Finding(severity, code, f"{len(rows):,} {message}", len(rows), shown)] if len(rows) else []

    prompts, pairs, groups = checks.key_arrays()
    found = of_rows(
        "warning",
        "DUPLICATES_EXACT",
        later_copies(pairs),
        "row(s) repeat an earlier row, prompt and reply. They weigh more than others in tuning; remove them unless "
        "that is meant.",
    )
    leaked = held_out & np.isin(prompts, prompts[~held_out])
    found += of_rows(
        "error",
        "LEAKAGE",
        np.flatnonzero(leaked),
        "test row(s) ask, word for word, what a training row asks: figures on them measure memory. Remove them from "
        "one side.",
    )
    near = [(a, b) for a, b in checks.near.pairs() if prompts[a] != prompts[b]]
    example = f" For example rows {name(near[0][0])} and {name(near[0][1])}." if near else ""
    found += of_rows(
        "info",
        "DUPLICATES_NEAR",
        [later for _, later in near],
        f"row(s) ask nearly what an earlier row asks (four of five shingles alike).{example}",
    )
    found += of_rows(
        "warning",
        "LEAKAGE_NEAR",
        [row for _, row in checks.near.leaks(held_out) if not leaked[row]],
        "test row(s) ask nearly what a training row asks: figures on them are too kind. Remove them"
        + (", or have the split keep related rows together (--group-column)." if drawn else "."),
    )
    if unchecked := len(checks) - checks.compared:
        message = (
            f"{unchecked:,} of {len(checks):,} rows were compared with no other: near duplicates, and test rows that "
            f"ask nearly what a training row asks, were looked for in the first {MAX_NEAR_DUPLICATE_ROWS:,} rows of "
            "each table only."
        )
        found.append(Finding("warning", "DUPLICATES_NEAR_UNCHECKED", message, unchecked))
    found += of_rows(
        "warning",
        "ENCODING_MIXED",
        checks.mojibake,
        "row(s) look as if they had been decoded with the wrong character encoding (\u00c3\u00a9 for \u00e9). Convert "
        "the source to UTF-8 once, from what it is in.",
    )
    found += of_rows(
        "warning",
        "CONTROL_CHARACTERS",
        checks.controls,
        "row(s) hold control, zero-width, direction or tag characters, which people do not see and a model does. "
        "Remove them unless they are meant.",
    )
    if checks.labels:
        labels = checks.label_array()
        found += of_rows(
            "warning",
            "LABELS_CONFLICTING",
            conflicting(prompts, labels),
            "row(s) carry another label than an earlier row of the same text. One of the two is wrong, or the labels "
            "are not exclusive.",
        )
        found += _classes(checks.labels, labels, held_out)
    for column, seen in columns.items():
        if seen.constant:
            what = "is empty" if seen.values == {""} else "holds the same value in every row"
            found.append(
                Finding("info", "COLUMN_CONSTANT", f"Column {column!r} {what}; it tells nothing.", column=column)
            )
    if not held_out.any():
        found.append(Finding("warning", "TEST_EMPTY", _empty(groups, drawn=drawn)))
    if merged:
        found += _references(prompts[held_out])
    return sorted(found, key=lambda finding: _GRAVEST_FIRST.index(finding.severity))


def label_counts(checks: Checks, held_out: Mask) -> list[dict[str, Any]]:
    """JSON of honed.v1.LabelCount, the labels in alphabetical order."""
    labels, count = checks.label_array(), len(checks.labels)
    train, test = (np.bincount(labels[side], minlength=count) for side in (~held_out, held_out))
    order = sorted(range(count), key=checks.labels.__getitem__)
    return [{"label": checks.labels[at], "train": int(train[at]), "test": int(test[at])} for at in order]


def later_copies(keys: Keys) -> Rows:
    """Indices of the rows whose key an earlier row has."""
    again = np.ones(len(keys), np.bool_)
    again[np.unique(keys, return_index=True)[1]] = False
    return np.flatnonzero(again)


def conflicting(prompts: Keys, labels: Labels) -> Rows:
    """Indices of the rows with another label than the first row of the same prompt."""
    _, first, member = np.unique(prompts, return_index=True, return_inverse=True)
    return np.flatnonzero(labels != labels[first][member])


def _classes(names: Sequence[str], labels: Labels, held_out: Mask) -> list[Finding]:
    counts: Counter[int] = Counter(map(int, labels[~held_out]))
    tested = set(map(int, labels[held_out]))
    found: list[Finding] = []
    big, small = max(counts, key=counts.__getitem__), min(counts, key=counts.__getitem__)
    if counts[big] > _IMBALANCE * counts[small]:
        message = (
            f"Label {names[big]!r} has {counts[big]} training rows, {names[small]!r} has {counts[small]}: look at "
            "macro-F1 and the figures of each class, not at accuracy alone."
        )
        found.append(Finding("warning", "CLASS_IMBALANCE", message))
    untested = sorted(names[label] for label in counts if label not in tested)
    if untested and tested:
        message = (
            f"{len(untested)} label(s) have no test row (a single group of rows is not split; or the test table lacks "
            f"them): {_listed(untested)}. Nothing can be said of how well they are learned."
        )
        found.append(Finding("warning", "CLASS_TOO_SMALL", message, len(untested)))
    few = sorted(names[label] for label, count in counts.items() if count < _FEW_ROWS)
    if few:
        message = f"{len(few)} label(s) have fewer than {_FEW_ROWS} training rows: {_listed(few)}."
        found.append(Finding("info", "CLASS_SMALL", message, len(few)))
    return found


def _empty(groups: Keys, *, drawn: bool) -> str:
    if not drawn:
        why, remedy = "none was asked for", "Ask for a share of the rows (--test-fraction)"
    elif (groups == groups[0]).all():
        why, remedy = "all rows belong to one group, which is never split", "Add rows of others"
    else:
        why, remedy = "the rows of each label belong to one group, which is never split", "Add rows of others"
    return f"No row is held out, so nothing can be evaluated: {why}. {remedy}, or give a test table (--test)."


def _references(tested: Keys) -> list[Finding]:
    """REFERENCES_MERGED, if a prompt occurs more than once among those of the test rows."""
    rows, prompts = len(tested), len(np.unique(tested))
    if rows == prompts:
        return []
    message = (
        f"{rows:,} held-out rows of {prompts:,} prompts became {prompts:,} test rows with several references. Other "
        f"findings count the {rows:,}."
    )
    return [Finding("info", "REFERENCES_MERGED", message, rows)]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:10]))
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"

"""What an upload is told of its tables."""

from typing import Any

import numpy as np
from honed.data.findings import findings, label_counts
from honed.data.kept import Kept
from honed.data.lengths import distribution
from honed.data.long_rows import LongRows
from honed.data.reader import Reader
from numpy.typing import NDArray


def report(
    kept: Kept, held_out: NDArray[np.bool_], reader: Reader, long_rows: LongRows | None, *, drawn: bool
) -> dict[str, Any]:
    """JSON of honed.v1.DataReport, but for the time of tuning.

    Args:
        held_out: [N] True for the test rows.
        drawn: whether test rows were to be drawn.
    """
    checks = kept.checks
    unused = {name: column for name, column in kept.columns.items() if name != reader.group_column}
    found = findings(checks, held_out, kept.name, unused, merged=reader.merges, drawn=drawn)
    told: dict[str, Any] = {
        "rows": len(checks),
        "labels": label_counts(checks, held_out) if checks.labels else [],
        "characters": distribution(checks.characters.array()),
    }
    if long_rows:
        told["tokens"] = long_rows.statistics(held_out)
        found = long_rows.findings() + found
    return told | {"findings": [finding.to_json() for finding in found]}

"""Experience replay: which training rows of earlier data sets are mixed into a new one. Pure.

A model that is tuned on one task after another forgets the earlier ones less if some of their rows come again
(Rolnick et al. 2019, arXiv 1811.11682).
"""

from collections.abc import Mapping, Sequence
from random import Random

from honed.data.messages import Example


def replay(
    earlier: Mapping[str, Sequence[Example]], new_rows: int, fraction: float, seed: int, never: Sequence[Example]
) -> dict[str, list[Example]]:
    """Rows to mix in, by data set, in the order of their tables: each of all earlier rows is as likely as any other.

    r rows beside n new ones are the fraction f of all if r = n f / (1 - f). None comes twice, so there may be fewer.

    Args:
        earlier: training rows by the name of their data set.
        fraction: share of the replayed rows among all, below 1.
        never: rows that are held out; none that asks what one of them asks is drawn.
    """
    held_out = {_asked(example) for example in never}
    pool = [(name, row) for name, rows in earlier.items() for row in rows if _asked(row) not in held_out]
    count = min(round(new_rows * fraction / (1 - fraction)), len(pool))
    drawn: dict[str, list[Example]] = {name: [] for name in earlier}
    for place in sorted(Random(f"replay:{seed}").sample(range(len(pool)), count)):  # noqa: S311 - no secret
        name, row = pool[place]
        drawn[name].append(row)
    return drawn


def _asked(example: Example) -> object:
    """What a row asks; bare text is itself."""
    return example.messages or example.reply

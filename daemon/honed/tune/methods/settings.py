"""What a tuning method is told; plain numbers, no torch."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Numbers of a method; see honed.v1.TuneSpec for their meaning and ranges.

    Attributes:
        method: a name of `METHODS`. What this method does not take is left at its default.
        target_modules: shell patterns over the names of linear layers; empty means all but the head.
        seed: of the initialisation; what a method draws can be drawn again from it.
    """

    method: str
    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    target_modules: Sequence[str] = ()
    virtual_tokens: int = 20
    block_size: int = 32
    width: int = 64
    seed: int = 0

"""Hooks for Python's JSON decoder, which would keep the last of two equal keys and round long fractions in silence."""

from collections import Counter
from math import isfinite
from typing import TypeVar

from honed.data.problems import BadRow

_Value = TypeVar("_Value")


def unique_keys(pairs: list[tuple[str, _Value]]) -> dict[str, _Value]:
    """An object; raises BadRow if a key occurs twice."""
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise BadRow(f"the key {twice!r:.100} occurs twice in one object")
    return value


def exact_float(text: str) -> float:
    """A number with a fraction or an exponent; raises BadRow if it has digits that 64 bits cannot hold."""
    value = float(text)
    if repr(value) != text and isfinite(value):
        digits = _digits(text)
        if _digits(f"{value:.{max(len(digits), 1) - 1}e}") != digits:
            raise BadRow(f"the number {text[:40]} has more digits than a number can keep; write it as text, in quotes")
    return value


def _digits(number: str) -> str:
    """The significant digits; equal digits of a number and of what is nearest to it are of equal numbers."""
    return number.lower().partition("e")[0].replace(".", "").lstrip("-0").rstrip("0")

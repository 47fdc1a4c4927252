"""A report's figures and texts as the page writes them; escaping is left to the template, but for `soft`."""

import math
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, cast

from honed.evaluate.metric import KINDS, Kind
from markupsafe import Markup, escape

UNKNOWN: Final = "–"

_MODES: Final = {"free": "free reply", "likelihood": "by likelihood"}

# Marks that turn the direction of the text around them, so that it reads as something else than it is.
_DIRECTIONS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def number(value: float | None, decimals: int = 3) -> str:
    """A figure with so many decimals."""
    return UNKNOWN if value is None else f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", "−")


def signed(value: float | None, decimals: int = 3) -> str:
    """A difference with its sign; none if it reads as zero."""
    return f"{'+' if value is not None and round(value, decimals) > 0 else ''}{number(value, decimals)}"


def whole(value: float | None) -> str:
    """A count with thousands apart."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def duration(seconds: float | None) -> str:
    """Seconds, minutes or hours."""
    if seconds is None:
        return UNKNOWN
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 2:
        return f"{round(seconds)} s"
    return f"{minutes} min {rest} s" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def moment(text: str) -> str:
    """An RFC 3339 time to the minute; text that is none stays as it is."""
    try:
        return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M %Z").strip()
    except ValueError:
        return text


def cut(text: str, length: int) -> str:
    """The beginning of a text, to a word's end where there is one."""
    if len(text) <= length:
        return text
    head = text[:length]
    return (head.rsplit(maxsplit=1)[0] if " " in head[length // 2 :] else head).rstrip() + " …"


def soft(text: str) -> Markup:
    """A text that may be broken behind its underscores, as labels are long and hold no spaces."""
    return Markup("_<wbr>").join(escape(part) for part in text.split("_"))


def kind_of(metric: str) -> Kind:
    """How a metric is written and read; of one that is unknown here, its name."""
    return KINDS.get(metric) or Kind(metric.replace("_", " "))


def metric_name(metric: str) -> str:
    """A metric as a heading."""
    words = kind_of(metric).words
    return words[0].upper() + words[1:] if words.split(" ")[0].islower() else words


def mode_name(mode: str) -> str:
    """How a subject answered."""
    return _MODES.get(mode, mode)


def clean(value: Any) -> Any:
    """A JSON value with the unprintable characters of its texts as escapes, and its NaN and infinities as None."""
    match value:
        case str():
            return "".join(
                character.encode("unicode_escape").decode() if _unprintable(character) else character
                for character in value
            )
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {clean(key): clean(item) for key, item in cast("Mapping[str, Any]", value).items()}
        case Sequence():
            return [clean(item) for item in cast("Sequence[Any]", value)]
        case _:
            return value


def _unprintable(character: str) -> bool:
    return character not in "\n\t" and (
        character in _DIRECTIONS or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
    )

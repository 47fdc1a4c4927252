"""Values as people read them: sizes, times, shares, and text from elsewhere that cannot steer a terminal."""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from __future__ import annotations

import unicodedata
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp
    from honed.v1.jobs_pb2 import Job

NOTHING: Final = "–"

# Marks that turn the direction of the text around them, so that it reads as something else than it is.
_DIRECTIONS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def visible(text: str, keep: str = "") -> str:
    """The text with control characters, line separators and direction marks escaped, those in `keep` excepted."""
    return "".join(
        character.encode("unicode_escape").decode() if _steers(character) and character not in keep else character
        for character in text
    )


def _steers(character: str) -> bool:
    return character in _DIRECTIONS or unicodedata.category(character) in ("Cc", "Zl", "Zp")


def size(n_bytes: int) -> str:
    """Bytes in the largest binary unit below them: "1.2 GiB"."""
    if n_bytes < 1024:
        return f"{n_bytes} B"
    value = float(n_bytes)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if value < 1024:
            return f"{value:.1f} {unit}"
    return f"{value / 1024:.1f} TiB"


def moment(time: Timestamp) -> str:
    """A time of the daemon in local time, to the second; a dash if it is not set."""
    from datetime import UTC

    if not time.seconds:
        return NOTHING
    return time.ToDatetime(tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(seconds: float) -> str:
    """Hours, minutes and seconds: "0:01:30"."""
    return str(timedelta(seconds=round(seconds)))


def share(value: float) -> str:
    """A share as a percentage with one decimal: "93.3 %"."""
    return f"{value:.1%}".replace("%", " %")


def job_state(state: Job.State) -> str:
    """A job's state as a word: "running"."""
    from honed.v1.jobs_pb2 import Job

    return Job.State.Name(state).removeprefix("STATE_").lower()

"""A report as plain text: what each subject got, with intervals, and the verdicts. Knows neither Typer nor the wire.

A report's texts come from users' tables and models: they are made visible before they are measured or shown.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, Final

from honed.client.cli.values import NOTHING, visible

WIDTH: Final = 100
_NAME_WIDTH: Final = 36
_MOST_VERDICTS: Final = 5
_GAP: Final = "  "
_HUNDREDS: Final = frozenset({"bleu", "chrf"})
_WORDS: Final = {"bleu": "BLEU", "chrf": "chrF", "rouge_l": "ROUGE-L", "nll": "NLL", "json_valid": "valid JSON"}


def summary(report: dict[str, Any]) -> str:
    """The headline, subjects by metrics with 95 % intervals, and the verdicts; no line is wider than WIDTH columns.

    Takes the report document (`honed-report-1`); parts that it lacks are left out.
    """
    subjects: list[dict[str, Any]] = report.get("subjects") or []
    comparisons: list[dict[str, Any]] = report.get("comparisons") or []
    sentences = [visible(str(one["sentence"])) for one in comparisons]
    headline = visible(str(report.get("headline") or ""))
    further = [sentence for sentence in sentences if sentence not in headline]
    parts = [
        list(_wrapped(headline)),
        *_tables(subjects),
        [line for text in _cut_answers(subjects) for line in _wrapped(text)],
        [line for sentence in further[:_MOST_VERDICTS] for line in _wrapped(sentence)],
        [f"Further comparisons in the report: {len(further) - _MOST_VERDICTS}."] * (len(further) > _MOST_VERDICTS),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def _tables(subjects: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """As many tables as the metrics need, each with the subjects' names in front."""
    names = ["SUBJECT", *(_cut(_name(subject), _NAME_WIDTH) for subject in subjects)]
    width = max(map(_width, names))
    metrics = dict.fromkeys(str(metric["name"]) for subject in subjects for metric in subject["metrics"])
    lines: list[str] = []
    for metric in metrics:
        cells = [_cut(_words(metric).upper(), _NAME_WIDTH), *(_cell(subject, metric) for subject in subjects)]
        column = max(map(_width, cells))
        if lines and max(map(_width, lines)) + len(_GAP) + column > WIDTH:
            yield [line.rstrip() for line in lines]
            lines = []
        lines = lines or [_padded(name, width) for name in names]
        full = max(map(_width, lines))
        lines = [_padded(line, full) + _GAP + cell for line, cell in zip(lines, cells, strict=True)]
    if lines:
        yield [line.rstrip() for line in lines]


def _name(subject: dict[str, Any]) -> str:
    return visible(str(subject["label"]))


def _cut_answers(subjects: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Nothing is cut silently: whose answers did not end by themselves, and how many."""
    for subject in subjects:
        if cut := subject.get("cut_answers"):
            yield f"{cut:,} answers of {_name(subject)} were cut at the longest answer allowed."


def _words(metric: str) -> str:
    return visible(_WORDS.get(metric, metric.replace("_", " ")))


def _cell(subject: dict[str, Any], metric: str) -> str:
    found = next((one for one in subject["metrics"] if one["name"] == metric), None)
    if found is None:
        return NOTHING
    value, low, high = (_figure(found[end], metric) for end in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _figure(value: float | None, metric: str) -> str:
    return NOTHING if value is None else f"{value:.{1 if metric in _HUNDREDS else 3}f}"


def _wrapped(text: str) -> Iterator[str]:
    """Lines of at most WIDTH columns, broken between words; a word that is wider is broken itself."""
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if _width(joined) <= WIDTH:
            line = joined
            continue
        if line:
            yield line
        line = word
        while _width(line) > WIDTH:
            head = _head(line, WIDTH)
            yield head
            line = line[len(head) :]
    if line:
        yield line


def _cut(text: str, width: int) -> str:
    return text if _width(text) <= width else _head(text, width - 1) + "…"


def _head(text: str, width: int) -> str:
    """The longest beginning that is at most so wide."""
    taken = 0
    for place, character in enumerate(text):
        taken += _width(character)
        if taken > width:
            return text[:place]
    return text


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Columns on a terminal: two for wide characters, none for those that join the one before (UAX 11)."""
    return sum(
        0
        if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf")
        else 2
        if unicodedata.east_asian_width(character) in "WF"
        else 1
        for character in text
    )

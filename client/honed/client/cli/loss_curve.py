"""The training loss as a line of braille dots that grows with the run; knows steps and figures, and no job."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

from rich.segment import Segment
from rich.style import Style

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

ROWS: Final = 7  # lines of the plot
_LEAST_COLUMNS, _LEAST_LINES = 24, 12  # a smaller terminal has no room for a picture
_MOST_KEPT: Final = 2048
_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille cell, by row and column
_EMPTY: Final = 0x2800  # the braille cell without dots
_MARK: Final = "◆"
_TRAINING, _VALIDATION, _QUIET = Style(color="cyan"), Style(color="yellow", bold=True), Style(dim=True)


@dataclass
class _Stretch:
    """Neighbouring steps: what a line through them needs."""

    first: float
    low: float
    high: float
    last: float

    def join(self, later: _Stretch) -> _Stretch:
        return _Stretch(self.first, min(self.low, later.low), max(self.high, later.high), later.last)


class LossCurve:
    """The losses of a run so far, as many points as a terminal can show; a renderable of rich.

    A run that has a dot for each step fills the width with its last one. A longer run takes a dot a step until it meets
    the right edge, and is pressed together from then on; each stretch keeps its lowest and its highest loss. Losses
    that are no numbers are left out. It may be drawn by another thread than the one that adds.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._clear()

    def _clear(self) -> None:
        self._stretches: dict[int, _Stretch] = {}  # by step // _stride
        self._stride = 1
        self._validation: dict[int, float] = {}
        self._step = self._total_steps = 0
        self._loss = math.nan

    def __bool__(self) -> bool:
        return bool(self._stretches)

    def add(self, step: int, total_steps: int, loss: float, validation_loss: float | None) -> None:
        """Takes a step; one that is not behind the last begins a new run."""
        with self._lock:
            if step <= self._step:
                self._clear()
            self._step, self._total_steps, self._loss = step, total_steps, loss
            if math.isfinite(loss):
                self._put(step // self._stride, _Stretch(loss, loss, loss, loss))
            if len(self._stretches) > _MOST_KEPT:
                self._stride *= 2
                stretches, self._stretches = self._stretches, {}
                for place, stretch in stretches.items():
                    self._put(place // 2, stretch)
            if validation_loss is not None and math.isfinite(validation_loss):
                self._validation[step] = validation_loss

    def _put(self, place: int, stretch: _Stretch) -> None:
        before = self._stretches.get(place)
        self._stretches[place] = before.join(stretch) if before else stretch

    def lines(self, width: int) -> list[tuple[str, str, str]]:
        """The plot, ROWS lines from above: the label of the axis, the cells of the line, and the marks of validation
        losses that stand over them (spaces elsewhere)."""
        with self._lock:
            stretches, validation = dict(self._stretches), dict(self._validation)
            stride, step, total_steps = self._stride, self._step, self._total_steps
        values = [value for one in stretches.values() for value in (one.low, one.high)] + list(validation.values())
        low, high = min(values), max(values)
        labels = [f"{high:.4g}", *[""] * (ROWS - 2), f"{low:.4g}"]
        margin = max(map(len, labels)) + 1
        columns, dots = width - margin, 4 * ROWS
        end = max(step, total_steps if 0 < total_steps <= 2 * columns else 2 * columns)

        def across(step: int) -> int:
            return round((step - 1) / max(1, end - 1) * (2 * columns - 1))

        def down(value: float) -> int:
            return round((high - value) / (high - low) * (dots - 1)) if high > low else dots // 2

        cells, marks = [[0] * columns for _ in range(ROWS)], [[" "] * columns for _ in range(ROWS)]
        points = [
            (across(max(1, place * stride)), down(one.first), down(one.low), down(one.high), down(one.last))
            for place, one in stretches.items()
        ]
        for x, top, bottom in _strokes(points):
            for y in range(top, bottom + 1):
                cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
        for step, value in validation.items():
            marks[down(value) // 4][across(step) // 2] = _MARK
        return [
            (f"{label:>{margin - 1}} ", "".join(chr(_EMPTY + cell) for cell in row), "".join(over))
            for label, row, over in zip(labels, cells, marks, strict=True)
        ]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if not self or options.ascii_only or options.max_width < _LEAST_COLUMNS or console.height < _LEAST_LINES:
            return
        for label, line, marks in self.lines(options.max_width):
            yield Segment(label, _QUIET)
            # Nothing behind the line: a terminal that becomes narrower breaks what is there.
            drawn = max(len(line.rstrip(chr(_EMPTY))), len(marks.rstrip()))
            for cell, mark in zip(line[:drawn], marks[:drawn], strict=True):
                yield Segment(cell, _TRAINING) if mark == " " else Segment(mark, _VALIDATION)
            yield Segment.line()
        yield Segment(f"loss {self._loss:.4f}", _TRAINING)
        if self._validation:
            yield Segment(f"   {_MARK} validation {list(self._validation.values())[-1]:.4f}", _VALIDATION)
        yield Segment(f"   step {self._step}", _QUIET)
        yield Segment.line()


def _strokes(points: Iterable[tuple[int, int, int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """The upright strokes (x, top, bottom) that make a line through points (x, first, low, high, last)."""
    before: tuple[int, int] | None = None
    for x, first, low, high, last in points:
        if before is not None:
            start, level = before
            if x == start:
                yield x, min(level, first), max(level, first)
            for between in range(start + 1, x + 1):
                ends = [level + round((first - level) * (at - start) / (x - start)) for at in (between - 1, between)]
                yield between, min(ends), max(ends)
        yield x, high, low
        before = x, last

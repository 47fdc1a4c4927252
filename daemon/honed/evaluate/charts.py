"""Charts as inline SVG: figures in, markup out; page.css gives them their colours.

Most charts have no viewBox: their box is the plot area, positions across it are per cents and heights are pixels, so
that a chart grows and shrinks with the page while its text and strokes keep their size. Axis text stands outside that
box, in margins that page.css keeps free. Every number and every string passes through markupsafe.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from markupsafe import Markup

MOST_POINTS: Final = 400
_ROW_PX: Final = 24
_LINES_PX: Final = 240
_SMALL_PX: Final = 120
_LABEL_PX: Final = 30  # an end label's two lines of text
_LEVELS: Final = 5

_SVG: Final = Markup('<svg class="{}" width="100%" height="{}" role="img" aria-label="{}"><title>{}</title>{}</svg>')
_LINE: Final = Markup('<line class="{}" x1="{}%" y1="{}" x2="{}%" y2="{}"/>')
_CIRCLE: Final = Markup('<circle class="{}" cx="{}%" cy="{}" r="{}"/>')
_TEXT: Final = Markup('<text class="{}" x="{}%" y="{}">{}</text>')


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from `low` to `high`, its ticks at round numbers."""

    low: float
    high: float
    step: float

    @classmethod
    def over(cls, values: Iterable[float], *, zero: bool = True, ticks: int = 4) -> "Axis":
        """The smallest axis with round ends that holds the finite values, and 0 if asked.

        Steps are 1, 2, 2.5 or 5 times a power of ten (after Heckbert, Nice Numbers for Graph Labels, 1990).
        """
        known = [value for value in values if math.isfinite(value)] + [0.0] * zero or [0.0]
        low, high = min(known), max(known)
        if high == low:
            high = low + (abs(low) or 1.0)
        rough = (high - low) / ticks
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough * (1 - 1e-9))
        return cls(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step, step)

    @property
    def ticks(self) -> list[float]:
        """The round numbers from `low` to `high`."""
        return [self.low + index * self.step for index in range(round((self.high - self.low) / self.step) + 1)]

    def across(self, value: float) -> float:
        """Where a value stands from the left, in per cent."""
        return round(100 * (value - self.low) / (self.high - self.low), 2)

    def down(self, value: float, height: float) -> float:
        """Where a value stands from the top of a box so many pixels high."""
        return round(height * (self.high - value) / (self.high - self.low), 2)

    def text(self, tick: float, *, signed: bool = False) -> str:
        """A tick as it is written."""
        digits = max(0, math.ceil(-math.log10(self.step)) + 1)  # one more than a power of ten needs, for 2.5
        text = f"{tick:{'+' if signed else ''},.{digits}f}" if round(tick, digits) else "0"
        return (text.rstrip("0").rstrip(".") if "." in text else text).replace("-", "−")


@dataclass(frozen=True, slots=True)
class Series:
    """A named line through points (x, y); `kind` is its class in page.css, `form` how its last figure is written."""

    name: str
    kind: str
    points: Sequence[tuple[float, float]]
    form: str = ".3f"


def whisker(axis: Axis, value: float, low: float, high: float, label: str, kind: str) -> Markup:
    """A dot at the value with a line over its interval, before the axis' grid; one row of a table."""
    middle = _ROW_PX / 2
    left, right = axis.across(low), axis.across(high)
    return _svg(
        "row",
        _ROW_PX,
        label,
        [
            *_grid(axis),
            _LINE.format(f"whisker {kind}", left, middle, right, middle),
            *(_LINE.format(f"whisker {kind}", end, middle - 4, end, middle + 4) for end in (left, right)),
            _CIRCLE.format(f"dot {kind}", axis.across(value), middle, 4.5),
        ],
    )


def bars(axis: Axis, values: Sequence[tuple[str, float]], label: str) -> Markup:
    """One thin bar a (class of page.css, value), one under the other; one row of a table."""
    height = 7 if len(values) > 1 else 10
    top = (_ROW_PX - height * len(values) - (len(values) - 1)) / 2
    bar = Markup('<rect class="bar {}" x="0" y="{}" width="{}%" height="{}"/>')
    return _svg(
        "row",
        _ROW_PX,
        label,
        [
            *_grid(axis),
            *(
                bar.format(kind, top + index * (height + 1), max(axis.across(value), 0.4), height)
                for index, (kind, value) in enumerate(values)
            ),
        ],
    )


def scale(axis: Axis, *, signed: bool = False) -> Markup:
    """The ticks that stand under rows of whiskers or bars; to sighted readers only, as each row names its figures."""
    text = Markup('<text x="{}%" y="12">{}</text>')
    marks = [text.format(axis.across(tick), axis.text(tick, signed=signed)) for tick in axis.ticks]
    return Markup('<svg class="scale" width="100%" height="16" aria-hidden="true">{}</svg>').format(
        Markup("").join(marks)
    )


def lines(series: Sequence[Series], label: str, *, small: bool = False) -> Markup:
    """Lines over a common axis, each named at its end; a line of few points shows them as dots."""
    series = [one for one in series if one.points]
    height = _SMALL_PX if small else _LINES_PX
    ys = Axis.over((y for one in series for _, y in one.points), ticks=2 if small else 4)
    end = max((x for one in series for x, _ in one.points), default=0.0) or 1.0
    xs = Axis(0.0, end, Axis.over([end], ticks=2 if small else 4).step)  # ends at the last step, where the names stand
    parts: list[Markup] = []
    for tick in ys.ticks:
        y = ys.down(tick, height)
        parts += [_LINE.format("grid", 0, y, 100, y), _TEXT.format("y", 0, y, ys.text(tick))]
    parts += [_TEXT.format("x", xs.across(tick), height + 18, xs.text(tick)) for tick in xs.ticks if tick <= end]
    polyline = Markup('<polyline class="line {}" points="{}"/>')
    drawn = [
        polyline.format(
            one.kind, " ".join(f"{10 * xs.across(x):.1f},{ys.down(y, 1000):.1f}" for x, y in thin(one.points))
        )
        for one in series
    ]
    # Its own coordinates, as a polyline takes no per cents; strokes do not scale (page.css).
    parts.append(
        Markup('<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%">{}</svg>').format(
            Markup("").join(drawn)
        )
    )
    parts += [
        _CIRCLE.format(f"dot {one.kind}", xs.across(x), ys.down(y, height), 3)
        for one in series
        if len(one.points) <= 30
        for x, y in one.points
    ]
    ends = _apart([ys.down(one.points[-1][1], height) for one in series], height)
    named = Markup('<text class="end {}" x="100%" y="{}">{}<tspan x="100%" dy="15">{}</tspan></text>')
    parts += [
        named.format(one.kind, round(y, 1), one.name, f"{one.points[-1][1]:{one.form}}")
        for one, y in zip(series, ends, strict=True)
    ]
    return _svg("lines", height, label, parts)


def reliability(bins: Sequence[tuple[float, float, float]], label: str, kind: str) -> Markup:
    """Accuracy over confidence, a dot a bin of (confidence, accuracy, share of the rows); right is on the diagonal."""
    size = 200
    unit = Axis(0.0, 1.0, 0.5)
    parts = [_LINE.format("grid", 0, unit.down(tick, size), 100, unit.down(tick, size)) for tick in unit.ticks]
    parts += [_LINE.format("grid", unit.across(tick), 0, unit.across(tick), size) for tick in unit.ticks]
    parts += [_TEXT.format("x", unit.across(tick), size + 16, unit.text(tick)) for tick in unit.ticks]
    parts += [_TEXT.format("y", 0, unit.down(tick, size), unit.text(tick)) for tick in unit.ticks]
    parts.append(_LINE.format("ideal", 0, size, 100, 0))
    for confidence, accuracy, share in bins:
        x, ideal, real = unit.across(confidence), unit.down(confidence, size), unit.down(accuracy, size)
        radius = round(3 + 9 * share**0.5, 1)
        parts += [_LINE.format(f"gap {kind}", x, ideal, x, real), _CIRCLE.format(f"bin {kind}", x, real, radius)]
    return _svg("square", size, label, parts)


def heat_map(counts: Sequence[Sequence[int]], label: str) -> Markup:
    """A cell for each (expected, answered), as strong as its share of the row; the diagonal holds the right answers."""
    rows, columns = len(counts), max(map(len, counts), default=0)
    cells: dict[str, list[str]] = {}
    for row, figures in enumerate(counts):
        total = sum(figures)
        for column, count in enumerate(figures):
            if count:
                kind = heat(count, total, right=row == column)
                cells.setdefault(kind, []).append(f"M{column} {row}h1v1h-1z")
    path = Markup('<path class="{}" d="{}"/>')
    body = [path.format(kind, "".join(steps)) for kind, steps in sorted(cells.items())]
    return Markup('<svg class="heat" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>{}</svg>').format(
        columns, rows, label, label, Markup("").join(body)
    )


def heat(count: int, total: int, *, right: bool) -> str:
    """The class of a cell: "right" or "wrong", and its share of the row in five levels."""
    level = min(_LEVELS, 1 + int(_LEVELS * count / total)) if total else 0
    return f"{'right' if right else 'wrong'} heat-{level}"


def thin(points: Sequence[tuple[float, float]], most: int = MOST_POINTS) -> list[tuple[float, float]]:
    """At most so many of the points in their order: the first, the last, and each stretch's lowest and highest."""
    if len(points) <= most:
        return list(points)
    inner = range(1, len(points) - 1)
    stretches = (most - 2) // 2
    borders = [1 + len(inner) * index // stretches for index in range(stretches + 1)]
    kept = {0, len(points) - 1}
    for start, end in pairwise(borders):
        kept |= {
            min(range(start, end), key=lambda index: points[index][1]),
            max(range(start, end), key=lambda index: points[index][1]),
        }
    return [points[index] for index in sorted(kept)]


def _svg(kind: str, height: float, label: str, parts: Iterable[Markup]) -> Markup:
    return _SVG.format(kind, height, label, label, Markup("").join(parts))


def _grid(axis: Axis) -> list[Markup]:
    return [
        _LINE.format("zero" if abs(tick) < axis.step / 2 else "grid", axis.across(tick), 0, axis.across(tick), _ROW_PX)
        for tick in axis.ticks
    ]


def _apart(positions: Sequence[float], height: float) -> list[float]:
    """End labels' positions, moved down where one would cover another, and up again where they would leave the box."""
    moved = list(positions)
    order = sorted(range(len(moved)), key=moved.__getitem__)
    for above, below in pairwise(order):
        moved[below] = max(moved[below], moved[above] + _LABEL_PX)
    limit = height
    for index in reversed(order):
        moved[index] = min(moved[index], limit)
        limit = moved[index] - _LABEL_PX
    return moved

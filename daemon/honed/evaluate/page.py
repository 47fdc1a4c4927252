"""The report as one HTML page: works out what each section shows; page.html.jinja says how, page.css how it looks.

The page is self-contained: no scripts, no fonts, no addresses. All text in a report comes from users' tables, models
and names; it reaches the page only through Jinja's and markupsafe's escaping. A section without figures is left out.
"""

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from honed.evaluate import charts, page_text
from honed.evaluate.charts import Axis, Series
from honed.evaluate.page_text import clean, kind_of, metric_name, number, signed
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2 import Template as Page
from markupsafe import Markup

MOST_CELLS: Final = 20  # labels up to which a confusion matrix is a table with its counts
_MOST_PAIRS: Final = 15
_MOST_STEPS: Final = 20
_MOST_IN_HEAD: Final = 4

Facts = dict[str, Any]

_ABSENT: Final[Facts] = {
    "title": "", "created": "", "honed_version": "", "headline": "", "decides": "", "strongest_untuned": None,
    "under_test": [], "mistakes_of": "", "dataset": {}, "choices": [], "training": None, "subjects": [],
    "comparisons": [], "forgetting": [], "mistakes": [], "samples": [],
}  # fmt: skip
_ABSENT_SUBJECT: Final[Facts] = {
    "tuned": False, "resource": "", "mode": "", "runtime": "", "metrics": [], "per_class": None, "confusion": None,
    "calibration": None, "latency": None, "cut_answers": 0, "slices": [],
}  # fmt: skip


def render_page(report: Facts) -> str:
    """The report document (`honed-report-1`) as HTML."""
    report = _ABSENT | {key: value for key, value in clean(report).items() if value is not None}
    subjects = [_ABSENT_SUBJECT | subject for subject in report["subjects"]]
    by_label = {subject["label"]: subject for subject in subjects}
    base = by_label.get(report["strongest_untuned"])
    asked = [by_label[label] for label in report["under_test"] if label in by_label]
    tuned = asked[0] if asked else None
    focus = [subject for subject in (base, tuned) if subject]
    others = [subject for subject in subjects if subject not in focus]
    labelled = report["dataset"].get("task") == "classify"
    page = _page().render(
        report=report,
        subjects=subjects,
        head=_head(report["comparisons"], base, asked, report["decides"]),
        panels=_panels(subjects, report["decides"]),
        verdicts=_verdicts(report["comparisons"], {subject["label"] for subject in focus}),
        samples=_cases(report["samples"], labelled=labelled),
        mistakes=_cases(report["mistakes"], labelled=labelled),
        mistakes_note=_mistakes_note(report),
        confusions=[
            _confusion(one, shown=place < len(focus)) for place, one in enumerate(focus + others) if one["confusion"]
        ],
        classes=_classes(base, tuned),
        reliability=[_reliability(one) for one in focus + others if one["calibration"]],
        slices=[_slices(one) for one in focus[::-1] + others if one["slices"]],
        forgetting=_forgetting(report["forgetting"]),
        training=_training(report["training"]) if report["training"] else None,
        speed=_speed([subject for subject in subjects if subject["latency"]]),
    )
    return page.lstrip()


@cache
def _page() -> Page:
    folder = Path(__file__).parent
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(  # pyright: ignore[reportUnknownMemberType]  - jinja2 leaves its dictionaries open
        number=number,
        signed=signed,
        whole=page_text.whole,
        duration=page_text.duration,
        moment=page_text.moment,
        cut=page_text.cut,
        soft=page_text.soft,
        metric=metric_name,
        mode=page_text.mode_name,
    )
    css = Markup((folder / "page.css").read_text("utf-8"))  # noqa: S704  - our own file
    environment.globals.update(css=css, kind=_kind)  # pyright: ignore[reportUnknownMemberType]
    return environment.get_template("page.html.jinja")


def _kind(subject: Facts) -> str:
    return "tuned" if subject["tuned"] else "base"


def _value(subject: Facts, metric: str) -> float | None:
    return next((one["value"] for one in subject["metrics"] if one["name"] == metric), None)


def _head(comparisons: Sequence[Facts], base: Facts | None, tuned: Sequence[Facts], metric: str) -> Facts | None:
    """The base at its best, and beside it the tuned subjects with their comparisons with just that, where there are."""
    if base is None or not tuned:
        return None
    paired = {one["b"]: one for one in comparisons if (one["metric"], one["a"]) == (metric, base["label"])}
    after = [
        {"subject": subject, "value": _value(subject, metric), "paired": paired.get(subject["label"])}
        for subject in tuned[:_MOST_IN_HEAD]
    ]
    decimals = kind_of(metric).decimals
    return {"metric": metric, "decimals": decimals, "base": base, "before": _value(base, metric), "after": after}


def _panels(subjects: Sequence[Facts], decides: str) -> list[Facts]:
    """A panel a metric, the one that decides first: each subject's value and interval on one axis."""
    names = dict.fromkeys([decides, *(one["name"] for subject in subjects for one in subject["metrics"])])
    panels: list[Facts] = []
    for name in names:
        scores = [(subject, one) for subject in subjects for one in subject["metrics"] if one["name"] == name]
        scores = [(subject, one) for subject, one in scores if None not in (one["value"], one["low"], one["high"])]
        if not scores:
            continue
        kind, ticks = kind_of(name), 4 if name == decides else 2
        axis = Axis.over((one[end] for _, one in scores for end in ("low", "value", "high")), ticks=ticks)
        rows: list[Facts] = []
        for subject, one in scores:
            value, low, high = (number(one[end], kind.decimals) for end in ("value", "low", "high"))
            label = f"{subject['label']}: {kind.words} {value}, 95 % interval {low} to {high}"
            chart = charts.whisker(axis, one["value"], one["low"], one["high"], label, _kind(subject))
            rows.append({"subject": subject, "value": value, "low": low, "high": high, "chart": chart})
        panels.append({"metric": name, "lower": kind.lower_is_better, "rows": rows, "scale": charts.scale(axis)})
    return panels


def _verdicts(comparisons: Sequence[Facts], focus: set[str]) -> list[Facts]:
    """Groups of comparisons by metric, their differences on one axis; those of the subjects in focus first."""
    comparisons = sorted(comparisons, key=lambda one: -len(focus & {one["a"], one["b"]}))
    groups: list[Facts] = []
    for name in dict.fromkeys(one["metric"] for one in comparisons):
        of_metric = [
            one | {"name": f"{one['b']} against {one['a']}", "decimals": kind_of(name).decimals}
            for one in comparisons
            if one["metric"] == name
        ]
        groups.append({"metric": name, **_differences(of_metric, ("difference", "low", "high"))})
    return groups


def _differences(rows: Sequence[Facts], keys: tuple[str, str, str]) -> Facts:
    """The rows, each with its difference as a `chart` around 0, and the axis' scale.

    `keys` are those of the difference and of its interval's ends; a row's `name` and `decimals` are for its chart.
    """
    axis = Axis.over(one[key] for one in rows for key in keys if one[key] is not None)
    drawn: list[Facts] = []
    for one in rows:
        value, low, high = (one[key] for key in keys)
        chart: Markup | None = None
        if None not in (value, low, high):
            figures = [signed(figure, one["decimals"]) for figure in (value, low, high)]
            label = f"{one['name']}: {figures[0]}, interval {figures[1]} to {figures[2]}"
            chart = charts.whisker(axis, value, low, high, label, "difference")
        drawn.append(one | {"chart": chart})
    return {"rows": drawn, "scale": charts.scale(axis, signed=True)}


def _cases(rows: Sequence[Facts], *, labelled: bool) -> list[Facts]:
    """Test rows with their answers; labels are grouped by who gave them, the expected one first."""
    cases: list[Facts] = []
    for row in rows:
        expected = [row["expected"]] if isinstance(row["expected"], str) else row["expected"]
        right: Facts = row.get("right") or {}
        given: dict[str, list[str]] = {text: [] for text in expected}
        for name, answer in row["answers"].items():
            given.setdefault(expected[0] if right.get(name) else answer, []).append(name)
        answers: list[Facts] = [{"text": text, "right": text in expected, "who": who} for text, who in given.items()]
        answers.sort(key=lambda answer: (not answer["right"], -len(answer["who"])))
        cases.append(row | {"expected": expected, "given": answers if labelled else None})
    return cases


def _mistakes_note(report: Facts) -> str:
    if any(one.get("confidence") is not None for one in report["mistakes"]):
        return f"Test rows that {report['mistakes_of']} has wrong, the surest first."
    if report["decides"] in ("accuracy", "preference"):
        return f"Test rows that {report['mistakes_of']} has wrong."
    return f"Test rows on which {report['mistakes_of']} scored lowest."


def _confusion(subject: Facts, *, shown: bool) -> Facts:
    labels, counts = subject["confusion"]["labels"], subject["confusion"]["counts"]
    if not any(row[len(labels)] for row in counts if len(row) > len(labels)):
        counts = [row[: len(labels)] for row in counts]
    columns = [*labels, "no label"][: max(map(len, counts), default=0)]
    pairs: list[Facts] = [
        {"expected": labels[row], "answered": columns[column], "count": count, "share": count / sum(figures)}
        for row, figures in enumerate(counts)
        for column, count in enumerate(figures)
        if count and row != column
    ]
    pairs.sort(key=lambda pair: -pair["count"])
    small = len(labels) <= MOST_CELLS
    return {
        "subject": subject,
        "shown": shown,
        "labels": labels,
        "columns": columns,
        "rows": [
            [(count, charts.heat(count, sum(figures), right=row == column)) for column, count in enumerate(figures)]
            for row, figures in enumerate(counts)
        ]
        if small
        else None,
        "pairs": pairs[:_MOST_PAIRS],
        "further": pairs[_MOST_PAIRS:],
        "chart": charts.heat_map(counts, f"Confusion of {len(labels)} labels by {subject['label']}")
        if not small
        else None,
    }


def _classes(base: Facts | None, tuned: Facts | None) -> Facts | None:
    """F1 a label, the weakest of the tuned subject first; of whichever of the two has scores."""
    scored = [subject for subject in (base, tuned) if subject and subject["per_class"]]
    if not scored:
        return None
    main = scored[-1]
    f1 = {_kind(subject): {one["label"]: one["f1"] for one in subject["per_class"]} for subject in scored}
    axis = Axis(0.0, 1.0, 0.5)
    rows: list[Facts] = []
    for one in sorted(main["per_class"], key=lambda one: (not one["support"], one["f1"], one["label"])):
        values = [(kind, scores[one["label"]]) for kind, scores in f1.items() if one["label"] in scores]
        label = f"F1 of {one['label']}: " + ", ".join(f"{kind} {number(value)}" for kind, value in values)
        rows.append(one | {"values": dict(values), "chart": charts.bars(axis, values, label)})
    return {"main": main, "subjects": scored, "rows": rows, "scale": charts.scale(axis)}


def _reliability(subject: Facts) -> Facts:
    bins = [one for one in subject["calibration"]["bins"] if one["count"]]
    total = sum(one["count"] for one in bins)
    points = [(one["confidence"], one["accuracy"], one["count"] / total) for one in bins]
    label = f"Accuracy over confidence of {subject['label']}, calibration error {number(subject['calibration']['ece'])}"
    return {
        "subject": subject,
        "bins": bins,
        "chart": charts.reliability(points, label, _kind(subject)),
        **subject["calibration"],
    }


def _slices(subject: Facts) -> Facts:
    """The slices of a subject, the flagged and the widest gaps first."""
    ordered = sorted(subject["slices"], key=lambda one: (not one["flagged"], -abs(one["gap"] or 0.0)))
    rows = [
        one | {"name": f"{one['column']} {one['value']}", "decimals": kind_of(one["metric"]).decimals}
        for one in ordered
    ]
    flagged = sum(one["flagged"] for one in ordered)
    return {"subject": subject, "flagged": flagged, **_differences(rows, ("gap", "gap_low", "gap_high"))}


def _forgetting(probes: Sequence[Facts]) -> Facts | None:
    rows = [one | {"name": f"{one['subject']}, {one['source']}", "decimals": 3} for one in probes]
    return _differences(rows, ("difference", "low", "high")) if rows else None


def _training(training: Facts) -> Facts:
    steps: list[Facts] = training.get("steps") or []
    series = [
        Series(name, name, [(one["step"], one[field]) for one in steps if one.get(field) is not None])
        for name, field in (("training", "loss"), ("validation", "validation_loss"))
    ]
    label = f"Loss over {len(steps)} steps" + "".join(
        f"; {one.name} from {one.points[0][1]:.3f} to {one.points[-1][1]:.3f}" for one in series if one.points
    )
    every = math.ceil(len(steps) / _MOST_STEPS) or 1
    return {
        "chart": charts.lines(series, label) if any(one.points for one in series) else None,
        "steps": steps[every - 1 :: every],
        "summary": training.get("summary") or {},
        "augmented": training.get("augmented_rows") or {},
        "replayed": training.get("replayed_rows") or {},
    }


def _speed(subjects: Sequence[Facts]) -> Facts | None:
    if not subjects:
        return None
    fastest = max((one["latency"]["tokens_per_s"] or 0.0 for one in subjects), default=0.0)
    axis = Axis.over([fastest])
    rows = [
        one["latency"]
        | {
            "subject": one,
            "chart": charts.bars(
                axis,
                [(_kind(one), one["latency"]["tokens_per_s"] or 0.0)],
                f"{one['label']}: {number(one['latency']['tokens_per_s'], 1)} tokens per second",
            ),
        }
        for one in subjects
    ]
    return {"rows": rows, "scale": charts.scale(axis)}

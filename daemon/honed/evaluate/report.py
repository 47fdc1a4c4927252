"""The report of an evaluation: results, comparisons, forgetting and samples as one JSON document, and as a page."""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from honed.data import Example
from honed.evaluate.comparison import Comparison, compare_corpora, compare_labels, compare_scores
from honed.evaluate.forgetting import Forgetting
from honed.evaluate.metric import KINDS
from honed.evaluate.page import render_page
from honed.evaluate.result import Result

FORMAT = "honed-report-1"
HTML_FILE, JSON_FILE = "report.html", "report.json"
_MISTAKES = 25
_SAMPLES = 12
_SHOWN_CHARACTERS = 4000


@dataclass
class Evidence:
    """What a report is made of, collected on the way."""

    title: str
    dataset: dict[str, Any]
    examples: Sequence[Example]
    seed: int
    results: list[Result] = field(default_factory=list[Result])
    choices: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    forgetting: list[Forgetting] = field(default_factory=list[Forgetting])
    training: dict[str, Any] | None = None


@dataclass(frozen=True)
class Roles:
    """Who is set against whom, decided here once for the headline, the page and the mistakes.

    Attributes:
        strongest_untuned: the way of asking a base that did best on these very rows, which favours the base; nothing is
            claimed for it.
        under_test: each tuned subject as it was asked first, which is how it is used.
    """

    strongest_untuned: Result | None
    under_test: tuple[Result, ...]

    @classmethod
    def of(cls, results: Sequence[Result]) -> "Roles":
        first: dict[str, Result] = {}
        for result in results:
            if result.who.tuned:
                first.setdefault(result.who.name, result)
        under_test = tuple(first.values())
        # An NLL per token compares only where the tokens are the same.
        weights = (under_test or results)[0].weights
        untuned = [result for result in results if not result.who.tuned and result.weights == weights]
        return cls(max(untuned, key=_worth, default=None), under_test)

    @property
    def shown(self) -> Result:
        """Whose mistakes are shown: the first subject under test, else the strongest untuned one."""
        shown = self.under_test[0] if self.under_test else self.strongest_untuned
        assert shown is not None, "every result is tuned or not"
        return shown


def write_report(folder: Path, evidence: Evidence, created: str, version: str) -> str:
    """Writes report.json and report.html; returns the headline."""
    document = build(evidence, created, version)
    text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False)
    (folder / JSON_FILE).write_text(text, "utf-8")
    (folder / HTML_FILE).write_text(render_page(document), "utf-8")
    return document["headline"]


def build(evidence: Evidence, created: str, version: str) -> dict[str, Any]:
    """The document that docs/evaluation.md describes."""
    roles = Roles.of(evidence.results)
    compared = comparisons(evidence.results, evidence.seed)
    labels = evidence.dataset["labels"]
    return {
        "format": FORMAT,
        "title": evidence.title,
        "created": created,
        "honed_version": version,
        "headline": headline(roles, compared),
        "decides": roles.shown.main,
        "strongest_untuned": roles.strongest_untuned.label if roles.strongest_untuned else None,
        "under_test": [result.label for result in roles.under_test],
        "mistakes_of": roles.shown.label,
        "dataset": evidence.dataset,
        "choices": evidence.choices,
        "training": evidence.training,
        "subjects": [_subject(result, labels) for result in evidence.results],
        "comparisons": [asdict(each) for each in compared],
        "forgetting": [asdict(each) for each in evidence.forgetting],
        "mistakes": _mistakes(evidence, roles.shown),
        "samples": _samples(evidence),
    }


def comparisons(results: Sequence[Result], seed: int) -> list[Comparison]:
    """Every two results by what decides for their task; tuned against untuned first."""
    found: list[tuple[bool, Comparison]] = []
    for a, b in combinations(sorted(results, key=lambda result: result.who.tuned), 2):
        names, main = (a.label, b.label), a.main
        pair: list[Comparison] = []
        if main in ("accuracy", "preference"):
            pair.append(compare_labels(main, *names, a.right, b.right, seed))
        elif main not in a.statistics and a.weights == b.weights:
            # An NLL per token compares only where the tokens are the same.
            pair.append(compare_scores(main, *names, a.scores, b.scores, seed, a.weights))
        pair += [compare_corpora(name, *names, a.statistics[name], b.statistics[name], seed) for name in a.statistics]
        found += [(a.who.tuned != b.who.tuned, each) for each in pair]
    return [each for _, each in sorted(found, key=lambda pair: not pair[0])]


def headline(roles: Roles, compared: Sequence[Comparison]) -> str:
    """The finding in one sentence for each subject under test: how it does against the strongest untuned one."""
    base = roles.strongest_untuned
    sentences = [
        each.sentence
        for result in roles.under_test
        for each in compared
        if base and (each.a, each.b, each.metric) == (base.label, result.label, result.main)
    ]
    return " ".join(sentences) or _figure(roles.shown)


def _figure(result: Result) -> str:
    metric = next(each for each in result.metrics if each.name == result.main)
    kind = KINDS[metric.name]
    value, low, high = (f"{figure:.{kind.decimals}f}" for figure in (metric.value, metric.low, metric.high))
    return f"{result.label}: {kind.words} {value} on {len(result.scores):,} rows (95 % interval {low} to {high})."


def _worth(result: Result) -> float:
    value = result.value(result.main)
    return -value if KINDS[result.main].lower_is_better else value


def _subject(result: Result, labels: Sequence[str]) -> dict[str, Any]:
    return {
        "label": result.label,
        "name": result.who.name,
        "resource": result.who.resource,
        "runtime": result.who.runtime,
        "tuned": result.who.tuned,
        "mode": result.mode,
        "metrics": [asdict(metric) for metric in result.metrics],
        "per_class": [asdict(each) for each in result.per_class] or None,
        "confusion": {"labels": list(labels), "counts": result.confusion} if result.confusion else None,
        "calibration": asdict(result.calibration) if result.calibration else None,
        "latency": asdict(result.latency) if result.latency else None,
        "cut_answers": result.cut_answers,
        "slices": [asdict(each) for each in result.slices],
    }


def _mistakes(evidence: Evidence, subject: Result) -> list[dict[str, Any]]:
    """Rows that a subject has wrong: the worst first, of these the surest, those of unknown confidence last.

    The confidence is that of reading by likelihood, where it gave the same wrong answer.
    """
    if not subject.right:
        return []
    sure: dict[int, float] = {}
    for weighed in evidence.results:
        if weighed.who == subject.who and weighed.confidence:
            given = zip(subject.predicted, weighed.predicted, weighed.confidence, strict=True)
            sure = {row: confidence for row, (one, other, confidence) in enumerate(given) if one == other}
    highest = KINDS[subject.main].highest
    wrong = [row for row, right in enumerate(subject.right) if not right and subject.scores[row] < highest]
    wrong.sort(key=lambda row: (subject.scores[row], -sure.get(row, -1.0)))
    return [
        _row(evidence, row) | {"confidence": sure.get(row), "expected": _shown(evidence.examples[row].reply)}
        for row in wrong[:_MISTAKES]
    ]


def _samples(evidence: Evidence) -> list[dict[str, Any]]:
    """A few rows drawn by seed, with what every subject said."""
    if not any(any(result.answers) for result in evidence.results):
        return []
    count = min(_SAMPLES, len(evidence.examples))
    draw = random.Random(f"samples:{evidence.seed}")  # noqa: S311 - a sample, no secret
    return [
        _row(evidence, row)
        | {"expected": [_shown(each) for each in (evidence.examples[row].reply, *evidence.examples[row].references)]}
        for row in sorted(draw.sample(range(len(evidence.examples)), count))
    ]


def _row(evidence: Evidence, row: int) -> dict[str, Any]:
    example = evidence.examples[row]
    answered = [result for result in evidence.results if any(result.answers)]
    return {
        "row": example.row,
        "prompt": _shown(example.messages[-1].content if example.messages else example.reply),
        "answers": {result.label: _shown(result.answers[row]) for result in answered},
        "right": {result.label: result.right[row] for result in answered},
    }


def _shown(text: str) -> str:
    """Text for people; what is left out is said."""
    rest = len(text) - _SHOWN_CHARACTERS
    return text if rest <= 0 else f"{text[:_SHOWN_CHARACTERS]} … ({rest:,} more characters)"

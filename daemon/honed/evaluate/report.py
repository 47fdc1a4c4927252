"""The report of an evaluation: results, comparisons, forgetting and samples as one JSON document, and as a page."""

import json
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from honed.data import Example
from honed.evaluate.comparison import Comparison, compare_bleu, compare_labels, compare_nll, compare_scores
from honed.evaluate.metric import KINDS
from honed.evaluate.page import render_page
from honed.evaluate.result import Result

FORMAT = "honed-report-1"
HTML_FILE, JSON_FILE = "report.html", "report.json"
_MISTAKES = 25
_SAMPLES = 12
_SHOWN_CHARACTERS = 4000


@dataclass(frozen=True)
class Forgetting:
    """NLL per token of a text that was not tuned on, with the adapter against without it; negative is better."""

    source: str
    subject: str
    rows: int
    tokens: int
    before_nll: float
    after_nll: float
    difference: float
    low: float
    high: float
    sentence: str


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


def write_report(folder: Path, evidence: Evidence, created: str, version: str) -> str:
    """Writes report.json and report.html; returns the headline."""
    document = build(evidence, created, version)
    (folder / JSON_FILE).write_text(json.dumps(document, ensure_ascii=False, indent=1), "utf-8")
    (folder / HTML_FILE).write_text(render_page(document), "utf-8")
    return document["headline"]


def build(evidence: Evidence, created: str, version: str) -> dict[str, Any]:
    """The document that docs/evaluation.md describes."""
    compared = comparisons(evidence.results, evidence.examples, evidence.seed)
    labels = evidence.dataset["labels"]
    return {
        "format": FORMAT,
        "title": evidence.title,
        "created": created,
        "honed_version": version,
        "headline": headline(evidence.results, compared),
        "dataset": evidence.dataset,
        "choices": evidence.choices,
        "training": evidence.training,
        "subjects": [_subject(result, labels) for result in evidence.results],
        "comparisons": [asdict(each) for each in compared],
        "forgetting": [asdict(each) for each in evidence.forgetting],
        "mistakes": _mistakes(evidence),
        "samples": _samples(evidence),
    }


def comparisons(results: Sequence[Result], examples: Sequence[Example], seed: int) -> list[Comparison]:
    """Every two results by what decides for their task; tuned against untuned first."""
    found: list[tuple[bool, Comparison]] = []
    references = [(example.reply, *example.references) for example in examples]
    for a, b in combinations(sorted(results, key=lambda result: result.who.tuned), 2):
        names, crossing = (a.label, b.label), a.who.tuned != b.who.tuned
        if a.main != b.main:
            continue  # likelihood of a text and an answer in words have nothing to compare
        if a.main == "accuracy":
            first, second = ([score == 1 for score in each.scores["accuracy"]] for each in (a, b))
            found.append((crossing, compare_labels(*names, first, second, seed)))
            continue
        if a.main == "nll":
            first, second = (
                [nll * count for nll, count in zip(each.scores["nll"], each.tokens, strict=True)] for each in (a, b)
            )
            if a.tokens == b.tokens:  # NLL per token compares only where the tokens are the same
                found.append((crossing, compare_nll(*names, first, second, a.tokens, seed)))
            continue
        found.append((crossing, compare_scores(a.main, *names, a.scores[a.main], b.scores[b.main], seed)))
        if a.main == "rouge_l":
            found.append((crossing, compare_bleu(*names, a.answers, b.answers, references, seed)))
    return [each for _, each in sorted(found, key=lambda pair: not pair[0])]


def headline(results: Sequence[Result], compared: Sequence[Comparison]) -> str:
    """The finding in one sentence for each tuned subject: how it does against the strongest way of asking the base.

    The strongest is the one that did best on these very rows, which favours the base; nothing is claimed for it.
    """
    untuned = [result for result in results if not result.who.tuned]
    tuned = [result for result in results if result.who.tuned]
    sentences: list[str] = []
    for name in dict.fromkeys(result.who.name for result in tuned):
        result = next(each for each in tuned if each.who.name == name)  # as it answers freely, where it does
        rivals = [each for each in untuned if each.main == result.main]
        strongest = max(rivals, key=_worth, default=None)
        sentences += [
            each.sentence
            for each in compared
            if strongest and (each.a, each.b, each.metric) == (strongest.label, result.label, result.main)
        ]
    return " ".join(sentences) or _figure(results[-1])


def _figure(result: Result) -> str:
    metric = next(each for each in result.metrics if each.name == result.main)
    kind = KINDS[metric.name]
    value, low, high = (f"{figure:.{kind.decimals}f}" for figure in (metric.value, metric.low, metric.high))
    return f"{result.label}: {kind.words} {value} on {len(result.answers):,} rows (95 % interval {low} to {high})."


def _worth(result: Result) -> float:
    value = result.value(result.main)
    return -value if KINDS[result.main].lower_is_better else value


def _subject(result: Result, labels: Sequence[str]) -> dict[str, Any]:
    return {
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
        "slices": [asdict(each) for each in result.slices],
    }


def _mistakes(evidence: Evidence) -> list[dict[str, Any]]:
    """Rows that the subject under test has wrong: the worst first, and of these the most confident."""
    subject = next((result for result in evidence.results if result.who.tuned), evidence.results[0])
    if subject.main == "nll":
        return []
    sure = next((each.confidence for each in evidence.results if each.who == subject.who and each.confidence), ())
    scores = subject.scores[subject.main]
    wrong = [row for row, score in enumerate(scores) if score < 1]
    wrong.sort(key=lambda row: (scores[row], -sure[row] if sure else 0.0))
    return [
        _row(evidence, row)
        | {"confidence": sure[row] if sure else None, "expected": _shown(evidence.examples[row].reply)}
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
    return {
        "row": example.row,
        "prompt": _shown(example.messages[-1].content if example.messages else example.reply),
        "answers": {result.label: _shown(result.answers[row]) for result in evidence.results if any(result.answers)},
    }


def _shown(text: str) -> str:
    """Text for people; what is left out is said."""
    rest = len(text) - _SHOWN_CHARACTERS
    return text if rest <= 0 else f"{text[:_SHOWN_CHARACTERS]} … ({rest:,} more characters)"

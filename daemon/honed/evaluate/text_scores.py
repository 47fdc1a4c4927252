"""Scores of free text against one or several references.

BLEU and chrF are sacrebleu's with its defaults (13a tokenizer, exponential smoothing; character 6-grams, beta 2), on a
scale to 100; every other score lies between 0 and 1. Each row has at least one reference, and rows may have different
numbers of them.
"""

import json
import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final, NoReturn, cast

import numpy as np
from honed.evaluate.intervals import Floats, interval, resampled_sums
from honed.evaluate.metric import Metric
from sacrebleu.metrics.base import Metric as CorpusMetric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ROUGE_TOKEN = re.compile(r"[a-z0-9]+")
_BLEU = BLEU(force=True)  # no warning for text that looks tokenised: it may be what the data are
_CHRF = CHRF()


@dataclass(frozen=True)
class TextScores:
    """Scores over all rows, with intervals, and what they are made of, by name.

    Attributes:
        metrics: exact_match, token_f1, bleu, chrf and rouge_l.
        rows: the scores that a row has, in the order of the rows: exact_match, token_f1 and rouge_l.
        statistics: what the scores of a corpus are sums of, bleu [N, 10] and chrf [N, 18].
    """

    metrics: tuple[Metric, ...]
    rows: dict[str, tuple[float, ...]]
    statistics: dict[str, Floats]


def score_texts(answers: Sequence[str], references: Sequence[Sequence[str]], seed: int) -> TextScores:
    """Scores N answers, each against its references; where a score is a row's, the best reference counts."""
    means = {
        "exact_match": _best(exact_match, answers, references),
        "token_f1": _best(token_f1, answers, references),
        "rouge_l": _best(rouge_l, answers, references),
    }
    statistics = {"bleu": bleu_statistics(answers, references), "chrf": chrf_statistics(answers, references)}
    columns = np.column_stack([*means.values(), *statistics.values()])
    totals, drawn = columns.sum(axis=0, keepdims=True), resampled_sums(columns, seed)

    def metric(name: str, of_sums: Callable[[Floats], Floats]) -> Metric:
        value = float(of_sums(totals)[0])
        return Metric(name, value, *interval(value, of_sums(drawn)))

    rows, split = len(answers), len(means) + statistics["bleu"].shape[1]
    return TextScores(
        metrics=(
            metric("exact_match", lambda sums: sums[:, 0] / rows),
            metric("token_f1", lambda sums: sums[:, 1] / rows),
            metric("bleu", lambda sums: corpus_bleu(sums[:, len(means) : split])),
            metric("chrf", lambda sums: corpus_chrf(sums[:, split:])),
            metric("rouge_l", lambda sums: sums[:, 2] / rows),
        ),
        rows=means,
        statistics=statistics,
    )


def bleu_statistics(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    """What BLEU needs of each row [N, 10]: both lengths, matching and all n-grams; it is a function of their sums."""
    return _statistics(_BLEU, answers, references)


def chrf_statistics(answers: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    """What chrF needs of each row [N, 18]: n-grams of the answer, of its best reference, and of both, by order."""
    return _statistics(_CHRF, answers, references)


def corpus_bleu(sums: Floats) -> Floats:
    """BLEU [S] of S sums of row statistics [S, 10]."""
    return _scores(_BLEU, sums)


def corpus_chrf(sums: Floats) -> Floats:
    """chrF [S] of S sums of row statistics [S, 18]."""
    return _scores(_CHRF, sums)


CORPUS_SCORES: Final[Mapping[str, Callable[[Floats], Floats]]] = {"bleu": corpus_bleu, "chrf": corpus_chrf}


# sacrebleu offers a corpus's score and a symmetric interval, but neither percentiles nor anything paired. The two
# methods below are its own way to them, though private: a test holds their result against corpus_score.
def _statistics(metric: CorpusMetric, answers: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    streams: list[Any] = list(zip_longest(*references))  # all first references, all second ones, ...; None: no more
    found = metric._extract_corpus_statistics(answers, streams)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return np.array(found, np.float64)


def _scores(metric: CorpusMetric, sums: Floats) -> Floats:
    score = metric._compute_score_from_stats  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return np.array([score(line).score for line in sums.astype(np.int64).tolist()], np.float64)


def _best(
    score: Callable[[str, Sequence[str]], float], answers: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[float, ...]:
    return tuple(score(answer, accepted) for answer, accepted in zip(answers, references, strict=True))


def exact_match(answer: str, references: Sequence[str]) -> float:
    """1.0 if the answer is one of the references, both normalised as for SQuAD."""
    return float(_normalised(answer) in {_normalised(reference) for reference in references})


def token_f1(answer: str, references: Sequence[str]) -> float:
    """F1 of the words that answer and reference share, both normalised as for SQuAD; two empty texts agree."""
    found = _normalised(answer).split()
    return max(_f1(found, _normalised(reference).split()) for reference in references)


def _f1(found: list[str], expected: list[str]) -> float:
    if not found or not expected:
        return float(found == expected)
    return 2 * (Counter(found) & Counter(expected)).total() / (len(found) + len(expected))


def _normalised(text: str) -> str:
    """Lower case, without punctuation, articles and extra white space (SQuAD's evaluation, Rajpurkar et al. 2016).

    A text made of nothing else ("A", as in a multiple choice) keeps it: else it would equal the empty answer.
    """
    lower = text.lower()
    return " ".join(_ARTICLES.sub(" ", lower.translate(_NO_PUNCTUATION)).split()) or " ".join(lower.split())


def rouge_l(answer: str, references: Sequence[str]) -> float:
    """ROUGE-L (Lin 2004): F1 of the longest common subsequence of tokens, as rouge_score without a stemmer.

    Tokens are runs of a to z and digits, so text in another script scores 0.
    """
    found = _ROUGE_TOKEN.findall(answer.lower())
    places: dict[str, int] = {}
    for place, token in enumerate(found):
        places[token] = places.get(token, 0) | 1 << place
    return max(_rouge_l(len(found), places, _ROUGE_TOKEN.findall(reference.lower())) for reference in references)


def rouge_can_read(reference: str) -> bool:
    """Whether ROUGE-L sees most of a text: half of its letters and digits at least are tokens, and there are some."""
    seen = sum(map(len, _ROUGE_TOKEN.findall(reference.lower())))
    return 0 < seen >= sum(map(str.isalnum, reference)) / 2


def _rouge_l(length: int, places: dict[str, int], reference: list[str]) -> float:
    """Against one reference; bit i of places[token] says that the answer's token i is that one.

    Bit-parallel: a row of the table is one integer, whose zero bits are the steps up (Hyyrö, Bit-Parallel LCS-length
    Computation Revisited, 2004).
    """
    if not length or not reference:
        return 0.0
    row = ones = (1 << length) - 1
    for token in reference:
        step = row & places.get(token, 0)
        row = (row + step | row - step) & ones
    return 2 * (length - row.bit_count()) / (length + len(reference))


def json_valid(answers: Sequence[str]) -> tuple[float, ...]:
    """For each answer 1.0 if it is a JSON object and nothing else, as a program would need it."""
    return tuple(float(_object(answer) is not None) for answer in answers)


def field_f1(answers: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, ...]:
    """For each row the F1 of its fields: 2 · right / (fields of the answer + fields of the reference), the best one.

    A field is right if its value is the same JSON value, strings without outer white space. An answer or a reference
    that is no JSON object has no right fields; two empty objects agree.
    """
    return _best(_field_f1, answers, references)


def _field_f1(answer: str, references: Sequence[str]) -> float:
    found = _object(answer)
    return max(_fields(found, _object(reference)) for reference in references)


def _fields(found: dict[str, Any] | None, expected: dict[str, Any] | None) -> float:
    if found is None or expected is None:
        return 0.0
    if not found and not expected:
        return 1.0
    right = sum(name in found and _same(found[name], value) for name, value in expected.items())
    return 2 * right / (len(found) + len(expected))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):  # in Python True == 1
        return one is other
    if isinstance(one, str) and isinstance(other, str):
        return one.strip() == other.strip()
    if isinstance(one, list) and isinstance(other, list):
        ones, others = cast("list[Any]", one), cast("list[Any]", other)
        return len(ones) == len(others) and all(map(_same, ones, others))
    if isinstance(one, dict) and isinstance(other, dict):
        fields, against = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return fields.keys() == against.keys() and all(_same(fields[name], against[name]) for name in fields)
    return one == other


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # a model may well write a thousand brackets
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _no_constant(name: str) -> NoReturn:
    """Python reads NaN and Infinity, which are not JSON."""
    raise ValueError(name)

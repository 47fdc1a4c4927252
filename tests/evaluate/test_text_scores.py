"""BLEU and chrF against sacrebleu, ROUGE-L against rouge_score, the others against values worked out by hand."""

import csv
import random
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pytest
from honed.evaluate.intervals import resamples
from honed.evaluate.text_scores import (
    bleu_statistics,
    chrf_statistics,
    corpus_bleu,
    corpus_chrf,
    exact_match,
    field_f1,
    json_valid,
    rouge_l,
    score_texts,
    token_f1,
)
from hypothesis import given, settings
from hypothesis import strategies as st

E2E = Path(__file__).parents[3] / "shared" / "data" / "e2e_nlg" / "test_with_refs.csv"

ANSWERS = (
    "Blue Spice is a coffee shop in the city centre.",
    "The Punter serves cheap food , near the river .",
    "",
    "Zizzi: a family-friendly pub with a 5 out of 5 rating!",
    "It is.",
)
REFERENCES = (
    ("A coffee shop in the city centre area called Blue Spice.", "Blue Spice is a coffee shop in city centre."),
    ("The Punter has cheap food and is near the river.",),
    ("There is nothing.", "Nothing.", "None at all."),
    ("Zizzi is a pub, family friendly, rated 5 out of 5.", "The pub Zizzi has a 5 out of 5 rating."),
    ("It is.", "Yes."),
)


def values(found):
    return {metric.name: metric.value for metric in found.metrics}


def expected_corpus_scores(answers, references):
    """BLEU and chrF as sacrebleu gives them for rows with different numbers of references."""
    from sacrebleu.metrics import BLEU, CHRF

    streams = list(zip_longest(*references))
    return BLEU().corpus_score(answers, streams).score, CHRF().corpus_score(answers, streams).score


@pytest.fixture(scope="module")
def rouge():
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    return lambda answer, references: scorer.score_multi(references, answer)["rougeL"].fmeasure


def test_corpus_scores_are_those_of_sacrebleu():
    found = values(score_texts(ANSWERS, REFERENCES, seed=0))
    bleu, chrf = expected_corpus_scores(ANSWERS, REFERENCES)
    assert 0 < bleu < chrf < 100
    assert (found["bleu"], found["chrf"]) == pytest.approx((bleu, chrf), abs=1e-9)


def test_rows_with_different_numbers_of_references_are_each_held_against_their_own():
    # sacrebleu's own words for one row: the sentence score knows no other row's references.
    from sacrebleu.metrics import CHRF

    rows = corpus_chrf(score_texts(ANSWERS, REFERENCES, seed=0).statistics["chrf"])
    alone = [CHRF().sentence_score(answer, refs).score for answer, refs in zip(ANSWERS, REFERENCES, strict=True)]
    assert rows == pytest.approx(alone, abs=1e-9)


def test_the_order_of_the_references_does_not_matter():
    answers = [answer or "No." for answer in ANSWERS]  # with nothing in common, chrF counts the first reference
    turned = [refs[::-1] for refs in REFERENCES]
    assert values(score_texts(answers, turned, 0)) == values(score_texts(answers, REFERENCES, 0))


@pytest.mark.skipif(not E2E.exists(), reason="needs the measuring data, which users do not have")
def test_scores_on_real_references_are_those_of_the_reference_libraries(rouge):
    with E2E.open(encoding="utf-8", newline="") as file:
        grouped = {}
        for row in csv.DictReader(file):
            grouped.setdefault(row["mr"], []).append(row["ref"])
    draw = random.Random(0)
    answers, references = [], []
    for texts in grouped.values():
        # Another row's text now and then, else one of its own with a tenth of the words missing.
        answer = draw.choice(draw.choice(list(grouped.values()))) if draw.random() < 0.2 else draw.choice(texts)
        answers.append(" ".join(word for word in answer.split() if draw.random() > 0.1))
        references.append([text for text in texts if text != answer] or texts)
    assert len(answers) == 630
    assert len({len(refs) for refs in references}) > 5
    found = score_texts(answers, references, seed=0)
    scores = values(found)
    assert (scores["bleu"], scores["chrf"]) == pytest.approx(expected_corpus_scores(answers, references), abs=1e-9)
    expected = [rouge(answer, refs) for answer, refs in zip(answers, references, strict=True)]
    assert found.rows["rouge_l"] == pytest.approx(expected, abs=1e-9)
    assert scores["rouge_l"] == pytest.approx(sum(expected) / 630, abs=1e-9)
    for metric in found.metrics:
        assert metric.low < metric.value < metric.high


def test_a_score_from_summed_statistics_is_the_score_of_those_rows():
    bleu, chrf = bleu_statistics(ANSWERS, REFERENCES), chrf_statistics(ANSWERS, REFERENCES)
    assert (bleu.shape, chrf.shape) == ((5, 10), (5, 18))
    for rows in ([0, 1, 2, 3, 4], [0, 0, 3], [1, 4], [3]):
        expected = expected_corpus_scores([ANSWERS[i] for i in rows], [REFERENCES[i] for i in rows])
        found = corpus_bleu(bleu[rows].sum(axis=0)[None])[0], corpus_chrf(chrf[rows].sum(axis=0)[None])[0]
        assert found == pytest.approx(expected, abs=1e-9)


def test_intervals_are_those_of_the_scores_on_resampled_rows():
    from sacrebleu.metrics import BLEU

    found = score_texts(ANSWERS, REFERENCES, seed=5)
    lines = np.concatenate(list(resamples(5, seed=5))).astype(int)
    metric, known = BLEU(), {}
    for line in map(tuple, lines):
        if line not in known:  # 126 ways to draw five rows of five
            rows = [i for i, n in enumerate(line) for _ in range(n)]
            streams = list(zip_longest(*(REFERENCES[i] for i in rows)))
            known[line] = metric.corpus_score([ANSWERS[i] for i in rows], streams).score
    ordered = sorted(known[tuple(line)] for line in lines)
    bleu = next(each for each in found.metrics if each.name == "bleu")
    assert (bleu.low, bleu.high) == pytest.approx((ordered[49], ordered[-50]), abs=1e-9)


def test_row_scores_average_to_the_figure_except_for_corpus_scores():
    found = score_texts(ANSWERS, REFERENCES, seed=0)
    assert set(found.rows) == {"exact_match", "token_f1", "rouge_l"}
    for name in ("exact_match", "token_f1", "rouge_l"):
        assert sum(found.rows[name]) / 5 == pytest.approx(values(found)[name])
        assert all(0 <= score <= 1 for score in found.rows[name])
    assert [metric.name for metric in found.metrics] == ["exact_match", "token_f1", "bleu", "chrf", "rouge_l"]


def test_answers_equal_to_a_reference_get_everything():
    answers = [refs[-1] for refs in REFERENCES[:2]]
    found = score_texts(answers, REFERENCES[:2], seed=0)
    assert {name: pytest.approx(score) for name, score in values(found).items()} == {
        "exact_match": 1,
        "token_f1": 1,
        "bleu": 100,
        "chrf": 100,
        "rouge_l": 1,
    }
    assert all(metric.low == pytest.approx(metric.high) for metric in found.metrics)


@pytest.mark.parametrize("answer", ["", "...", "完全に違う"])
def test_a_single_useless_answer_gets_nothing(answer):
    found = score_texts([answer], [["Blue Spice is a pub"]], seed=0)
    assert [(metric.value, metric.low, metric.high) for metric in found.metrics] == [(0, 0, 0)] * 5


@pytest.mark.parametrize(
    ("answer", "reference", "matches", "f1"),
    [
        ("The cat.", "cat", 1, 1),
        ("  A   well-known  Cat! ", "wellknown cat", 1, 1),
        ("Paris", "Rome", 0, 0),
        ("in Paris", "Paris", 0, 2 / 3),
        ("big big dog", "a big dog", 0, 2 * 2 / 5),
        ("dog big", "big dog", 0, 1),
        ("", "Paris", 0, 0),
        ("", "", 1, 1),
        ("there", "the re", 0, 0),
        ("A", "a.", 0, 0),  # articles alone are kept as they are, full stop and all
        ("A", "a", 1, 1),
        ("", "A", 0, 0),  # a multiple choice is not answered by silence
        ("the", "A", 0, 0),
    ],
)
def test_exact_match_and_token_f1_after_the_normalisation_of_squad(answer, reference, matches, f1):
    assert exact_match(answer, [reference]) == matches
    assert token_f1(answer, [reference]) == pytest.approx(f1)


def test_the_best_reference_counts():
    assert exact_match("Rome", ["Paris", "rome!"]) == 1
    assert token_f1("old Rome", ["Paris", "Rome", "the old city"]) == pytest.approx(2 / 3)
    assert rouge_l("old rome", ["paris", "rome"]) == pytest.approx(2 / 3)


@given(
    st.lists(st.sampled_from(["a", "b", "c", "d", "Ü", "x1", "--", "a-b\n", "The"]), max_size=80),
    st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", "Ü", "x1", "the"]), max_size=80), min_size=1, max_size=4),
)
@settings(max_examples=100, deadline=None)
def test_rouge_l_is_that_of_rouge_score(rouge, answer, references):
    answer, references = " ".join(answer), [" ".join(words) for words in references]
    assert rouge_l(answer, references) == pytest.approx(rouge(answer, references), abs=1e-12)


@given(st.text(max_size=30), st.lists(st.text(max_size=30), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_any_text_can_be_scored(rouge, answer, references):
    found = score_texts([answer, "b"], [references, ["b"]], seed=0)
    for metric in found.metrics:
        assert 0 <= metric.low <= metric.value <= metric.high <= 100 + 1e-9
    assert found.rows["rouge_l"][0] == pytest.approx(rouge(answer, references), abs=1e-12)
    assert found.rows["exact_match"][0] <= found.rows["token_f1"][0]
    assert values(found)["chrf"] == pytest.approx(expected_corpus_scores([answer, "b"], [references, ["b"]])[1])


@pytest.mark.parametrize(
    ("answer", "valid"),
    [
        ('{"a": 1}', 1),
        (' {"a": {"b": [null, true]}}\n', 1),
        ("{}", 1),
        ("[1]", 0),
        ('"a"', 0),
        ("{'a': 1}", 0),
        ('{"a": NaN}', 0),
        ('{"a": -Infinity}', 0),
        ('{"a": 1} That is all.', 0),
        ('```json\n{"a": 1}\n```', 0),
        ('{"a": ' * 5000, 0),
        ("[" * 100_000, 0),
        ("", 0),
    ],
)
def test_only_a_json_object_and_nothing_else_is_valid(answer, valid):
    assert json_valid([answer]) == (valid,)


@pytest.mark.parametrize(
    ("answer", "f1"),
    [
        ('{"name": "Zizzi", "stars": "5"}', 1),
        ('{"stars": "5 ", "name": " Zizzi"}', 1),
        ('{"name": "zizzi", "stars": "5"}', 1 / 2),
        ('{"name": "Zizzi"}', 2 / 3),
        ('{"name": "Zizzi", "stars": 5}', 1 / 2),
        ('{"name": "Zizzi", "stars": "5", "area": "riverside", "food": "Thai"}', 2 * 2 / 6),
        ("{}", 0),
        ("Zizzi, 5", 0),
    ],
)
def test_fields_are_right_if_name_and_value_are(answer, f1):
    assert field_f1([answer], [['{"name": "Zizzi", "stars": "5"}']]) == (pytest.approx(f1),)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("1", "1.0", True),
        ("1", "true", False),
        ("0", "false", False),
        ("null", '""', False),
        ("[1, 2]", "[1, 2]", True),
        ("[1, 2]", "[2, 1]", False),
        ("[1]", "[true]", False),
        ('{"x": "a ", "y": 1}', '{"y": 1, "x": "a"}', True),
        ('{"x": 1}', '{"x": 1, "y": null}', False),
    ],
)
def test_values_are_compared_as_json(one, other, same):
    assert field_f1([f'{{"field": {one}}}'], [[f'{{"field": {other}}}']]) == (float(same),)


def test_the_best_expected_object_counts_and_what_is_no_object_matches_nothing():
    assert field_f1(['{"a": 1}'] * 3, [["{}", '{"a": 1}'], ["a is 1"], ['{"b": 1}']]) == (1, 0, 0)
    assert field_f1(["{}"], [["{}"]]) == (1,)

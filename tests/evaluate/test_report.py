import json
import math
from dataclasses import replace

import pytest
from honed.data import Example, Message
from honed.evaluate import (
    Evidence,
    Latency,
    Reply,
    Who,
    of_labels,
    of_likelihoods,
    of_preferences,
    of_reading,
    of_texts,
    write_report,
)
from honed.evaluate.page import render_page
from honed.evaluate.report import Roles, build, comparisons

LABELS = ["card", "lost"]
LATENCY = Latency.of([Reply([1], 0.1)], 0.1)
ROWS = [Example((Message("user", f"message {place}"),), LABELS[place % 2], row=f"test {place}") for place in range(40)]
EXPECTED = [row.reply for row in ROWS]


def who(name, tuned):
    return Who(name, f"adapters/{name}" if tuned else "models/m", "torch bfloat16", tuned)


def labels(name, right, *, tuned):
    """A result that has the first `right` rows right."""
    answers = [label if place < right else LABELS[label == LABELS[0]] for place, label in enumerate(EXPECTED)]
    return of_labels(who(name, tuned), EXPECTED, answers, LABELS, LATENCY, 0)


def likelihoods(name, right, *, tuned):
    table = [
        [-1.0 - place / 100 if (label == each) == (place < right) else -3.0 for each in LABELS]
        for place, label in enumerate(EXPECTED)
    ]
    return of_likelihoods(who(name, tuned), EXPECTED, table, LABELS, [2, 2], 0)


def evidence(*results, examples=ROWS):
    dataset = {"name": "datasets/d", "labels": LABELS, "task": "classify"}
    return Evidence("a title", dataset, examples, 0, list(results))


def document(*results, **options):
    return build(evidence(*results, **options), "2026-01-01T00:00:00.000+00:00", "0.1.0")


def test_every_two_results_are_compared_and_tuned_against_untuned_comes_first():
    results = [labels("tuned", 38, tuned=True), labels("zero", 4, tuned=False), labels("few", 20, tuned=False)]
    found = comparisons(results, 0)
    assert [(each.a, each.b) for each in found] == [("zero", "tuned"), ("few", "tuned"), ("zero", "few")]
    assert found[0].verdict == "better"
    assert found[0].difference == pytest.approx(34 / 40)


def test_the_headline_holds_a_tuned_subject_against_the_strongest_way_of_asking_the_base():
    results = [
        labels("zero", 4, tuned=False),
        likelihoods("zero", 25, tuned=False),
        labels("few", 20, tuned=False),
        labels("tuned", 38, tuned=True),
        likelihoods("tuned", 40, tuned=True),
    ]
    sentence = document(*results)["headline"]
    assert sentence.startswith("tuned is better than zero by likelihood on 40 rows: accuracy 0.950 against 0.625")


def test_the_headline_speaks_of_each_tuned_subject():
    results = [labels("base", 10, tuned=False), labels("a", 38, tuned=True), labels("b", 12, tuned=True)]
    sentence = document(*results)["headline"]
    assert sentence.index("a is better than base") < sentence.index("b and base cannot be told apart")


def test_the_headline_of_a_single_subject_is_its_figure():
    assert document(labels("base", 10, tuned=False))["headline"].startswith(
        "base: accuracy 0.250 on 40 rows (95 % interval 0."
    )


def test_roles_are_decided_once_and_written_down():
    results = (
        *(labels("zero", 4, tuned=False), likelihoods("zero", 25, tuned=False), labels("few", 20, tuned=False)),
        *(likelihoods("a", 40, tuned=True), labels("b", 12, tuned=True), likelihoods("b", 40, tuned=True)),
    )
    found = document(*results)
    assert (found["decides"], found["strongest_untuned"]) == ("accuracy", "zero by likelihood")
    assert (found["under_test"], found["mistakes_of"]) == (["a by likelihood", "b"], "a by likelihood")
    assert [subject["label"] for subject in found["subjects"]] == [result.label for result in results]


def test_without_a_tuned_subject_headline_and_mistakes_are_those_of_the_strongest():
    found = document(labels("zero", 20, tuned=False), labels("few", 39, tuned=False), labels("last", 5, tuned=False))
    assert (found["strongest_untuned"], found["under_test"], found["mistakes_of"]) == ("few", [], "few")
    assert found["headline"].startswith("few: accuracy 0.975")
    assert [mistake["row"] for mistake in found["mistakes"]] == ["test 39"]
    assert "Test rows that few has wrong" in render_page(found)


def test_the_strongest_by_nll_has_the_tokens_of_the_subject_under_test():
    base, other, tuned = (
        of_reading(who(name, name == "tuned"), [nats] * 20, [tokens] * 20, 0)
        for name, nats, tokens in (("base", -8.0, 2), ("other", -2.0, 3), ("tuned", -6.0, 2))
    )
    assert Roles.of([base, other, tuned]).strongest_untuned is base


def test_mistakes_are_those_of_the_subject_under_test_the_most_confident_first():
    results = (labels("tuned", 30, tuned=True), likelihoods("tuned", 30, tuned=True), labels("base", 1, tuned=False))
    mistakes = document(*results)["mistakes"]
    assert {mistake["row"] for mistake in mistakes} == {f"test {place}" for place in range(30, 40)}
    sure = [mistake["confidence"] for mistake in mistakes]
    assert sure == sorted(sure, reverse=True)
    assert mistakes[0]["answers"].keys() == {"tuned", "tuned by likelihood", "base"}
    assert mistakes[0]["right"] == {"tuned": False, "tuned by likelihood": False, "base": False}
    assert mistakes[0]["expected"] in LABELS


def test_a_confidence_is_that_of_the_same_wrong_answer_or_unknown():
    # By likelihood rows 35 to 37 are right: their confidence is not that of the wrong free answer.
    free, weighed = labels("tuned", 35, tuned=True), likelihoods("tuned", 38, tuned=True)
    found = document(free, weighed, labels("base", 1, tuned=False))
    sure = {mistake["row"]: mistake["confidence"] for mistake in found["mistakes"]}
    assert [row for row, confidence in sure.items() if confidence is None] == ["test 35", "test 36", "test 37"]
    assert list(sure)[-3:] == ["test 35", "test 36", "test 37"]
    assert sure["test 38"] > 0.5
    assert "the surest first" in render_page(found)


def test_a_right_text_is_no_mistake_in_any_script():
    rows = [Example((Message("user", "q"),), "поезд опаздывает", row=str(place)) for place in range(8)]
    answers = [row.reply for row in rows[:-1]] + ["не знаю"]
    tuned, base = (
        of_texts(who(name, name == "tuned"), given, [(row.reply,) for row in rows], [-1.0] * 8, [1] * 8, LATENCY, 0)
        for name, given in (("tuned", answers), ("base", ["не знаю"] * 8))
    )
    found = document(base, tuned, examples=rows)
    assert found["headline"].startswith("tuned is better than base on 8 rows: chrF")
    assert [mistake["row"] for mistake in found["mistakes"]] == ["7"]


def test_preferences_have_their_subjects_in_the_head_and_the_exact_test():
    rows = [Example((Message("user", "q"),), "good", rejected="bad")] * 40
    base, tuned = (
        of_preferences(who(name, name == "tuned"), chosen, [-5.0] * 40, [5] * 40, 0)
        for name, chosen in (("base", [-9.0] * 40), ("tuned", [-1.0] * 40))
    )
    found = document(base, tuned, examples=rows)
    assert [each["test"] for each in found["comparisons"]] == ["exact McNemar"]
    assert "better</span>: +1.000 (+1.000 to +1.000)" in render_page(found)


def test_answers_that_were_cut_are_counted():
    cut = replace(labels("base", 10, tuned=False), cut_answers=3)
    found = document(cut)
    assert found["subjects"][0]["cut_answers"] == 3
    assert "3 answers were cut" in render_page(found)
    assert "answers were cut" not in render_page(document(labels("base", 10, tuned=False)))


def test_a_figure_that_is_no_number_is_never_written(tmp_path):
    found = evidence(labels("base", 10, tuned=False))
    found.training = {"steps": [{"step": 1, "loss": math.nan}]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_report(tmp_path, found, "2026-01-01T00:00:00.000+00:00", "0.1.0")


def test_samples_are_drawn_by_seed_and_show_every_reference():
    rows = [Example((Message("user", "facts"),), "one", references=("two",), row=str(place)) for place in range(30)]
    result = of_texts(who("tuned", True), ["one"] * 30, [("one", "two")] * 30, [-1.0] * 30, [1] * 30, LATENCY, 0)
    first, again = (document(result, examples=rows)["samples"] for _ in range(2))
    assert first == again
    assert len(first) == 12
    assert first[0]["expected"] == ["one", "two"]


def test_a_long_text_says_how_much_of_it_is_not_shown():
    rows = [Example((Message("user", "x" * 5000),), "card", row="1")]
    result = of_labels(who("tuned", True), ["card"], ["lost"], LABELS, LATENCY, 0)
    shown = document(result, examples=rows)["mistakes"][0]["prompt"]
    assert shown.endswith("x … (1,000 more characters)")


def test_texts_are_compared_by_rouge_l_and_bleu():
    results = [
        of_texts(who(name, tuned), [answer] * 20, [("a b c d e",)] * 20, [-1.0] * 20, [1] * 20, LATENCY, 0)
        for name, tuned, answer in (("base", False, "a x y z"), ("tuned", True, "a b c d f"))
    ]
    assert [each.metric for each in comparisons(results, 0)] == ["rouge_l", "bleu"]


def test_likelihoods_of_text_compare_only_where_the_tokens_are_the_same():
    base, tuned = (
        of_reading(who("base", False), [-5.0] * 3, [2] * 3, 0),
        of_reading(who("t", True), [-4.0] * 3, [2] * 3, 0),
    )
    other = of_reading(who("o", True), [-4.0] * 3, [3] * 3, 0)
    assert [(each.metric, each.a, each.b) for each in comparisons([base, tuned, other], 0)] == [("nll", "base", "t")]
    assert comparisons([base, tuned], 0)[0].difference == pytest.approx(-0.5)


def test_both_files_are_written_and_the_json_is_strict(tmp_path):
    results = (labels("base", 10, tuned=False), labels("tuned", 38, tuned=True))
    sentence = write_report(tmp_path, evidence(*results), "2026-01-01T00:00:00.000+00:00", "0.1.0")

    def refuse(constant):
        raise AssertionError(constant)

    found = json.loads((tmp_path / "report.json").read_text("utf-8"), parse_constant=refuse)
    assert found["headline"] == sentence
    assert [subject["tuned"] for subject in found["subjects"]] == [False, True]
    assert "tuned is better than base on 40 rows" in (tmp_path / "report.html").read_text("utf-8")

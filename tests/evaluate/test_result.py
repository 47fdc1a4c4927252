import math

import pytest
from honed.data import Example, Message
from honed.errors import InvalidInput
from honed.evaluate import (
    Forgetting,
    Latency,
    Reply,
    Who,
    of_extractions,
    of_labels,
    of_likelihoods,
    of_preferences,
    of_reading,
    of_texts,
)
from honed.evaluate.result import nll_metrics

WHO = Who("tuned", "adapters/a", "torch bfloat16", tuned=True)
LATENCY = Latency.of([Reply([1, 2], 0.5), Reply([3], 1.5)], 2.0)
LABELS = ["card", "lost", "refund"]


def texts(answers, references, compare=of_texts):
    return compare(WHO, answers, references, [-1.0] * len(answers), [1] * len(answers), LATENCY, 0)


def test_a_latency_counts_the_end_of_turn_of_every_reply_that_has_one():
    assert (LATENCY.mean_ms, LATENCY.p50_ms, LATENCY.tokens_per_s) == (1000, 1000, (3 + 2) / 2)
    assert Latency.of([Reply([1, 2], 1.0, stopped=False)] * 100, 100.0).tokens_per_s == 2


def test_answers_are_labels_without_regard_to_case_white_space_and_a_final_full_stop():
    found = of_labels(WHO, ["card", "lost", "refund", "card"], [" Card.", "LOST", "refunds", ""], LABELS, LATENCY, 0)
    assert found.scores == (1, 1, 0, 0)
    assert found.right == (True, True, False, False)
    assert found.value("accuracy") == 0.5
    assert found.confusion == ((1, 0, 0, 1), (0, 1, 0, 0), (0, 0, 0, 1))
    assert found.answers == (" Card.", "LOST", "refunds", "")
    assert found.summary()["correct"] == 2
    assert found.summary()["total"] == 4
    assert found.label == "tuned"


@pytest.mark.parametrize("labels", [("US", "us"), ("A", "A."), ("Straße", "strasse")])
def test_of_labels_that_differ_in_case_or_full_stop_alone_the_exact_one_counts(labels):
    found = of_labels(WHO, labels, labels, labels, LATENCY, 0)
    assert found.right == (True, True)
    assert found.predicted == labels


def test_an_answer_that_could_be_either_of_two_labels_is_neither():
    found = of_labels(WHO, ["US", "us", "uk"], ["Us", "Us.", "UK"], ["US", "uk", "us"], LATENCY, 0)
    assert found.right == (False, False, True)
    assert found.predicted == ("Us", "Us.", "uk")


def test_the_likeliest_label_is_taken_with_its_share_of_the_probability():
    likelihoods = [[math.log(0.2), math.log(0.1), math.log(0.1)], [-9.0, -5.0, -7.0]]
    found = of_likelihoods(WHO, ["card", "refund"], likelihoods, LABELS, [2, 3, 4], 0)
    assert found.answers == ("card", "lost")
    assert found.right == (True, False)
    assert found.confidence[0] == pytest.approx(0.5)
    assert found.value("nll") == pytest.approx((-math.log(0.2) + 7) / (2 + 4))
    assert found.calibration is not None
    assert found.label == "tuned by likelihood"


def test_likelihoods_too_small_for_a_float_still_have_a_likeliest():
    found = of_likelihoods(WHO, ["lost"], [[-4000.0, -3000.0, -5000.0]], LABELS, [1, 1, 1], 0)
    assert found.answers == ("lost",)
    assert found.confidence == (1.0,)


def test_texts_are_compared_with_all_their_references():
    found = texts(["A b c.", "x"], [("a b c",), ("y", "x")])
    assert found.main == "rouge_l"
    assert found.right == (True, True)
    assert {metric.name for metric in found.metrics} == {
        *("exact_match", "token_f1", "bleu", "chrf", "rouge_l", "nll", "perplexity")
    }


@pytest.mark.parametrize("reference", ["Поезд опаздывает на 20 минут", "電車が遅れています", "!?", ""])
def test_chrf_decides_where_rouge_cannot_read_a_reference(reference):
    found = texts([reference, "a b c d"], [(reference,), ("a b c d",)])
    assert found.main == "chrf"
    assert found.right == (True, True)
    other = texts(["", "?"], [(reference,), ("a b c d",)])
    assert other.main == "chrf"  # whatever is answered


@pytest.mark.parametrize("reference", ["The café is open", "Für Änderungen", "42"])
def test_rouge_decides_where_it_can_read_most_of_every_reference(reference):
    assert texts(["x"], [(reference,)]).main == "rouge_l"


def test_extractions_are_compared_field_by_field():
    answers = ['{"a": 1, "b": "x"}', '{"a": 1', "{}"]
    found = texts(answers, [('{"a": 1, "b": "y"}',)] * 3, of_extractions)
    assert found.main == "field_f1"
    assert found.scores == (0.5, 0, 0)
    assert found.value("json_valid") == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("answer", "reference", "right"),
    [
        ('{"price": "1.5"}', '{"price": "15"}', False),
        ('{"balance": -5}', '{"balance": 5}', False),
        ('{"name": "The Who"}', '{"name": "Who"}', False),
        ('{"a": 1 "b": 2}', '{"a": 1, "b": 2}', False),
        ('{"b":2,\n"a":1}', '{"a": 1, "b": 2}', True),
        ('{"a": 1}', '{"a": 1, "b": 2}', False),
    ],
)
def test_an_extraction_is_exact_if_every_field_is_right(answer, reference, right):
    found = texts([answer], [(reference,)], of_extractions)
    assert found.right == (right,)
    assert found.value("exact_match") == right
    assert found.summary()["correct"] == right


def test_reading_weighs_every_token_alike():
    found = of_reading(WHO, [-10.0, -2.0], [5, 1], 0)
    assert found.value("nll") == 2.0
    assert found.value("perplexity") == pytest.approx(math.exp(2.0))
    assert (found.scores, found.weights) == ((2.0, 2.0), (5, 1))


def test_slices_of_an_nll_are_per_token_like_the_nll():
    rows = [Example((), "t", columns={"all": "yes"})] * 2
    found = of_reading(WHO, [-10.0, -2.0], [5, 4], 0).sliced(rows, ["all"], 0)
    assert found.slices[0].score == pytest.approx(found.value("nll"))


def test_a_preference_is_right_where_the_chosen_reply_is_likelier():
    found = of_preferences(WHO, [-1.0, -2.0, -3.0], [-2.0, -1.0, -3.0], [1, 1, 1], 0)
    assert found.right == (True, False, False)
    assert found.value("preference") == pytest.approx(1 / 3)
    assert found.summary()["correct"] == 1


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_a_likelihood_that_is_no_number_is_refused(bad):
    for ask in (
        lambda: of_reading(WHO, [bad], [1], 0),
        lambda: of_preferences(WHO, [-1.0], [bad], [1], 0),
        lambda: of_likelihoods(WHO, ["card"], [[bad, -1.0, -2.0]], LABELS, [1, 1, 1], 0),
        lambda: of_texts(WHO, ["a"], [("a",)], [bad], [1], LATENCY, 0),
        lambda: Forgetting.of("a probe", 1, "tuned", [-1.0], [bad], [1], 0),
    ):
        with pytest.raises(InvalidInput, match="likelihood") as caught:
            ask()
        assert caught.value.reason == "LIKELIHOOD_NOT_FINITE"


def test_forgetting_is_the_nll_after_against_before_and_says_how_many_rows():
    found = Forgetting.of("datasets/d", 2000, "tuned", [-10.0, -2.0], [-12.0, -2.0], [5, 1], 7)
    assert (found.before_nll, found.after_nll, found.tokens) == (2, pytest.approx(14 / 6), 6)
    assert (found.rows, found.all_rows) == (2, 2000)
    assert found.sentence.startswith("On datasets/d (2 of 2,000 rows, drawn with seed 7), tuned and the base cannot be")
    assert Forgetting.of("x", 1, "tuned", [-1.0], [-2.0], [1], 0).sentence.startswith("On x, tuned and")


def test_a_perplexity_is_the_exponential_of_the_nll_with_its_interval():
    nll, perplexity = nll_metrics("tuned", [-4.0, -2.0, -9.0], [2, 2, 3], 0)
    for end in ("value", "low", "high"):
        assert getattr(perplexity, end) == pytest.approx(math.exp(getattr(nll, end)))


def test_slices_are_of_the_metric_that_decides():
    rows = [Example((Message("user", str(place)),), "card", columns={"region": "ns"[place % 2]}) for place in range(40)]
    answers = ["card" if place % 2 else "lost" for place in range(40)]
    found = of_labels(WHO, ["card"] * 40, answers, LABELS, LATENCY, 0).sliced(rows, ["region"], 0)
    assert [(each.metric, each.value, each.score, each.flagged) for each in found.slices] == [
        ("accuracy", "n", 0.0, True),
        ("accuracy", "s", 1.0, True),
    ]
    assert not of_labels(WHO, ["card"] * 40, answers, LABELS, LATENCY, 0).sliced(rows, [], 0).slices

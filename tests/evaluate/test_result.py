import math

import pytest
from honed.data import Example, Message
from honed.evaluate import Latency, Reply, Who, of_labels, of_likelihoods, of_preferences, of_reading, of_texts
from honed.evaluate.result import nll_metrics

WHO = Who("tuned", "adapters/a", "torch bfloat16", tuned=True)
LATENCY = Latency.of([Reply([1, 2], 0.5), Reply([3], 1.5)], 2.0)
LABELS = ["card", "lost", "refund"]


def test_a_latency_counts_the_end_of_turn_of_every_reply():
    assert (LATENCY.mean_ms, LATENCY.p50_ms, LATENCY.tokens_per_s) == (1000, 1000, (3 + 2) / 2)


def test_answers_are_labels_without_regard_to_case_white_space_and_a_final_full_stop():
    found = of_labels(WHO, ["card", "lost", "refund", "card"], [" Card.", "LOST", "refunds", ""], LABELS, LATENCY, 0)
    assert found.scores["accuracy"] == (1, 1, 0, 0)
    assert found.value("accuracy") == 0.5
    assert found.confusion == ((1, 0, 0, 1), (0, 1, 0, 0), (0, 0, 0, 1))
    assert found.answers == (" Card.", "LOST", "refunds", "")
    assert found.summary()["correct"] == 2
    assert found.summary()["total"] == 4
    assert found.label == "tuned"


def test_the_likeliest_label_is_taken_with_its_share_of_the_probability():
    likelihoods = [[math.log(0.2), math.log(0.1), math.log(0.1)], [-9.0, -5.0, -7.0]]
    found = of_likelihoods(WHO, ["card", "refund"], likelihoods, LABELS, [2, 3, 4], 0)
    assert found.answers == ("card", "lost")
    assert found.scores["accuracy"] == (1, 0)
    assert found.confidence[0] == pytest.approx(0.5)
    assert found.value("nll") == pytest.approx((-math.log(0.2) + 7) / (2 + 4))
    assert found.calibration is not None
    assert found.label == "tuned by likelihood"


def test_likelihoods_too_small_for_a_float_still_have_a_likeliest():
    found = of_likelihoods(WHO, ["lost"], [[-4000.0, -3000.0, -5000.0]], LABELS, [1, 1, 1], 0)
    assert found.answers == ("lost",)
    assert found.confidence == (1.0,)


def test_texts_are_compared_with_all_their_references():
    found = of_texts(WHO, ["A b c.", "x"], [("a b c",), ("y", "x")], LATENCY, 0, extraction=False)
    assert found.main == "rouge_l"
    assert found.scores["exact_match"] == (1, 1)
    assert {metric.name for metric in found.metrics} == {"exact_match", "token_f1", "bleu", "chrf", "rouge_l"}


def test_extractions_are_compared_field_by_field():
    answers = ['{"a": 1, "b": "x"}', '{"a": 1', "{}"]
    found = of_texts(WHO, answers, [('{"a": 1, "b": "y"}',)] * 3, LATENCY, 0, extraction=True)
    assert found.main == "field_f1"
    assert found.scores["field_f1"] == (0.5, 0, 0)
    assert found.scores["json_valid"] == (1, 0, 1)
    assert found.value("json_valid") == pytest.approx(2 / 3)


def test_reading_weighs_every_token_alike():
    found = of_reading(WHO, [-10.0, -2.0], [5, 1], 0)
    assert found.value("nll") == 2.0
    assert found.value("perplexity") == pytest.approx(math.exp(2.0))
    assert found.scores["nll"] == (2.0, 2.0)


def test_a_preference_is_right_where_the_chosen_reply_is_likelier():
    found = of_preferences(WHO, [-1.0, -2.0, -3.0], [-2.0, -1.0, -3.0], [1, 1, 1], 0)
    assert found.scores["preference"] == (1, 0, 0)
    assert found.value("preference") == pytest.approx(1 / 3)
    assert found.summary()["correct"] == 1


def test_a_perplexity_is_the_exponential_of_the_nll_with_its_interval():
    nll, perplexity = nll_metrics([-4.0, -2.0, -9.0], [2, 2, 3], 0)
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

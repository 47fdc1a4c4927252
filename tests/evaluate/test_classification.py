"""Every score is held against scikit-learn, on small tables and on real ones."""

import csv
from pathlib import Path

import numpy as np
import pytest
from honed.evaluate.classification import classify
from honed.evaluate.intervals import resamples
from hypothesis import given, settings
from hypothesis import strategies as st

BANKING = Path(__file__).parents[3] / "shared" / "data" / "banking77"


def values(found):
    return {metric.name: metric.value for metric in found.metrics}


def assert_as_scikit_learn(found, expected, predicted, labels):
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    scores = values(found)
    assert scores["accuracy"] == pytest.approx(accuracy_score(expected, predicted), abs=1e-9)
    macro = precision_recall_fscore_support(expected, predicted, labels=labels, average="macro", zero_division=0)
    assert (scores["macro_precision"], scores["macro_recall"], scores["macro_f1"]) == pytest.approx(macro[:3], abs=1e-9)
    each = precision_recall_fscore_support(expected, predicted, labels=labels, average=None, zero_division=0)
    for name, column in zip(("precision", "recall", "f1", "support"), each, strict=True):
        assert [getattr(score, name) for score in found.per_class] == pytest.approx(column.tolist(), abs=1e-9)
    assert [score.label for score in found.per_class] == labels


LABELS = ["card", "cash", "pin", "rate"]


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, "no idea"])), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_scores_are_those_of_scikit_learn(pairs):
    expected, predicted = map(list, zip(*pairs, strict=True))
    found = classify(expected, predicted, LABELS, seed=0)
    assert_as_scikit_learn(found, expected, predicted, LABELS)
    for metric in found.metrics:
        assert 0 <= metric.low <= metric.value <= metric.high <= 1 + 1e-12


@pytest.mark.skipif(not BANKING.exists(), reason="needs the measuring data, which users do not have")
def test_scores_of_real_predictions_are_those_of_scikit_learn():
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.metrics import confusion_matrix
    from sklearn.naive_bayes import MultinomialNB

    def read(name):
        with (BANKING / name).open(encoding="utf-8", newline="") as file:
            return list(zip(*((row["text"], row["category"]) for row in csv.DictReader(file)), strict=True))

    (train_texts, train_labels), (texts, expected) = read("train.csv"), read("test.csv")
    words = CountVectorizer()
    model = MultinomialNB().fit(words.fit_transform(train_texts), train_labels)
    predicted = model.predict(words.transform(texts)).tolist()
    labels = sorted(set(train_labels))
    found = classify(expected, predicted, labels, seed=0)
    assert 0.5 < values(found)["accuracy"] < 0.95  # real mistakes
    assert_as_scikit_learn(found, expected, predicted, labels)
    confusion = np.array(found.confusion)
    assert confusion[:, :-1].tolist() == confusion_matrix(expected, predicted, labels=labels).tolist()
    assert not confusion[:, -1].any()


def test_the_confusion_matrix_has_a_column_for_answers_that_are_no_label():
    found = classify(["a", "a", "b", "b", "b"], ["a", "b", "b", "perhaps b", ""], ["a", "b"], seed=0)
    assert found.confusion == ((1, 1, 0), (0, 1, 2))


def test_a_label_without_rows_counts_as_zero_in_the_macro_scores():
    found = classify(["a", "a"], ["a", "a"], ["a", "b"], seed=0)
    assert values(found) == {"accuracy": 1, "macro_precision": 0.5, "macro_recall": 0.5, "macro_f1": 0.5}
    assert all(metric.low == metric.high == metric.value for metric in found.metrics)


def test_a_single_row_is_enough():
    found = classify(["b"], ["a"], ["a", "b"], seed=0)
    assert [(metric.value, metric.low, metric.high) for metric in found.metrics] == [(0, 0, 0)] * 4


def plain_scores(pairs, labels):
    """Accuracy and macro scores by definition, of labels that all occur on both sides."""
    sums = [sum(t == p for t, p in pairs) / len(pairs), 0.0, 0.0, 0.0]
    for label in labels:
        hits = sum(t == p == label for t, p in pairs)
        support, named = sum(t == label for t, _ in pairs), sum(p == label for _, p in pairs)
        for place, score in enumerate((hits / named, hits / support, 2 * hits / (named + support)), start=1):
            sums[place] += score / len(labels)
    return sums


def test_intervals_are_those_of_the_scores_on_resampled_rows():
    draw = np.random.default_rng(2)
    labels = ["a", "b", "c"]
    expected = draw.choice(labels, 60).tolist()
    predicted = [label if draw.random() < 0.7 else str(draw.choice(labels)) for label in expected]
    pairs = list(zip(expected, predicted, strict=True))
    lines = np.concatenate(list(resamples(60, seed=9))).astype(int)
    drawn = [
        plain_scores([pair for pair, n in zip(pairs, line, strict=True) for _ in range(n)], labels) for line in lines
    ]
    found = classify(expected, predicted, labels, seed=9)
    for place, metric in enumerate(found.metrics):
        ordered = sorted(scores[place] for scores in drawn)
        assert (metric.low, metric.high) == pytest.approx((ordered[49], ordered[-50]), abs=1e-12)


def test_rare_labels_that_a_resample_misses_do_not_draw_the_interval_down():
    labels = [f"label {i}" for i in range(20)]
    perfect = classify(labels * 2, labels * 2, labels, seed=0)
    assert all(metric.low == metric.high == 1 for metric in perfect.metrics)
    # One label of twenty is always wrong: a macro recall of 0.95, which no resample can leave far.
    flawed = classify(labels * 2, ["label 1" if label == "label 0" else label for label in labels * 2], labels, seed=0)
    recall = next(metric for metric in flawed.metrics if metric.name == "macro_recall")
    assert recall.value == pytest.approx(0.95)
    assert 0.91 < recall.low < 0.95 < recall.high <= 1

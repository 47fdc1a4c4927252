"""Labels of a table and the words for them: none is merged with another, and no word is for nothing."""

from dataclasses import replace

import pytest
from helpers.tables import refusal, take, tiny
from honed.data import Template
from honed.data.reader import Wanted
from honed.template_library import BUILT_IN

CLASSIFY = Template.from_json(BUILT_IN["classify"])


def rows(*labels):
    return [{"text": f"text {number}", "label": labels[number % len(labels)]} for number in range(12)]


def test_a_typing_mistake_in_a_label_that_words_are_given_for_is_refused():
    error = refusal(rows("a", "b"), wanted=Wanted(template=CLASSIFY, verbalizer={"aa": "yes"}))
    assert error.reason == "FIELD_INVALID"
    assert error.violations == (("verbalizer['aa']", "no row carries this label; there are 'a', 'b'"),)


def test_words_are_for_labels_of_the_test_table_and_of_rows_left_out_too():
    wanted = Wanted(template=CLASSIFY, verbalizer={"a": "yes", "b": "no", "c": "perhaps"})
    long = [{"text": "word " * 300, "label": "c"}]
    assert take([*rows("a", "b"), *long], wanted=wanted, model=tiny(200, "drop")).facts["labels"] == ["no", "yes"]
    error = refusal(rows("a", "b"), [{"text": "t", "label": "c"}], wanted=wanted)
    assert "label 'perhaps' does not occur in the training rows" in error.message


def test_the_words_of_a_template_may_be_for_labels_that_a_table_lacks():
    template = replace(CLASSIFY, verbalizer={"a": "yes", "z": "never"})
    assert take(rows("a", "b"), wanted=Wanted(template=template)).facts["labels"] == ["b", "yes"]


@pytest.mark.parametrize(
    ("verbalizer", "labels"), [({}, ("a-b", "a_b", "c")), ({"x": "X_y", "y": "X-y"}, ("x", "y", "c"))]
)
def test_rows_whose_labels_would_merge_are_named(verbalizer, labels):
    template = replace(CLASSIFY, reply="{{ label | words }}")
    error = refusal(rows(*labels), wanted=Wanted(template=template, verbalizer=verbalizer))
    assert [row for row, _ in error.violations] == ["row 2", "row 5", "row 8", "row 11"]
    assert f"the labels {labels[0]!r} and {labels[1]!r} are both written as" in error.violations[0][1]

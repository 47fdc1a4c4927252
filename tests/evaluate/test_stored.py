"""Results that went through JSON are what they were, and compare as they did."""

import json

import pytest
from honed.data import Example, Message
from honed.evaluate import (
    Latency,
    Reply,
    Who,
    of_extractions,
    of_labels,
    of_likelihoods,
    of_preferences,
    of_reading,
    of_texts,
    stored,
)
from honed.evaluate.report import comparisons

LATENCY = Latency.of([Reply([1, 2], 0.1), Reply([3], 0.7)], 0.3)
LABELS = ["a", "b"]
ROWS = [Example((Message("user", "?"),), "a", columns={"region": region}) for region in ("north", "south", "north")]


def results(kind):
    """Two subjects' results of three rows."""
    one, other = (Who(name, f"models/{name}", "torch bfloat16", tuned=name == "x") for name in "mx")
    texts, references = ["a dog", "ein Hund, 0.1", ""], [["a dog"], ["one dog", "a dog"], ["no"]]
    objects, expected = ['{"a": 1}', "{", '{"a": 3}'], [['{"a": 1}'], ['{"a": 2}'], ['{"a": 3}']]
    nats, tokens = [-1 / 3, -2e-17, -700.1], [1, 2, 3]
    return {
        "labels": lambda: [
            of_labels(who, ["a", "b", "a"], [who.name, "b", "a"], LABELS, LATENCY, 0) for who in (one, other)
        ],
        "likelihoods": lambda: [
            of_likelihoods(who, ["a", "b", "a"], [[-0.1, -3.3], [-1.0, -1.1], [-2.0, -0.7]], LABELS, [2, 3], 0)
            for who in (one, other)
        ],
        "texts": lambda: [
            of_texts(who, texts[::step], references, nats, tokens, LATENCY, 0) for who, step in ((one, 1), (other, -1))
        ],
        "extractions": lambda: [
            of_extractions(who, objects[::step], expected, nats, tokens, LATENCY, 0)
            for who, step in ((one, 1), (other, -1))
        ],
        "reading": lambda: [of_reading(who, nats[::step], tokens, 0) for who, step in ((one, 1), (other, -1))],
        "preferences": lambda: [
            of_preferences(who, nats, nats[::step], tokens, 0) for who, step in ((one, 1), (other, -1))
        ],
    }[kind]()


@pytest.mark.parametrize("kind", ["labels", "likelihoods", "texts", "extractions", "reading", "preferences"])
def test_a_result_comes_back_as_it_was(kind):
    given = [result.sliced(ROWS, ["region"], 0) for result in results(kind)]
    back = [stored.from_json(json.loads(json.dumps(stored.to_json(result)))) for result in given]
    assert [stored.to_json(result) for result in back] == [stored.to_json(result) for result in given]
    for was, now in zip(given, back, strict=True):
        assert {name: type(value) for name, value in vars(now).items()} == {
            name: type(value) for name, value in vars(was).items()
        }
    assert comparisons(back, 0) == comparisons(given, 0)
    assert [result.summary() for result in back] == [result.summary() for result in given]

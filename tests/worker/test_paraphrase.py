"""Paraphrases with the tiny model. Its own are gibberish, so that most tests put answers into its mouth; what it finds
likely after them is its own."""

import json
import math
from dataclasses import replace

import pytest
import torch
from honed.data import Example, Message, Prepared, Renderer, Template, bind
from honed.evaluate import Reply
from honed.template_library import BUILT_IN
from honed.tune import base
from honed.tune.predict import TorchPredictor
from honed.worker import paraphrase as module
from honed.worker.paraphrase import clean, is_usable, paraphrase, survives
from honed.worker.report import Report

LABELS = ("card", "lost", "refund")
CLASSIFY = bind(Template.from_json(BUILT_IN["classify"]), {}, {}, {}, "", ("text", "label"))
LABELLED = Prepared("table", "classify", CLASSIFY, LABELS, ())
CONVERSATIONS = Prepared("messages", "generate", None, (), ())
UNENDED = object()


@pytest.fixture(scope="module")
def model(tiny_llama):
    return base.load(tiny_llama, torch.float32)


@pytest.fixture
def report(tmp_path):
    made = Report(tmp_path)
    yield made
    made._file.close()  # a worker's end closes it


def logged(folder):
    lines = (folder / "events.jsonl").read_text("utf-8").splitlines()
    return [event["data"]["text"] for event in map(json.loads, lines) if event["kind"] == "log"]


def labelled(text, label="card", number="1"):
    return replace(CLASSIFY.example({"text": text, "label": label}), row=number)


def said(found):
    return [copy.messages[-1].content for _, copy in found]


class Mouth(TorchPredictor):
    """The tiny model, whose answer to each question about a text is what the script says."""

    def __init__(self, model, renderer, script):
        super().__init__(model)
        self._renderer, self._script = renderer, script

    def generate(self, prompts, max_new_tokens, stop_ids, progress):
        return [Reply(self._answer(self._renderer.decode(prompt), max_new_tokens), 0.0) for prompt in prompts]

    def _answer(self, prompt, max_new_tokens):
        (number,) = [place for place, question in enumerate(module._QUESTIONS) if f"\n{question}: " in prompt]
        (answers,) = [answers for text, answers in self._script.items() if f": {text}\n" in prompt]
        return [10] * max_new_tokens if answers[number] is UNENDED else self._renderer.encode(answers[number])


@torch.inference_mode()
def log_likelihood(model, prompt, reply):
    steps = model(input_ids=torch.tensor([[*prompt, *reply]])).logits[0].double().log_softmax(dim=-1)
    return sum(steps[len(prompt) + place - 1, token].item() for place, token in enumerate(reply))


# What a paraphrase is, and when it is kept.


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (" Where is it?\n", "Where is it?"),
        ('"Where is it?"', "Where is it?"),
        ("“ 'Where is it?' ”", "Where is it?"),
        ("«Où ?»\n", "Où ?"),
        ('Say "hi"', 'Say "hi"'),
        ('"Hi" he said', '"Hi" he said'),
        ('"', '"'),
        ('""', ""),
        ("", ""),
    ],
)
def test_white_space_and_pairs_of_quotation_marks_are_taken_off(answer, text):
    assert clean(answer) == text


@pytest.mark.parametrize(
    ("text", "usable"),
    [("new", True), ("n" * 12, True), ("n" * 13, False), ("", False), ("OLD  TEXT", False), ("caf\ufffd", False)],
)
def test_a_paraphrase_is_new_whole_and_at_most_three_times_as_long(text, usable):
    assert is_usable(text, "four", {"old text"}) is usable


def test_a_likelihood_may_fall_by_a_tenth_of_a_nat():
    assert survives(-1.0, -0.2)
    assert survives(-1.0, -1.09)
    assert not survives(-1.0, -1.11)


# With the model.

SCRIPT = {
    "where is my card": ["is my card lost"],
    "I want a refund": ["a refund I want, thank you"],
    "the card is lost": ["lost is the card"],
    "delivery never came": ["it never came"],
    "what is France": ["what is the capital"],
    "positive message": ["the message is positive"],
    "negative message": ["not a good message"],
    "thank you": ["I thank you"],
}


def test_a_copy_is_kept_if_its_label_is_no_less_likely_among_all_labels(model, renderer, report, tmp_path):
    def probability(example):
        prompt = renderer.prompt(LABELLED.untuned_prompt(example))
        likely = [math.exp(log_likelihood(model, prompt, renderer.reply(example, label))) for label in LABELS]
        return likely[LABELS.index(example.reply)] / sum(likely)

    rows = [labelled(text, LABELS[place % 3], str(place)) for place, text in enumerate(SCRIPT)]
    expected = [
        answer
        for row, (answer,) in zip(rows, SCRIPT.values(), strict=True)
        if probability(labelled(answer, row.reply)) >= probability(row) * math.exp(-0.1)
    ]
    assert 0 < len(expected) < len(rows)
    found = paraphrase(Mouth(model, renderer, SCRIPT), renderer, LABELLED, rows, 1, report)
    assert said(found) == expected
    line, *shown = logged(tmp_path)
    assert shown == [f"row {copy.row}: {copy.messages[-1].content!r}" for _, copy in found[:3]]
    assert f"1 paraphrases of 8 of 8 training rows: 8 are usable, {len(expected)} kept" in line


def test_without_labels_a_copy_is_kept_if_a_token_of_the_reply_is_no_less_likely(model, renderer, report):
    def mean(example):
        reply = renderer.reply(example)
        return log_likelihood(model, renderer.prompt(example.messages), reply) / len(reply)

    def example(text):
        return Example((Message("system", "Be brief."), Message("user", text)), "Paris is the capital.")

    rows = [example(text) for text in SCRIPT]
    expected = [
        answer for row, (answer,) in zip(rows, SCRIPT.values(), strict=True) if mean(example(answer)) >= mean(row) - 0.1
    ]
    assert 0 < len(expected) < len(rows)
    assert said(paraphrase(Mouth(model, renderer, SCRIPT), renderer, CONVERSATIONS, rows, 1, report)) == expected


@pytest.fixture
def lenient(monkeypatch):
    """The base's check lets all through."""
    monkeypatch.setattr(module, "_TOLERANCE_NATS", math.inf)


def test_only_the_last_message_of_a_copy_is_another(model, renderer, report, lenient):
    turns = (Message("system", "s"), Message("user", "a"), Message("assistant", "b", weight=0))
    row = Example((*turns, Message("user", "where is it")), "Paris", row="test 3", columns={"a": "b"})
    predictor = Mouth(model, renderer, {"where is it": ['"it is where"']})
    assert paraphrase(predictor, renderer, CONVERSATIONS, [row], 1, report) == [
        ("paraphrase", replace(row, messages=(*turns, Message("user", "it is where")), row="test 3 (paraphrase 1)"))
    ]


def test_each_copy_takes_another_question_and_none_comes_twice(model, renderer, report, lenient):
    script = {"where is my card": ["my card, where", "My  card, WHERE", "is it my card", "where is my card"]}
    found = paraphrase(Mouth(model, renderer, script), renderer, LABELLED, [labelled("where is my card")], 4, report)
    assert [(kind, copy.row) for kind, copy in found] == [
        ("paraphrase", "1 (paraphrase 1)"),
        ("paraphrase", "1 (paraphrase 3)"),
    ]
    assert said(found) == ["my card, where", "is it my card"]


@pytest.mark.parametrize("answer", ["", '" "', "where <|im_start|> is", "Where is  my card", "long " * 20, UNENDED])
def test_what_cannot_be_used_is_no_copy(answer, model, renderer, report, lenient, tmp_path):
    predictor = Mouth(model, renderer, {"where is my card": [answer]})
    assert paraphrase(predictor, renderer, LABELLED, [labelled("where is my card")], 1, report) == []
    assert "0 are usable, 0 kept" in logged(tmp_path)[0]


def test_bare_text_and_rows_without_room_in_the_context_are_not_asked(model, renderer, report, lenient, tmp_path):
    rows = [Example((), "a text"), labelled("where is it " * 200), labelled("where is my card")]
    predictor = Mouth(model, renderer, {"where is my card": ["is it my card"]})
    assert said(paraphrase(predictor, renderer, LABELLED, rows, 1, report)) == ["is it my card"]
    assert "of 1 of 3 training rows" in logged(tmp_path)[0]


def test_a_row_without_room_for_its_paraphrase_takes_none_from_the_others(model, renderer, report, lenient):
    long = Example((Message("user", "where is it " * 70),), "Paris")
    assert 400 < len(renderer.example(long)) < 512
    predictor = Mouth(model, renderer, {"where is my card": ["is it my card"], long.messages[0].content: ["where"]})
    rows = [long, Example((Message("user", "where is my card"),), "Paris")]
    assert said(paraphrase(predictor, renderer, CONVERSATIONS, rows, 1, report)) == ["is it my card"]


def test_no_rows_give_no_copies(model, renderer, report):
    assert paraphrase(TorchPredictor(model), renderer, LABELLED, [], 2, report) == []


def test_the_models_own_answers_are_taken_up_to_their_end(model, renderer, report, lenient):
    # A third of the vocabulary ends a turn, so that some answers end within the limit.
    ending = Renderer(renderer.tokenizer, renderer.template, [2, *range(3, 304, 3)])
    rows = [labelled(text, number=str(place)) for place, text in enumerate(SCRIPT)]
    predictor = TorchPredictor(model)
    expected = []
    for row in rows:
        text = row.messages[-1].content
        question = (Message("system", module._SYSTEM), Message("user", f"{module._QUESTIONS[0]}: {text}"))
        (reply,) = predictor.generate([ending.prompt(question)], 100, ending.stop_ids, lambda *_: None)
        answer = clean(ending.decode(reply.tokens))
        if is_usable(answer, text, {text}):
            expected.append(answer)
    assert len(expected) > 1
    assert said(paraphrase(predictor, ending, LABELLED, rows, 1, report)) == expected

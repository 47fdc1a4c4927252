import pytest
from honed.data import Message, Prepared, Template
from honed.evaluate import (
    few_shot_prompts,
    free_accuracy,
    likelihood_accuracy,
    tuned_prompts,
    zero_shot_prompts,
)
from honed.evaluate.accuracy import MAX_SHOTS

TEMPLATE = Template("text", "label", "Classify the message.", labelled=True)
TEXTS = ("Where is it?", "Send the money back.", "It is broken.")
LABELS = ("lost", "refund", "repair")


class Parrot:
    """Knows some questions by heart: answers a prompt that holds one, and finds that answer the likeliest."""

    def __init__(self, renderer, answers):
        self._renderer, self._answers = renderer, answers
        self.asked = []

    def _answer(self, prompt):
        text = self._renderer.tokenizer.decode(prompt, skip_special_tokens=True)
        self.asked.append(text)
        return next(answer for question, answer in self._answers.items() if question in text.rpartition("user\n")[2])

    def generate(self, prompts, max_new_tokens, stop_ids, progress):
        replies = [self._renderer.encode(self._answer(prompt))[:max_new_tokens] for prompt in prompts]
        progress(len(prompts), len(prompts))
        return replies

    def score(self, prompts, replies, progress):
        texts = [self._renderer.decode(reply) for reply in replies]
        progress(len(prompts), len(prompts))
        return [[-1.0 if text == self._answer(prompt) else -2.0 for text in texts] for prompt in prompts]


def prepared(labelled=True, texts=TEXTS, labels=LABELS):
    template = TEMPLATE if labelled else Template("text", "label", "", labelled=False)
    rows = tuple(template.example({"text": t, "label": r}) for t, r in zip(texts, labels, strict=True))
    return Prepared(template, tuple(sorted(set(labels))) if labelled else (), rows, rows)


def silent(done, total):
    pass


@pytest.mark.parametrize(
    ("answers", "correct"),
    [
        (("lost", "refund", "repair"), 3),
        ((" Lost.", "REFUND", "repair ."), 2),  # a space before the stop is another answer
        (("lost lost", "", "repairs"), 0),
        (("lost..", "refund\n", "repair"), 2),
    ],
)
def test_a_reply_counts_without_case_outer_space_and_one_final_stop(renderer, answers, correct):
    data = prepared()
    parrot = Parrot(renderer, dict(zip(TEXTS, answers, strict=True)))
    found = free_accuracy(parrot, renderer, data, tuned_prompts(data), "tuned", silent)
    assert (found.subject, found.mode, found.correct, found.total) == ("tuned", "free", correct, 3)
    assert found.accuracy == correct / 3


def test_a_reply_may_be_a_little_longer_than_the_longest_expected_one_and_no_more(renderer):
    data = prepared()
    asked = []

    class Counting(Parrot):
        def generate(self, prompts, max_new_tokens, stop_ids, progress):
            asked.append((max_new_tokens, stop_ids))
            return super().generate(prompts, max_new_tokens, stop_ids, progress)

    parrot = Counting(renderer, dict(zip(TEXTS, LABELS, strict=True)))
    free_accuracy(parrot, renderer, data, tuned_prompts(data), "tuned", silent)
    longest = max(len(renderer.encode(label)) for label in LABELS) + 1  # the end of turn
    assert asked == [(longest + 4, renderer.stop_ids)]


def test_the_likeliest_label_is_the_answer(renderer):
    data = prepared()
    parrot = Parrot(renderer, dict(zip(TEXTS, ("lost", "repair", "repair"), strict=True)))
    found = likelihood_accuracy(parrot, renderer, data, zero_shot_prompts(data), "base", silent)
    assert (found.mode, found.correct, found.total) == ("likelihood", 2, 3)


def test_labels_are_scored_with_their_end_of_turn(renderer):
    data = prepared()
    scored = []

    class Listening(Parrot):
        def score(self, prompts, replies, progress):
            scored.extend(replies)
            return super().score(prompts, replies, progress)

    parrot = Listening(renderer, dict(zip(TEXTS, LABELS, strict=True)))
    likelihood_accuracy(parrot, renderer, data, tuned_prompts(data), "base", silent)
    assert [renderer.decode(reply) for reply in scored] == list(data.labels)
    assert all(reply[-1] in renderer.stop_ids for reply in scored)


def test_the_tuned_model_is_asked_as_it_was_trained():
    data = prepared()
    assert tuned_prompts(data)[0] == (Message("system", "Classify the message."), Message("user", TEXTS[0]))


def test_a_base_model_is_told_the_labels():
    for prompt in zero_shot_prompts(prepared()):
        assert "lost, refund, repair" in prompt[0].content
        assert len(prompt) == 2


def test_few_shot_prompts_show_one_example_a_label_unless_told_otherwise():
    data = prepared()
    prompts, shots = few_shot_prompts(data, None)
    assert shots == 3
    assert [message.content for message in prompts[0] if message.role == "assistant"] == list(LABELS)
    assert few_shot_prompts(data, 1)[1] == 1
    assert few_shot_prompts(data, 0) == (zero_shot_prompts(data), 0)


def test_the_default_number_of_shots_is_bounded():
    many = tuple(f"label {i:02}" for i in range(MAX_SHOTS + 5))
    assert few_shot_prompts(prepared(texts=many, labels=many), None)[1] == MAX_SHOTS


def test_without_labels_four_examples_are_shown():
    five = ("a", "b", "c", "d", "e")
    assert few_shot_prompts(prepared(labelled=False, texts=five, labels=five), None)[1] == 4

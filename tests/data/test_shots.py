import numpy as np
import pytest
from honed.data import Example, Message, SimilarShots, Template, bind, choose_shots, untuned_prompt
from honed.template_library import BUILT_IN
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

CLASSIFY = Template.from_json(BUILT_IN["classify"])
LABELLED = bind(CLASSIFY, {}, {}, {}, "", ("text", "label"))
PAIRS = bind(Template.from_json(BUILT_IN["prompt-completion"]), {}, {}, {}, "", ("prompt", "completion"))
WORDS = st.lists(st.sampled_from(["card", "cards", "my", "where", "lost", "the", "a"]), max_size=5).map(" ".join)


def example(text, reply):
    return LABELLED.example({"text": text, "label": reply})


def spoken(messages):
    return [(message.role, message.content) for message in messages]


# The prompt of an untuned model.


def test_the_zero_shot_prompt_lists_every_label():
    prompt = untuned_prompt(LABELLED, example("a", "x"), ("x", "y", "z"), ())
    assert spoken(prompt) == [
        ("system", "Classify the message. Answer with exactly one of these labels and nothing else: x, y, z."),
        ("user", "a"),
    ]


def test_the_labels_are_listed_without_an_instruction_too():
    bare = Example((Message("user", "a"),), "x")
    assert untuned_prompt(LABELLED, bare, ("x",), ())[0].content.startswith("Answer with exactly one of")


def test_the_keys_of_an_extraction_are_listed():
    template = bind(
        Template.from_json(BUILT_IN["extract"]), {"fields": ["name", "area"]}, {}, {}, "", ("text", "name", "area")
    )
    row = template.example({"text": "t", "name": "n", "area": ""})
    system = untuned_prompt(template, row, (), ())[0].content
    assert system.startswith(template.instruction)
    assert system.endswith("a JSON object of exactly these keys and nothing else: name, area.")


def test_nothing_is_listed_where_any_reply_is_right():
    row = PAIRS.example({"prompt": "Hi", "completion": "Hello"})
    assert untuned_prompt(PAIRS, row, (), ()) == row.messages


def test_shots_stand_between_the_instruction_and_the_question_as_turns():
    prompt = untuned_prompt(LABELLED, example("q", "x"), ("x", "y"), [example("a", "x"), example("b", "y")])
    assert prompt[0].role == "system"
    assert spoken(prompt[1:]) == [
        ("user", "a"),
        ("assistant", "x"),
        ("user", "b"),
        ("assistant", "y"),
        ("user", "q"),
    ]


def test_a_conversation_keeps_its_turns_and_its_own_system_message():
    turns = (Message("system", "Be kind."), Message("user", "1"), Message("assistant", "2"), Message("user", "3"))
    shot = Example((Message("system", "Be rude."), Message("user", "a")), "b")
    prompt = untuned_prompt(None, Example(turns, "4"), (), [shot])
    assert spoken(prompt) == [("system", "Be kind."), ("user", "a"), ("assistant", "b"), *spoken(turns[1:])]


# Shots that are the same for every row.

MANY = [example(f"{label} {place}", label) for label in "abcdefgh" for place in range(4)]


def test_shots_are_chosen_label_by_label_in_turn():
    shots = choose_shots(MANY, labelled=True, count=20, seed=0)
    for turn in (shots[:8], shots[8:16]):
        assert sorted(shot.reply for shot in turn) == list("abcdefgh")
    assert [shot.reply for shot in shots[:4]] == [shot.reply for shot in shots[16:]]


@pytest.mark.parametrize("labelled", [True, False])
def test_shots_are_drawn_by_seed_not_by_the_order_of_labels_or_rows(labelled):
    first, again, *others = (choose_shots(MANY, labelled, 3, seed) for seed in (0, 0, 1, 2, 3, 4, 5))
    assert first == again
    assert len({shots[0].reply for shots in (first, *others)}) > 2
    assert len({shots[0].messages for shots in (first, *others)}) > 3


@pytest.mark.parametrize("labelled", [True, False])
def test_fewer_shots_are_the_beginning_of_more(labelled):
    most = choose_shots(MANY, labelled, 32, 7)
    assert choose_shots(MANY, labelled, 5, 7) == most[:5]


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize(("count", "expected"), [(0, 0), (2, 2), (3, 3), (99, 3)])
def test_there_are_never_more_shots_than_asked_for_or_than_rows(labelled, count, expected):
    train = [example("1", "b"), example("2", "b"), example("3", "a")]
    shots = choose_shots(train, labelled, count, seed=0)
    assert len(shots) == len({shot.messages for shot in shots}) == expected


# Shots that are like the row.


def test_the_most_similar_row_stands_last():
    train = [
        example(text, "x") for text in ("the bus is late", "my card is lost", "where is my lost card now", "hello")
    ]
    chosen = SimilarShots(train).choose(example("My CARD is lost!", "x"), 3)
    assert [shot.messages[-1].content for shot in chosen] == [
        "the bus is late",
        "where is my lost card now",
        "my card is lost",
    ]


def test_rows_that_share_no_word_fill_up_in_the_order_of_the_table():
    train = [example(text, "x") for text in ("one", "two", "three")]
    chosen = SimilarShots(train).choose(example("three four", "x"), 2)
    assert [shot.messages[-1].content for shot in chosen] == ["one", "three"]


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=12), WORDS, st.integers(0, 15))
def test_a_row_that_asks_the_same_is_never_shown(texts, text, count):
    train = [example(f"{each} !", str(place)) for place, each in enumerate(texts)]
    chosen = SimilarShots(train).choose(example(f"{text} !", "?"), count)
    others = sum(each != text for each in texts)
    assert len(chosen) == min(count, others)
    assert len({shot.reply for shot in chosen}) == len(chosen)
    assert all(shot.messages[-1].content != f"{text} !" for shot in chosen)


@settings(max_examples=100, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=12), WORDS)
def test_the_order_is_that_of_scikit_learns_tfidf(texts, text):
    train = [example(f"{each} .", str(place)) for place, each in enumerate(texts)]
    vectorizer = TfidfVectorizer(token_pattern=r"\w+|\.")  # the full stop: scikit-learn needs one word at least
    vectors = vectorizer.fit_transform([f"{each} ." for each in texts])
    # The full stop is in every row; taking it out of both sides leaves the words that honed compares.
    keep = [place for word, place in vectorizer.vocabulary_.items() if word != "."]
    rows, query = vectors.toarray()[:, keep], vectorizer.transform([f"{text} ."]).toarray()[0, keep]
    lengths = np.linalg.norm(rows, axis=1)
    scores = np.divide(rows @ query, lengths, out=np.zeros(len(texts)), where=lengths > 0)
    allowed = [place for place in range(len(texts)) if texts[place] != text]
    expected = sorted(allowed, key=lambda place: (-round(scores[place], 9), place))
    chosen = [int(shot.reply) for shot in SimilarShots(train).choose(example(f"{text} .", "?"), len(texts))]
    assert chosen[::-1] == expected

"""Copies by rule. What each kind may do to a text is stated here anew, as the set of all that it may write."""

import pytest
from honed.data import Example, Message
from honed.data.augment import augment
from hypothesis import given, settings
from hypothesis import strategies as st

KINDS = ("typos", "casing", "punctuation", "word_dropout")
EACH = dict.fromkeys(KINDS, 3)
TEXTS = st.text(st.sampled_from("abIß é我_7.,!?'\n "), max_size=40).filter(str.strip)
GOLDEN = [
    "Where is my card? I paid 3.50 forr it.",
    "where is my card? i paid 3.50 for it.",
    "Where is my card I paid 3.50 for it.",
    "Where is my card? I paid 3.50 for",
]
KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def row(text, reply="card", number="7"):
    return Example((Message("system", "Be brief."), Message("user", text)), reply, row=number)


def texts(text, kind, copies=1, seed=0):
    return [copy.messages[-1].content for _, copy in augment([row(text)], {kind: copies}, seed)]


def over_seeds(text, kind, seeds=200):
    return {changed for seed in range(seeds) for changed in texts(text, kind, seed=seed)}


def mistyped(word):
    """All that one mistake in a lower-case word may write."""
    swapped = {word[:at] + word[at + 1] + word[at] + word[at + 2 :] for at in range(len(word) - 1)}
    dropped = {word[:at] + word[at + 1 :] for at in range(len(word))}
    doubled = {word[:at] + word[at] + word[at:] for at in range(len(word))}
    beside = {
        word[:at] + keys[place] + word[at + 1 :]
        for at, letter in enumerate(word)
        for keys in KEYBOARD
        for place in (keys.find(letter) - 1, keys.find(letter) + 1)
        if letter in keys and 0 <= place < len(keys)
    }
    return swapped - {word}, dropped, doubled, beside


# Every kind.


@settings(deadline=None, max_examples=100)
@given(TEXTS, st.integers(0, 3))
def test_only_the_last_message_changes_and_every_copy_says_something_new(text, seed):
    earlier = (Message("system", text), Message("user", text), Message("assistant", text, weight=0))
    original = Example((*earlier, Message("user", text)), text, ("other",), "rejected", "test 4", {"a": "b"})
    made = augment([original], EACH, seed)
    said = [copy.messages[-1].content for _, copy in made]
    assert all(changed.strip() for changed in said)
    assert len({text, *said}) == 1 + len(said)
    for kind, copy in made:
        assert copy.messages[:-1] == earlier
        assert copy.messages[-1].role == "user"
        assert (copy.reply, copy.references, copy.rejected, copy.columns) == (text, ("other",), "rejected", {"a": "b"})
        assert copy.row in {f"test 4 ({kind} {number})" for number in (1, 2, 3)}


@settings(deadline=None, max_examples=50)
@given(st.lists(TEXTS, max_size=5), st.randoms())
def test_the_copies_of_a_row_depend_neither_on_its_place_nor_on_the_other_rows(said, shuffler):
    rows = [row(text, number=str(place)) for place, text in enumerate(said)]
    alone = [copy for each in rows for copy in augment([each], EACH, 1)]
    assert augment(rows, EACH, 1) == alone
    shuffler.shuffle(rows)
    assert sorted(augment(rows, EACH, 1), key=str) == sorted(alone, key=str)


def test_the_copies_are_the_same_in_every_process():
    found = [texts("Where is my card? I paid 3.50 for it.", kind)[0] for kind in KINDS]
    assert found == GOLDEN


def test_another_seed_or_another_reply_gives_other_copies():
    text = "Where is my new card, which I asked for two weeks ago?"
    changed = [augment([row(text, reply)], {"typos": 3}, seed) for reply, seed in (("a", 0), ("a", 1), ("b", 0))]
    said = [tuple(copy.messages[-1].content for _, copy in made) for made in changed]
    assert len(set(said)) == 3


def test_copies_are_numbered_by_kind_and_only_as_many_as_asked_for():
    made = augment([row("Where is my card? I lost it!")], {"typos": 2, "word_dropout": 1, "casing": 0}, 0)
    assert [(kind, copy.row) for kind, copy in made] == [
        ("typos", "7 (typos 1)"),
        ("typos", "7 (typos 2)"),
        ("word_dropout", "7 (word_dropout 1)"),
    ]


def test_bare_text_is_left_alone():
    assert augment([Example((), "Where is my card?", row="1")], EACH, 0) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("12 34 a_b x9y", "typos"),
        ("123 我", "casing"),
        ("no marks at 3.50 or -5 or 50%", "punctuation"),
        ("two words", "word_dropout"),
    ],
)
def test_a_text_that_a_kind_cannot_change_gives_no_copy(text, kind):
    assert over_seeds(text, kind, 20) == set()


# Each kind.


def test_a_typing_mistake_swaps_drops_doubles_or_hits_the_key_beside():
    ways = mistyped("queue")
    found = over_seeds("queue", "typos", 400)
    assert found == set.union(*ways)


def test_the_key_beside_keeps_the_case():
    assert {word for word in over_seeds("QQ", "typos") if len(word) == 2} == {"WQ", "QW"}


@pytest.mark.parametrize(("words", "mistakes"), [(1, 1), (9, 1), (20, 2), (51, 5)])
def test_one_word_in_ten_is_mistyped_and_at_least_one(words, mistakes):
    text = " ".join(["monday"] * words)
    changed = texts(text, "typos")[0].split()
    assert sum(word != "monday" for word in changed) == mistakes
    assert set(changed) - {"monday"} <= set.union(*mistyped("monday"))


def test_numbers_and_identifiers_are_never_mistyped():
    found = over_seeds("order 12345 of A4B7, file_name and it", "typos")
    assert len(found) > 20
    assert all(token in text for text in found for token in ("12345", "A4B7", "file_name"))


def test_the_casings_are_lower_upper_title_and_sentences_without_a_capital():
    assert set(texts("My card's lost. Help ME!\nNow", "casing", 10)) == {
        "my card's lost. help me!\nnow",
        "MY CARD'S LOST. HELP ME!\nNOW",
        "My Card's Lost. Help Me!\nNow",
        "my card's lost. help ME!\nnow",
    }


@pytest.mark.timeout(20)  # 0.1 s; read again from each of its places the first took over 30 s
@pytest.mark.parametrize("text", ["a." + " " * 60_000 + "- b", "\n" * 60_000 + "-", "a" + " \n" * 30_000 + "- b"])
def test_long_runs_of_white_space_are_read_once(text):
    over_seeds(text, "casing", seeds=2)


def test_punctuation_is_taken_away_or_doubled_but_not_that_of_numbers_and_words():
    assert over_seeds("Don't pay 3.50, ok? No", "punctuation") == {
        "Dont pay 3.50, ok? No",
        "Don't pay 3.50, ok No",
        "Dont pay 3.50, ok No",
        "Don't pay 3.50, ok?? No",
    }


def test_marks_of_other_languages_count():
    assert over_seeds("卡在哪里？", "punctuation") == {"卡在哪里", "卡在哪里？？"}


def test_a_text_of_marks_alone_is_never_emptied():
    assert over_seeds("?!", "punctuation") == {"!", "?", "??!", "?!!", "??!!"}


@pytest.mark.parametrize("text", ["a b c", "one two three four", "a b  c\nd e"])
def test_words_are_left_out_but_never_all(text):
    found = over_seeds(text, "word_dropout")
    words = text.split()
    for changed in found:
        left = iter(words)
        assert all(word in left for word in changed.split())  # in their order
        assert 0 < len(changed.split()) < len(words)
    assert all(any(word not in changed.split() for changed in found) for word in words)


def test_one_word_in_ten_is_left_out():
    words = [f"w{number}" for number in range(2000)]
    left = texts(" ".join(words), "word_dropout")[0].split()
    assert 1740 <= len(left) <= 1860  # 1800 expected, standard deviation 13.4: 4.5 of them


def test_lines_stay_lines_when_a_word_is_left_out():
    found = over_seeds("a b\nc d", "word_dropout")
    assert {"a \nc d", "a b\nd", "b\nc d", "a b\nc"} <= found

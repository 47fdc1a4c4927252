import numpy as np
import pytest
from honed.data import Example, Message
from honed.data.checks import Checks


def row(asked, reply="x"):
    return Example((Message("user", asked),), reply)


def checked(*examples, groups=None, labelled=False):
    checks = Checks()
    checks.add(examples, groups or [None] * len(examples), labelled=labelled)
    return checks


def same(keys):
    """Which of the rows have one key: the place of the first for each."""
    return [list(keys).index(key) for key in keys]


def test_rows_that_ask_the_same_have_one_key_and_with_the_reply_another():
    checks = checked(row("a", "x"), row("b", "x"), row("a", "y"), row("a", "x"))
    assert same(checks.prompts) == [0, 1, 0, 0]
    assert same(checks.pairs) == [0, 1, 2, 0]


def test_prompt_and_reply_do_not_run_into_each_other():
    checks = checked(row("ab", "c"), row("a", "bc"))
    assert len(set(checks.pairs)) == 2


def test_every_turn_of_a_conversation_counts():
    def talk(*contents):
        roles = ["user", "assistant"] * 2
        return Example(tuple(Message(*turn) for turn in zip(roles, contents, strict=False)), "x")

    checks = checked(talk("a", "b", "c"), talk("a", "B", "c"), talk("c"), talk("a", "b", "c"))
    assert same(checks.prompts) == [0, 1, 2, 0]


def test_bare_text_is_its_own_prompt():
    checks = checked(Example((), "a"), Example((), "b"), Example((), "a"))
    assert same(checks.prompts) == same(checks.pairs) == [0, 1, 0]
    assert list(checks.characters.array()) == [1, 1, 1]


def test_a_row_without_a_group_is_grouped_with_those_that_ask_the_same():
    checks = checked(row("a"), row("b"), row("a"))
    assert same(checks.groups) == [0, 1, 0]


def test_rows_are_grouped_by_the_name_of_their_group_which_is_no_prompt():
    checks = checked(row("a"), row("b"), row("c"), row("c"), groups=["g", "h", "g", None])
    assert same(checks.groups) == [0, 1, 0, 3]
    assert len(set(checked(row("a"), row("b"), groups=[None, "a"]).groups)) == 2


def test_labels_are_numbered_as_they_come():
    checks = checked(row("1", "b"), row("2", "a"), row("3", "b"), labelled=True)
    checks.add([row("4", "c"), row("5", "a")], [None, None], labelled=True)
    assert checks.labels == ["b", "a", "c"]
    assert checks.label_array().tolist() == [0, 1, 0, 2, 1]
    assert len(checks) == 5


def test_rows_that_are_not_labelled_count_as_of_one_label():
    checks = checked(row("1", "b"), row("2", "a"))
    assert checks.labels == []
    assert checks.label_array().tolist() == [0, 0]


def test_keys_are_arrays_of_one_number_a_row():
    for keys in checked(row("1"), row("2")).key_arrays():
        assert keys.dtype == np.uint64
        assert keys.shape == (2,)


def test_the_characters_of_prompt_and_reply_are_counted():
    assert list(checked(row("añb", "xy"), row("", "z")).characters.array()) == [5, 1]


def test_the_rejected_reply_of_a_preference_counts_as_the_chosen_one_does():
    checks = checked(
        *(Example((Message("user", "a"),), "b", rejected=rejected) for rejected in ("cc", "dd", "cc", "e\u200b"))
    )
    assert same(checks.prompts) == [0, 0, 0, 0]
    assert same(checks.pairs) == [0, 1, 0, 3]
    assert checks.characters.array().tolist() == [4, 4, 4, 4]
    assert checks.controls == [3]


def test_the_system_message_is_looked_at_as_well():
    talk = (Message("system", "rule\u200b"), Message("user", "a"))
    assert checked(row("a"), Example(talk, "b")).controls == [1]


def test_a_row_with_both_kinds_of_strange_characters_is_noted_as_both():
    checks = checked(row("fine"), row("cafÃ©\u200b"))
    assert checks.mojibake == checks.controls == [1]


def test_of_each_table_the_first_rows_are_compared(monkeypatch):
    monkeypatch.setattr("honed.data.checks.MAX_NEAR_DUPLICATE_ROWS", 3)
    texts = [f"{number} {'abcdefgh'[number] * 9}" for number in range(5)]
    checks = checked(*(row(text) for text in texts))
    checks.start_table()
    for text in reversed(texts):
        checks.add([row(f"{text}.")], [None], labelled=False)
    assert checks.compared == 6
    assert checks.near.leaks(np.arange(10) >= 5) == [(2, 7)]


@pytest.mark.parametrize(
    "text",
    ["cafÃ©", "donâ€™t", "Ã¼ber", "a\ufffdb", "Â£5", "naÃƒÂ¯ve"],
    ids=["e acute", "quote", "u umlaut", "lost", "pound", "twice"],
)
def test_text_that_was_decoded_wrongly_is_noted(text):
    checks = checked(row("fine"), row(text), row("fine too", f"so\n{text}"))
    assert checks.mojibake == [1, 2]
    assert checks.controls == []


@pytest.mark.parametrize(
    "character",
    [
        "\x01",
        "\x1b",
        "\x7f",
        "\x9f",
        "\u200b",
        "\u202e",
        "\u2066",
        "\ufeff",
        "\x0c",
        "\u061c",
        "\u180e",
        "\u2061",
        "\u2064",
        "\U000e0041",
        "\U000e007f",
    ],
)
def test_characters_that_nobody_sees_are_noted(character):
    checks = checked(row("fine"), row(f"a{character}b"), row("fine too", character))
    assert checks.controls == [1, 2]
    assert checks.mojibake == []


@pytest.mark.parametrize(
    "text",
    [
        "naïve café, über",
        "a\tb\r\nc",
        "Ã",
        "São Paulo",
        "日本語",
        "👩\u200d💻",
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "می\u200cخواهم",
        "“quoted” – dash…",
        "£5",
        "a\u00a0b",
    ],
)
def test_text_in_any_language_is_not_strange(text):
    checks = checked(row(text), row("a", text))
    assert checks.mojibake == checks.controls == []

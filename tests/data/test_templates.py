import pytest
from honed.data import CLASSIFY_INSTRUCTION, Example, Message, Template, choose_shots

LABELLED = Template("text", "label", CLASSIFY_INSTRUCTION, labelled=True)
PAIRS = Template("prompt", "completion", "", labelled=False)


def example(text, reply):
    return LABELLED.example({"text": text, "label": reply})


def test_a_labelled_row_becomes_the_instruction_and_the_text():
    assert example("My card is gone.", "lost") == Example(
        (Message("system", "Classify the message."), Message("user", "My card is gone.")), "lost"
    )


def test_without_an_instruction_there_is_no_system_message():
    row = PAIRS.example({"prompt": "Hi", "completion": "Hello"})
    assert row == Example((Message("user", "Hi"),), "Hello")
    assert PAIRS.zero_shot(row, ()) == row.messages


def test_the_zero_shot_prompt_lists_every_label():
    system, user = LABELLED.zero_shot(example("a", "x"), ("x", "y", "z"))
    assert system.content.startswith(CLASSIFY_INSTRUCTION)
    assert system.content.endswith(": x, y, z.")
    assert user == Message("user", "a")


def test_the_labels_are_listed_without_an_instruction_too():
    bare = Template("text", "label", "", labelled=True)
    assert bare.zero_shot(example("a", "x"), ("x",))[0].content.startswith("Answer with")


def test_shots_stand_between_the_instruction_and_the_question_as_turns():
    prompt = LABELLED.few_shot(example("q", "x"), ("x", "y"), [example("a", "x"), example("b", "y")])
    assert [(message.role, message.content) for message in prompt[1:]] == [
        ("user", "a"),
        ("assistant", "x"),
        ("user", "b"),
        ("assistant", "y"),
        ("user", "q"),
    ]
    assert prompt[0].role == "system"


def test_shots_are_chosen_label_by_label_in_turn():
    train = [example(text, reply) for text, reply in (("1", "b"), ("2", "b"), ("3", "a"), ("4", "b"), ("5", "a"))]
    chosen = [shot.messages[-1].content for shot in choose_shots(train, labelled=True, count=4)]
    assert chosen == ["3", "1", "5", "2"]


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize(("count", "expected"), [(0, 0), (2, 2), (3, 3), (99, 3)])
def test_there_are_never_more_shots_than_asked_for_or_than_rows(labelled, count, expected):
    train = [example("1", "b"), example("2", "b"), example("3", "a")]
    shots = choose_shots(train, labelled, count)
    assert len(shots) == len(set(shots)) == expected


def test_an_unlabelled_table_shows_its_first_rows():
    train = [example("1", "b"), example("2", "b"), example("3", "a")]
    assert choose_shots(train, labelled=False, count=2) == train[:2]


def test_template_and_example_survive_json():
    assert Template.from_json(LABELLED.to_json()) == LABELLED
    assert Example.from_json(example("ä", "x").to_json()) == example("ä", "x")

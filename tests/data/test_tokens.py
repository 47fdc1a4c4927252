import json
import shutil

import pytest
from helpers.tiny_model import END_OF_TEXT_ID, END_OF_TURN_ID, START_OF_TURN, make_tokenizer
from honed.data import Example, Message, Renderer
from honed.errors import InvalidInput
from transformers import AutoTokenizer

CHAT = (Message("system", "Classify the message."), Message("user", "Where is my card? ☃"))
EXAMPLE = Example(CHAT, "lost card")


@pytest.fixture
def folder(tiny_llama, tmp_path):
    """A copy of the tokenizer's files, to be changed."""
    names = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json", "config.json")
    for name in names:
        shutil.copyfile(tiny_llama / name, tmp_path / name)
    return tmp_path


def change(path, **values):
    settings = json.loads(path.read_text()) | values
    path.write_text(json.dumps({key: value for key, value in settings.items() if value is not None}))


def refusal(folder):
    with pytest.raises(InvalidInput) as caught:
        Renderer.load(folder)
    return caught.value.reason


def test_a_prompt_has_the_ids_that_transformers_gives_it(tiny_llama, renderer):
    tokenizer = AutoTokenizer.from_pretrained(tiny_llama, local_files_only=True)
    conversation = [{"role": message.role, "content": message.content} for message in CHAT]
    expected = tokenizer.apply_chat_template(conversation, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert renderer.prompt(CHAT) == expected


def test_prompt_and_reply_together_spell_the_rendered_conversation_up_to_the_end_of_turn(renderer):
    row = renderer.example(EXAMPLE)
    text = renderer.tokenizer.decode(row.prompt + row.reply, skip_special_tokens=False)
    whole = renderer.template.render((*CHAT, Message("assistant", "lost card")), add_generation_prompt=False)
    assert text == whole.removesuffix("\n")
    assert len(row) == len(row.prompt) + len(row.reply)


def test_training_and_serving_see_the_same_prompt(renderer):
    assert list(renderer.example(EXAMPLE).prompt) == renderer.prompt(CHAT)


def test_a_reply_ends_with_its_only_end_of_turn(renderer):
    reply = renderer.reply(EXAMPLE)
    assert reply[-1] == END_OF_TURN_ID
    assert not renderer.stop_ids & set(reply[:-1])
    assert renderer.decode(reply) == "lost card"


@pytest.mark.parametrize("role", ["system", "user", "assistant"])
def test_a_control_token_in_a_message_is_refused(renderer, role):
    with pytest.raises(InvalidInput) as caught:
        renderer.prompt([Message(role, f"a{START_OF_TURN}b"), Message("user", "c")])
    assert caught.value.reason == "SPECIAL_TOKEN_IN_TEXT"
    assert caught.value.metadata["token"] == START_OF_TURN


def test_a_control_token_in_a_reply_is_refused(renderer):
    with pytest.raises(InvalidInput, match="control token"):
        renderer.reply(Example(CHAT, "lost<|im_end|>"))


def test_raw_text_keeps_its_control_tokens(renderer):
    assert renderer.encode("<|im_start|>")[0] == 1
    assert len(renderer.encode("<|im_start|>")) == 1


def test_every_end_of_turn_that_a_file_names_stops_a_reply(folder):
    assert Renderer.load(folder).stop_ids == {END_OF_TURN_ID, END_OF_TEXT_ID}
    change(folder / "generation_config.json", eos_token_id=[7, 9])
    change(folder / "config.json", eos_token_id=11)
    assert Renderer.load(folder).stop_ids == {END_OF_TURN_ID, 7, 9, 11}


def test_an_end_of_turn_may_be_given_as_an_object(folder):
    change(folder / "tokenizer_config.json", eos_token={"content": "<|endoftext|>"})
    (folder / "generation_config.json").unlink()
    (folder / "config.json").unlink()
    assert Renderer.load(folder).stop_ids == {END_OF_TEXT_ID}


def test_a_model_without_an_end_of_turn_is_refused(folder):
    change(folder / "tokenizer_config.json", eos_token=None)
    (folder / "generation_config.json").unlink()
    (folder / "config.json").unlink()
    assert refusal(folder) == "END_OF_TURN_MISSING"


def test_a_template_may_stand_in_the_tokenizers_config(folder):
    before = Renderer.load(folder).prompt(CHAT)
    source = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").unlink()
    change(folder / "tokenizer_config.json", chat_template=source)
    assert Renderer.load(folder).prompt(CHAT) == before


def test_a_model_without_a_template_gets_the_plain_one(folder):
    (folder / "chat_template.jinja").unlink()
    renderer = Renderer.load(folder)
    assert renderer.decode(renderer.prompt(CHAT)) == (
        "### system\nClassify the message.\n\n### user\nWhere is my card? ☃\n\n### assistant\n"
    )
    assert renderer.reply(EXAMPLE)[-1] == END_OF_TURN_ID


def test_a_template_that_writes_no_end_of_turn_gets_one(folder):
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}\n{% endfor %}")
    renderer = Renderer.load(folder)
    assert renderer.reply(EXAMPLE) == [*renderer.encode("lost card\n"), END_OF_TURN_ID]


def test_a_template_that_does_not_continue_its_own_prompt_is_refused(folder):
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}answer: {% endif %}"
    )
    with pytest.raises(InvalidInput) as caught:
        Renderer.load(folder).reply(EXAMPLE)
    assert caught.value.reason == "CHAT_TEMPLATE_INVALID"


def test_a_tokenizer_that_was_saved_with_truncation_and_padding_neither_truncates_nor_pads(folder):
    expected = Renderer.load(folder).prompt(CHAT)
    tokenizer = make_tokenizer()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=200)
    tokenizer.save(str(folder / "tokenizer.json"))
    assert Renderer.load(folder).prompt(CHAT) == expected


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("tokenizer.json", b"{", "TOKENIZER_INVALID"),
        ("tokenizer.json", None, "TOKENIZER_MISSING"),
        ("tokenizer_config.json", b"{", "MODEL_FILE_INVALID"),
        ("tokenizer_config.json", b"[]", "MODEL_FILE_INVALID"),
        ("generation_config.json", b"\xff", "MODEL_FILE_INVALID"),
        ("chat_template.jinja", b"\xff", "CHAT_TEMPLATE_INVALID"),
        ("chat_template.jinja", b"{% if %}", "CHAT_TEMPLATE_INVALID"),
    ],
)
def test_a_broken_file_is_refused_by_name(folder, name, content, reason):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    assert refusal(folder) == reason


def test_the_contract_tells_tokenizer_template_and_stop_tokens_apart(folder):
    before = Renderer.load(folder).digests()
    assert before == Renderer.load(folder).digests()
    assert {len(digest) for digest in before.values()} == {64}

    def changed():
        after = Renderer.load(folder).digests()
        return {part for part in before if before[part] != after[part]}

    change(folder / "generation_config.json", eos_token_id=[7])
    assert changed() == {"mask_rule"}
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    assert changed() == {"mask_rule", "chat_template"}
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["newtoken"])
    tokenizer.save(str(folder / "tokenizer.json"))
    assert changed() == {"mask_rule", "chat_template", "tokenizer"}


def test_a_token_shows_its_text_and_half_a_character_shows_as_such(renderer):
    assert renderer.token_text(END_OF_TURN_ID) == "<|im_end|>"
    assert [renderer.token_text(token) for token in renderer.encode("é")] == ["\ufffd", "\ufffd"]

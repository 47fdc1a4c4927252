import json
import shutil
from functools import cache

import pytest
from helpers.chat_templates import FAMILIES, family_renderer
from helpers.tiny_model import END_OF_TEXT_ID, END_OF_TURN_ID, START_OF_TURN, make_tokenizer
from honed.data import ChatTemplate, Example, Message, Renderer, TokenizedExample, all_tokens, tokens
from honed.errors import InvalidInput
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers
from transformers import AutoTokenizer

CHAT = (Message("system", "Classify the message."), Message("user", "Where is my card? ☃"))
EXAMPLE = Example(CHAT, "lost card")
EVERY_FAMILY = pytest.mark.parametrize("family", FAMILIES)

contents = st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(lambda text: f"{text}.".strip())
weights = st.lists(st.sampled_from([0, 0.5, 1, 2]), max_size=3)


@st.composite
def conversations(draw, weights=weights):
    """Examples of some turns, the assistant's earlier ones of these `weights`."""
    turns = [Message("system", draw(contents))] if draw(st.booleans()) else []
    for weight in draw(weights):
        turns += [Message("user", draw(contents)), Message("assistant", draw(contents), weight)]
    return Example((*turns, Message("user", draw(contents))), draw(contents))


@cache
def unspliced(family):
    """The renderer of a family whose chat template looks at a text, to no effect."""
    renderer = family_renderer(family)
    source = "{% if messages[0]['content'] == 'a' %}{% endif %}" + FAMILIES[family].source
    template = ChatTemplate(source, FAMILIES[family].bos_token, FAMILIES[family].end_of_turn)
    return Renderer(renderer.tokenizer, template, [*renderer.stop_ids])


def spelled(renderer, ids):
    """The text of token ids, special tokens by their names."""
    return renderer.tokenizer.decode(list(ids), skip_special_tokens=False)


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


# Several rows at once, and a template that is spliced.


@EVERY_FAMILY
@settings(max_examples=30, deadline=None)
@given(
    examples=st.lists(
        conversations(st.lists(st.just(False), max_size=2)) | st.builds(Example, st.just(()), contents), max_size=5
    )
)
def test_rows_tokenise_together_as_one_by_one_and_spliced_as_rendered(family, examples):
    together = family_renderer(family).examples(examples)
    assert together == [unspliced(family).example(example) for example in examples]
    assert together == [family_renderer(family).example(example) for example in examples]


@EVERY_FAMILY
@settings(max_examples=30, deadline=None)
@given(system=contents, texts=st.lists(contents, min_size=8, max_size=12), same=st.booleans())
def test_what_many_rows_share_is_encoded_once_with_the_tokens_of_each_alone(family, system, texts, same):
    renderer = family_renderer(family)
    texts = texts[:1] * len(texts) if same else texts
    rows = [Example((Message("system", system), Message("user", text)), "a") for text in texts]
    assert renderer.examples(rows) == [renderer.example(row) for row in rows]


def test_special_tokens_bound_what_is_shared(renderer):
    texts = [f"<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU {n}<|im_end|>\n<|im_start|>" for n in range(9)]
    assert renderer._shared(texts) == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>",
        "<|im_end|>\n<|im_start|>",
    )
    assert renderer._shared(["same" for _ in texts]) == ("", "")


def test_a_tokenizer_that_treats_the_beginning_of_a_text_apart_shares_nothing(renderer):
    tokenizer = Tokenizer.from_str(renderer.tokenizer.to_str())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Metaspace(replacement="a", prepend_scheme="first"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    apart = Renderer(tokenizer, renderer.template, [*renderer.stop_ids])
    rows = [Example((Message("system", "S"), Message("user", f"Where is {n}?")), "a") for n in range(9)]
    assert apart.examples(rows) == [apart.example(row) for row in rows]
    assert apart._shared([apart._prompt_text(row.messages) for row in rows]) == ("", "")


@EVERY_FAMILY
def test_only_the_template_that_looks_at_a_text_is_rendered_each_time(family):
    roles = ("user", "assistant", "user")
    assert family_renderer(family).template.splice(roles, add_generation_prompt=True) is not None
    assert unspliced(family).template.splice(roles, add_generation_prompt=True) is None


def test_no_rows_are_no_tokens(renderer):
    assert renderer.examples([]) == []


@EVERY_FAMILY
def test_another_reply_is_put_in_the_place_of_the_rows_own(family):
    example, other = Example(CHAT, "lost card"), Example(CHAT, "  refund ")
    renderer = family_renderer(family)
    assert renderer.reply(example, other.reply) == renderer.reply(other)
    assert renderer.reply(example) == list(renderer.example(example).reply)
    assert renderer.reply(example) != renderer.reply(other)


def test_replies_are_kept_in_bounded_number(renderer, monkeypatch):
    monkeypatch.setattr(tokens, "_KEPT_REPLIES", 2)
    for reply in ("a", "b", "c", "a", "b"):
        assert renderer.decode(renderer.reply(EXAMPLE, reply)) == reply
        assert len(renderer._replies) <= 2


# Conversations.


@pytest.mark.parametrize("family", ["chatml", "llama-3", "gemma", "mistral"])
@settings(max_examples=50, deadline=None)
@given(
    examples=st.lists(
        conversations(st.lists(st.sampled_from([0, 0.5, 1, 2]), min_size=1, max_size=4)), min_size=1, max_size=3
    )
)
def test_the_loss_covers_the_trained_turns_each_with_its_end_of_turn(family, examples):
    renderer = family_renderer(family)
    rows = renderer.examples(examples)
    assert rows == [unspliced(family).example(example) for example in examples]
    for example, row in zip(examples, rows, strict=True):
        assert list(row.prompt) == renderer.prompt(example.messages)
        assert row.trained == len(row.reply) + sum(end - start for start, end, _ in row.earlier)
        assert [(spelled(renderer, row.prompt[start:end]), weight) for start, end, weight in row.earlier] == [
            (f"{turn.content}{FAMILIES[family].end_of_turn}", turn.weight)
            for turn in example.messages
            if turn.role == "assistant" and turn.weight
        ]


def test_every_trained_turn_stands_at_its_own_place():
    renderer = family_renderer("chatml")
    turns = ("user", "same"), ("assistant", "same"), ("user", "same"), ("assistant", "same"), ("user", "same")
    row = renderer.example(Example(tuple(Message(*turn) for turn in turns), "same"))
    before = [len(renderer.prompt([Message(*turn) for turn in turns[:place]])) for place in (1, 3)]
    length = len(row.reply)
    assert row.earlier == tuple((start, start + length, 1) for start in before)


THOUGHTS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' and not loop.last %}"
    "{{ m.content.split('</think>')[-1] }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_turns_that_the_template_rewrites_later_cannot_be_trained(folder):
    (folder / "chat_template.jinja").write_text(THOUGHTS)
    renderer = Renderer.load(folder)
    thought = Message("assistant", "2+2</think>4")
    with pytest.raises(InvalidInput, match="weight 0") as caught:
        renderer.example(Example((Message("user", "?"), thought, Message("user", "!")), "5"))
    assert caught.value.reason == "CHAT_TEMPLATE_REWRITES_TURNS"
    masked = Message("assistant", thought.content, weight=0)
    row = renderer.example(Example((Message("user", "?"), masked, Message("user", "!")), "3+2</think>5"))
    assert row.earlier == ()
    assert "2+2" not in renderer.decode(row.prompt)
    assert renderer.decode(row.reply) == "3+2</think>5"


def talk(messages):
    """A conversation of that many messages with its reply, all of the assistant's trained."""
    return Example(
        tuple(Message("user" if at % 2 == 0 else "assistant", f"turn {at}") for at in range(messages - 1)), "x"
    )


def test_the_turns_of_a_long_conversation_are_found():
    renderer = family_renderer("chatml")
    row = renderer.example(talk(1000))
    assert len(row.earlier) == 499
    start, end, _ = row.earlier[-1]
    assert spelled(renderer, row.prompt[start:end]) == "turn 997<|im_end|>"


def test_in_a_prompt_longer_than_the_context_no_turns_are_looked_for(folder):
    example = talk(9)
    whole = Renderer.load(folder).example(example)
    assert len(whole.earlier) == 4
    change(folder / "config.json", max_position_embeddings=len(whole.prompt))
    assert Renderer.load(folder).example(example) == whole
    change(folder / "config.json", max_position_embeddings=len(whole.prompt) - 1)
    assert Renderer.load(folder).example(example) == TokenizedExample(whole.prompt, whole.reply)


def test_what_is_written_around_replies_is_kept_in_bounded_number(renderer):
    assert renderer._kept_reply_splice.cache_info().maxsize == tokens._KEPT_SPLICES


# A system message where the template has no place for one.


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if not family.knows_system])
def test_a_system_message_goes_in_front_of_the_first_users(family):
    renderer = family_renderer(family)
    more = (Message("assistant", "b"), Message("user", "c"))
    system, user = Message("system", "Be brief."), Message("user", "a")
    assert renderer.prompt((system, user, *more)) == renderer.prompt((Message("user", "Be brief.\n\na"), *more))
    assert renderer.prompt((system,)) == renderer.prompt((Message("user", "Be brief."),))
    assert renderer.reply(Example((system, user), "b")) == renderer.reply(Example((user,), "b"))


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if family.knows_system])
def test_a_system_message_that_the_template_knows_stays_one(family):
    renderer = family_renderer(family)
    messages = (Message("system", "Be brief."), Message("user", "a"))
    assert renderer.prompt(messages) == renderer.encode(renderer.template.render(messages, add_generation_prompt=True))


def test_a_system_message_that_the_template_would_leave_out_is_not_lost(folder):
    (folder / "chat_template.jinja").write_text(
        "{% for m in messages if m.role != 'system' %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    renderer = Renderer.load(folder)
    prompt = renderer.prompt((Message("system", "Be brief."), Message("user", "a")))
    assert renderer.decode(prompt) == "user: Be brief.\n\na\nassistant: "


# Bare text.


def test_each_token_has_the_weight_of_its_turn(renderer):
    turns = (Message("user", "a"), Message("assistant", "b", weight=0.5), Message("user", "c"))
    row = renderer.example(Example(turns, "d", weight=2.0))
    weighed = [(spelled(renderer, [token]), weight) for token, weight in zip(row.ids, row.weights(), strict=True)]
    learned = [(text, weight) for text, weight in weighed if weight]
    assert learned == [("b", 0.5), ("<|im_end|>", 0.5), ("d", 2.0), ("<|im_end|>", 2.0)]
    assert row.trained == len(learned)


def test_of_all_tokens_the_first_alone_is_not_learned(renderer):
    turns = (Message("user", "a"), Message("assistant", "b", weight=0), Message("user", "c"))
    row = renderer.example(Example(turns, "d", weight=2.0))
    whole = all_tokens(row)
    assert (whole.prompt, whole.reply) == (row.prompt, row.reply)
    assert whole.weights() == [0.0] + [1.0] * (len(row) - 1)
    assert whole.trained == len(row) - 1


def test_of_bare_text_all_tokens_are_learned_as_it_is(renderer):
    row = renderer.example(Example((), "The end."))
    assert all_tokens(row) == row


def test_bare_text_is_learned_whole_between_two_end_of_turn_tokens(renderer):
    assert renderer.example(Example((), " A tale.\n")) == TokenizedExample(
        (END_OF_TURN_ID,), (*renderer.encode(" A tale.\n"), END_OF_TURN_ID)
    )


def test_a_control_token_in_bare_text_is_refused(renderer):
    with pytest.raises(InvalidInput) as caught:
        renderer.example(Example((), "a<|endoftext|>b"))
    assert caught.value.reason == "SPECIAL_TOKEN_IN_TEXT"


@EVERY_FAMILY
def test_every_control_token_of_a_family_is_refused_wherever_it_stands(family):
    renderer = family_renderer(family)
    for token in FAMILIES[family].special_tokens:
        for example in (
            Example((Message("system", token), Message("user", "a")), "b"),
            Example((Message("user", f"a{token}b"),), "b"),
            Example((Message("user", "a"), Message("assistant", token, False), Message("user", "a")), "b"),
            Example((Message("user", "a"),), f"{token} b"),
        ):
            with pytest.raises(InvalidInput) as caught:
                renderer.examples([Example((Message("user", "fine"),), "fine"), example])
            assert caught.value.metadata["token"] in token


def test_what_only_begins_as_a_control_token_does_is_text(renderer):
    row = renderer.example(Example((Message("user", "<|im_end| > <s> <"),), "<|im"))
    assert "<|im_end| > <s> <" in renderer.decode(row.prompt)
    assert renderer.decode(row.reply) == "<|im"

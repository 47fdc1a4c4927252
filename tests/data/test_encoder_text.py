import json

import pytest
from helpers.tiny_model import make_tiny_encoder
from honed.data import Example, Message, Renderer, load_renderer
from honed.data.encoder_text import EncoderRenderer
from honed.errors import InvalidInput
from tokenizers import Tokenizer, processors
from transformers import AutoTokenizer

TEXT = "Where is my card? The delivery never came, and I want a refund."
ROW = Example((Message("system", "Classify the message."), Message("user", TEXT)), "card")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return make_tiny_encoder(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture
def encoder(saved):
    return load_renderer(saved)


def broken(folder, tmp_path, **changes):
    """The reason for which a folder is refused whose tokenizer.json has other values."""
    values = json.loads((folder / "tokenizer.json").read_text()) | changes
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    with pytest.raises(InvalidInput) as caught:
        load_renderer(tmp_path)
    return caught.value


def test_the_models_family_decides_how_it_is_written_for(saved, tiny_llama):
    assert type(load_renderer(saved)) is EncoderRenderer
    assert type(load_renderer(tiny_llama)) is Renderer


def test_a_prompt_is_the_users_message_as_transformers_writes_it(saved, encoder):
    tokenizer = AutoTokenizer.from_pretrained(saved, local_files_only=True)
    expected = tokenizer(TEXT, truncation=False, padding=False)["input_ids"]
    assert encoder.prompt(ROW.messages) == expected
    assert len(expected) > 8  # the length to which the file says to cut
    assert [encoder.token_text(token) for token in (expected[0], expected[-1])] == ["[CLS]", "[SEP]"]


def test_a_row_has_no_reply_and_nothing_under_a_loss_over_tokens(encoder):
    rows = encoder.examples([ROW] * 9)
    assert {row.prompt for row in rows} == {tuple(encoder.prompt(ROW.messages))}
    assert {(row.reply, row.trained) for row in rows} == {((), 0)}
    assert encoder.reply(ROW, "another") == []


def test_a_control_token_in_a_message_is_refused(encoder):
    with pytest.raises(InvalidInput) as caught:
        encoder.prompt([Message("user", "a [SEP] b")])
    assert caught.value.reason == "SPECIAL_TOKEN_IN_TEXT"


def test_what_the_tokenizer_writes_around_a_text_is_part_of_the_contract(saved, tmp_path, encoder):
    other = Tokenizer.from_file(str(saved / "tokenizer.json"))
    other.post_processor = processors.TemplateProcessing(single="$A [SEP]", special_tokens=[("[SEP]", 3)])
    other.save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text((saved / "config.json").read_text())
    changed = load_renderer(tmp_path)
    assert changed.prompt(ROW.messages) == encoder.prompt(ROW.messages)[1:]
    assert changed.digests()["chat_template"] != encoder.digests()["chat_template"]


def test_a_tokenizer_that_does_not_end_a_text_is_refused(saved, tmp_path):
    error = broken(saved, tmp_path, post_processor=None)
    assert error.reason == "TOKENIZER_INVALID"
    assert "writes nothing behind a text" in error.message


def test_a_tokenizer_that_cannot_write_a_text_is_refused(saved, tmp_path):
    model = {
        "type": "WordPiece",
        "unk_token": "[UNK]",
        "max_input_chars_per_word": 100,
        "vocab": {"[CLS]": 2, "[SEP]": 3},
    }
    error = broken(saved, tmp_path, model=model | {"continuing_subword_prefix": "##"})
    assert error.reason == "TOKENIZER_INVALID"

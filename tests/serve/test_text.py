import random

import pytest
from helpers.tiny_model import make_tokenizer
from honed.serve.text import ReplyText
from tokenizers import Tokenizer, decoders, models

TEXTS = ("plain words", "é😀日本 ☃", "😀😁😂", "a\n\n b  c", "naïve — ‘quoted’", "👩‍👩‍👧 family", "x")


def sentencepiece_like() -> Tokenizer:
    """As Llama 2's and Mistral's tokenizers: characters with a space mark, and single bytes for what is not known."""
    known = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *"abcdefghijklmnopqrstuvwxyz\n"]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(known)}, [], byte_fallback=True))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


def byte_level_ids(text):
    return TOKENIZERS["byte level"].encode(text).ids


def byte_fallback_ids(text):
    tokenizer = TOKENIZERS["byte fallback"]
    ids = []
    for character in f" {text}":
        token = tokenizer.token_to_id("▁" if character == " " else character)
        ids += [token] if token is not None else [byte + 1 for byte in character.encode()]
    return ids


TOKENIZERS = {"byte level": make_tokenizer(), "byte fallback": sentencepiece_like()}
ENCODERS = {"byte level": byte_level_ids, "byte fallback": byte_fallback_ids}


def stream(kind, ids, stops=()):
    """The pieces of a reply and the end, as the engine asks for them."""
    text = ReplyText(lambda part: TOKENIZERS[kind].decode(list(part), skip_special_tokens=True), stops)
    pieces = []
    for token in ids:
        pieces.append(text.push(token))
        if text.stopped:
            break
    return pieces, text.finish(), text.stopped


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("text", TEXTS)
def test_the_pieces_together_are_the_whole_text(kind, text):
    pieces, rest, stopped = stream(kind, ENCODERS[kind](text))
    assert "".join(pieces) + rest == text
    assert not stopped
    assert rest == ""


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("text", TEXTS)
def test_half_a_character_is_never_given_out(kind, text):
    pieces, _, _ = stream(kind, ENCODERS[kind](text))
    assert not any("\ufffd" in piece for piece in pieces)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_reply_that_ends_within_a_character_shows_that_at_its_end_alone(kind):
    ids = ENCODERS[kind]("ok é")[:-1]
    pieces, rest, _ = stream(kind, ids)
    assert "".join(pieces) == "ok "
    assert set(rest) == {"\ufffd"}


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_text_before_the_first_stop_string_is_given_out_and_nothing_after(kind):
    """Stop strings cut out of random texts over few letters, so that beginnings of them abound."""
    draw = random.Random(2)
    for _ in range(300):
        text = "".join(draw.choice("aab \né") for _ in range(draw.randint(1, 24)))
        stops = ["".join(draw.choice("aab \né") for _ in range(draw.randint(1, 4))) for _ in range(draw.randint(1, 3))]
        pieces, rest, stopped = stream(kind, ENCODERS[kind](text), stops)
        shown = "".join(pieces) + rest
        first = min((text.find(stop) for stop in stops if stop in text), default=None)
        assert stopped == (first is not None)
        # Decoded token by token, the earliest stop string to be complete ends the reply.
        assert shown == text[: len(shown)]
        assert not any(stop in shown for stop in stops)
        assert shown == text if first is None else any(text.startswith(stop, len(shown)) for stop in stops)


def test_a_stop_string_across_many_tokens_is_found():
    pieces, rest, stopped = stream("byte fallback", byte_fallback_ids("one\ntwo\nend of it"), ["\nend"])
    assert "".join(pieces) + rest == "one\ntwo"
    assert stopped


def test_what_only_began_a_stop_string_is_given_out_in_the_end():
    pieces, rest, stopped = stream("byte fallback", byte_fallback_ids("abc en"), ["end"])
    assert ("".join(pieces), rest, stopped) == ("abc ", "en", False)


def test_text_that_cannot_begin_a_stop_string_is_not_held_back():
    pieces, _, _ = stream("byte fallback", byte_fallback_ids("abc"), ["xyz"])
    assert pieces == ["", "a", "b", "c"]  # the first token is the leading space, which this decoder strips

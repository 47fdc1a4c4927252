import pytest
from helpers.chat_templates import family_renderer
from honed.data import Example
from honed.data.long_rows import cut
from honed.data.problems import BadRow
from hypothesis import given, settings
from hypothesis import strategies as st

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300) | st.lists(
    st.sampled_from(["The card", " was lost.", "\n\n", "é", "👩\u200d💻", "  "]), min_size=1, max_size=60
).map("".join)


@settings(max_examples=100, deadline=None)
@given(text=texts, context_length=st.integers(8, 64))
def test_the_pieces_fit_and_are_the_text_letter_for_letter(text, context_length):
    renderer = family_renderer("chatml")
    pieces = cut(text, renderer, context_length)
    assert "".join(pieces) == text
    assert all(pieces)
    assert all(len(renderer.example(Example((), piece))) <= context_length for piece in pieces)


@pytest.mark.parametrize("context_length", [12, 50, 128])
def test_pieces_are_as_long_as_they_may_be(context_length):
    renderer = family_renderer("chatml")
    text = "Where is my card? The delivery never came. " * 40
    lengths = [len(renderer.example(Example((), piece))) for piece in cut(text, renderer, context_length)]
    assert set(lengths[:-1]) == {context_length}
    assert len(lengths) == -(-len(renderer.encode(text)) // (context_length - 2))


def test_a_text_that_fits_is_one_piece():
    renderer = family_renderer("chatml")
    text = "Where is my card?"
    length = len(renderer.example(Example((), text)))
    assert cut(text, renderer, length) == [text]
    assert len(cut(text, renderer, length - 1)) == 2


def test_a_character_of_more_tokens_than_the_context_holds_cannot_be_cut():
    with pytest.raises(BadRow, match="cannot be cut to fit a context of 4 tokens"):
        cut("a 😀😀", family_renderer("chatml"), 4)

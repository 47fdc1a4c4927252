"""Bare text that is longer than a model's context, cut into pieces that fit."""

from itertools import pairwise

from honed.data.messages import Example
from honed.data.tokens import Renderer
from honed.errors import InvalidInput

_ENDS = 2  # the end-of-turn token before a piece and the one behind it
_SHRINK = 0.9


def cut(text: str, renderer: Renderer, context_length: int) -> list[str]:
    """Pieces of at most `context_length` tokens, cut between tokens; together they are the text, letter for letter.

    Raises:
        InvalidInput: the context is too short to hold every character.
    """
    starts = [start for start, _ in renderer.tokenizer.encode(text, add_special_tokens=False).offsets]
    step = context_length - _ENDS
    while step > 0:
        edges = sorted({0, *starts[step::step], len(text)})
        pieces = [text[start:end] for start, end in pairwise(edges)]
        # A piece alone may tokenise otherwise than within the text.
        if all(len(renderer.example(Example((), piece))) <= context_length for piece in pieces):
            return pieces
        step = int(step * _SHRINK)
    raise InvalidInput(
        f"Text cannot be cut to fit a context of {context_length} tokens: some characters take more by themselves.",
        reason="ROWS_TOO_LONG",
        limit_tokens=context_length,
    )

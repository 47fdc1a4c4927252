"""Bare text that is longer than a model's context, cut into pieces that fit."""

from itertools import pairwise

from honed.data.messages import Example
from honed.data.tokens import Renderer

_ENDS = 2  # the end-of-turn token before a piece and the one behind it
_SHRINK = 0.9


def cut(text: str, renderer: Renderer, context_length: int) -> list[str]:
    """Pieces of at most `context_length` tokens, cut between tokens; together they are the text, letter for letter."""
    starts = [start for start, _ in renderer.tokenizer.encode(text, add_special_tokens=False).offsets]
    step = context_length - _ENDS
    while True:
        edges = sorted({0, *starts[step::step], len(text)})
        pieces = [text[start:end] for start, end in pairwise(edges)]
        # A piece alone may tokenise otherwise than within the text.
        if all(len(renderer.example(Example((), piece))) <= context_length for piece in pieces):
            return pieces
        step = max(1, int(step * _SHRINK))

"""Changed copies of training rows by rule: typing mistakes, casing, punctuation, words left out. Pure.

Only the last message, the user's, is changed. The copies of a row hang on the seed, the kind and what the row says
alone, not on its place in the table or on the other rows.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random

from honed.data.messages import Example

_WORDS_PER_TYPO = 10
_DROPPED_WORDS = 0.1
_TRIES = 8  # drawn at most for each copy asked for, as two draws may say the same

_LETTERS = re.compile(r"\b[^\W\d_]{2,}\b")  # without digits and underscores, so that numbers and identifiers stay
_WORD = re.compile(r"\S+[^\S\n]*")  # with the space behind it, not the end of its line
# Each run of white space is looked at once, from its beginning: behind a mark, or with the end of a line in it.
_SENTENCE_START = re.compile(r"(^\s*+|(?<=[.!?])\s++|(?<!\s)[^\S\n]*+\n\s*+)(\w)")
_KEYS_BESIDE = {
    key: row[max(place - 1, 0) : place] + row[place + 1 : place + 2]
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")  # of an English keyboard
    for place, key in enumerate(row)
}


def augment(examples: Sequence[Example], copies: Mapping[str, int], seed: int) -> list[tuple[str, Example]]:
    """Changed copies, each with its kind: row by row, and within a row kind by kind.

    Fewer than asked for where a text gives no more: a copy is never empty, nor equal to its row or to another copy of
    its row. Bare text gives none.

    Args:
        copies: copies of each row by kind: "typos", "casing", "punctuation", "word_dropout".
    """
    made: list[tuple[str, Example]] = []
    for example in examples:
        if not example.messages:
            continue
        content = "\0".join([*(f"{turn.role}:{turn.content}" for turn in example.messages), example.reply])
        text = example.messages[-1].content
        seen = {text}
        for kind, change in _CHANGES.items():
            if not (wanted := copies.get(kind, 0)):
                continue
            draw = Random(f"{kind}:{seed}:{content}")  # noqa: S311 - no secret
            number = 0
            for _ in range(wanted * _TRIES):
                changed = change(text, draw)
                if changed.strip() and changed not in seen:
                    seen.add(changed)
                    number += 1
                    made.append((kind, with_text(example, changed, f"{kind} {number}")))
                    if number == wanted:
                        break
    return made


def with_text(example: Example, text: str, mark: str) -> Example:
    """The example with another text in its last message; the mark is put behind the row's number."""
    turns = (*example.messages[:-1], replace(example.messages[-1], content=text))
    return replace(example, messages=turns, row=f"{example.row} ({mark})")


def _typos(text: str, draw: Random) -> str:
    """One mistake for every 10 words, at least one, each in a word of its own."""
    words = list(_LETTERS.finditer(text))
    count = min(max(round(len(text.split()) / _WORDS_PER_TYPO), 1), len(words))
    for word in sorted(draw.sample(words, count), key=lambda word: word.start(), reverse=True):
        at = draw.randrange(word.start(), word.end())
        text = text[:at] + _mistyped(text[at : word.end()], draw) + text[word.end() :]
    return text


def _mistyped(letters: str, draw: Random) -> str:
    """The first letter swapped with the next, dropped, doubled, or the key beside it hit instead."""
    first, rest = letters[0], letters[1:]
    ways = [rest, first + letters]
    if rest and rest[0] != first:
        ways.append(rest[0] + first + rest[1:])
    if beside := _KEYS_BESIDE.get(first.lower()):
        key = draw.choice(beside)
        ways.append((key.upper() if first.isupper() else key) + rest)
    return draw.choice(ways)


def _casing(text: str, draw: Random) -> str:
    """All lower, all upper, every word with a capital, or sentences that begin without one."""
    ways: tuple[Callable[[str], str], ...] = (
        str.lower,
        str.upper,
        lambda text: _WORD.sub(lambda word: word[0].capitalize(), text),
        lambda text: _SENTENCE_START.sub(lambda start: start[1] + start[2].lower(), text),
    )
    return draw.choice(ways)(text)


def _punctuation(text: str, draw: Random) -> str:
    """Marks taken away, or marks doubled: each as a coin falls, at least one.

    Those that touch a digit stay (3.50, -5, 50%), and none in front of a letter is doubled (don't).
    """
    times = draw.choice((0, 2))
    marks = [
        at
        for at, sign in enumerate(text)
        if unicodedata.category(sign)[0] == "P"
        and not any(beside.isdigit() for beside in text[max(at - 1, 0) : at + 2])
        and not (times and text[at + 1 : at + 2].isalpha())
    ]
    hit = {at for at in marks if draw.random() < 0.5} or set(marks[:1])
    return "".join(sign * times if at in hit else sign for at, sign in enumerate(text))


def _word_dropout(text: str, draw: Random) -> str:
    """Each word left out with a chance of 0.1, at least one; under 3 words none. (What leaves none is not taken.)"""
    count = len(text.split())
    if count < 3:
        return text
    left_out = {place for place in range(count) if draw.random() < _DROPPED_WORDS} or {draw.randrange(count)}
    places = iter(range(count))
    return _WORD.sub(lambda word: "" if next(places) in left_out else word[0], text).strip()


_CHANGES: Mapping[str, Callable[[str, Random], str]] = {
    "typos": _typos,
    "casing": _casing,
    "punctuation": _punctuation,
    "word_dropout": _word_dropout,
}

import random

import numpy as np
import pytest
from honed.data.near_duplicates import NearDuplicates

WORDS = [a + b + c for a in "bdfklmnprst" for b in "aeiou" for c in "klmnrstx"]


def pairs(*texts):
    near = NearDuplicates()
    near.add(texts)
    return near.pairs()


def text(seed, words=40):
    return " ".join(random.Random(seed).choices(WORDS, k=words))


def changed(said, seed, words=1):
    """A text with some of its words replaced."""
    chance, parts = random.Random(seed), said.split()
    for place in chance.sample(range(len(parts)), words):
        parts[place] = "zzz"
    return " ".join(parts)


def jaccard(one, other, size=5):
    shingles = [{said[at : at + size] for at in range(len(said) - size + 1)} for said in (one, other)]
    return len(shingles[0] & shingles[1]) / len(shingles[0] | shingles[1])


def test_a_text_with_one_word_changed_is_near_the_first():
    said = text(1)
    assert pairs(said, text(2), changed(said, 3)) == [(0, 2)]


def test_texts_that_share_little_are_not_near():
    assert pairs(*(text(seed) for seed in range(200))) == []


def test_case_and_white_space_do_not_tell_texts_apart():
    assert pairs("Where is my card?", " where  IS\nmy card?") == [(0, 1)]
    assert pairs("STRASSE am See", "straße am see") == [(0, 1)]


@pytest.mark.parametrize("said", ["", " ", "a", "ok", "日本語"])
def test_short_texts_are_near_their_like_alone(said):
    assert pairs(said, "something else", said) == [(0, 2)]


def test_of_texts_all_alike_each_is_named_once_with_an_earlier_one():
    said = text(1)
    found = pairs(*([said] * 50))
    assert [later for _, later in found] == list(range(1, 50))
    assert {earlier for earlier, _ in found} == {0}


def test_texts_that_come_in_batches_are_numbered_through():
    texts = [text(seed) for seed in range(30)]
    texts += [changed(said, seed) for seed, said in enumerate(texts)]
    near = NearDuplicates()
    for start in range(0, len(texts), 7):
        near.add(texts[start : start + 7])
    assert near.pairs() == pairs(*texts)


def test_most_pairs_above_the_threshold_are_found_and_none_far_below_it():
    originals = [text(seed) for seed in range(150)]
    texts = originals + [changed(said, seed, 1 + seed % 8) for seed, said in enumerate(originals)]
    found = set(pairs(*texts))
    alike = {(row, row + 150): jaccard(texts[row], texts[row + 150]) for row in range(150)}
    assert found <= alike.keys()
    # The estimate from 64 values has a standard deviation of 0.05 at a similarity of 0.8.
    assert all(alike[pair] > 0.65 for pair in found)
    high = {pair for pair, similarity in alike.items() if similarity > 0.9}
    assert len(high) > 10
    assert len(found & high) >= 0.9 * len(high)


def test_a_long_text_is_compared_by_its_words():
    said = text(1, words=1000)
    assert len(said) > 2000
    assert pairs(said, changed(said, 2, 20), text(3, words=1000)) == [(0, 1)]
    backwards = " ".join(reversed(said.split()))
    assert pairs(said, backwards) == []


@pytest.mark.parametrize("held_out", [[1, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]])
def test_every_held_out_text_that_is_nearly_a_trained_one_is_named(held_out):
    near, tested = NearDuplicates(), np.array(held_out, np.bool_)
    said = text(1)
    near.add([f"{said} {word}" for word in ("one", "two", "six")])
    assert [row for _, row in near.leaks(tested)] == np.flatnonzero(tested).tolist()
    assert {other for other, _ in near.leaks(tested)} == {int(np.flatnonzero(~tested)[0])}


def test_texts_keep_the_numbers_that_they_are_given():
    near = NearDuplicates()
    near.add([text(1), text(2)])
    near.add([])
    near.add([text(3), text(2)], 10)
    assert near.pairs() == [(1, 11)]


@pytest.mark.parametrize("length", [1600, 1601, 1995, 2000, 2005, 2500])
def test_texts_of_nearly_the_same_length_are_compared_whatever_it_is(length):
    said = text(1, words=1000)
    assert pairs(said[:length], said[: length + 10]) == [(0, 1)]


@pytest.mark.parametrize("length", [1900, 3000, 20_000])
def test_a_long_text_without_spaces_is_compared_by_its_characters(length):
    said = "".join(random.Random(1).choices([chr(0x4E00 + place) for place in range(3000)], k=length))
    assert pairs(said, f"{said}好", said[::-1]) == [(0, 1)]


def test_no_texts_have_no_pairs():
    assert NearDuplicates().pairs() == []
    assert NearDuplicates().leaks(np.zeros(0, np.bool_)) == []

"""Tests of significance against scipy and simulation, and the sentences word by word."""

import random
import re
from itertools import product

import numpy as np
import pytest
from honed.evaluate.comparison import _mcnemar, _p, compare_corpora, compare_labels, compare_scores
from honed.evaluate.randomisation import randomisation_p
from honed.evaluate.text_scores import bleu_statistics, chrf_statistics, corpus_bleu
from hypothesis import given, settings
from hypothesis import strategies as st


def correct(both, only_a, only_b, neither):
    """Rows as two lists of right and wrong."""
    a = [True] * (both + only_a) + [False] * (only_b + neither)
    b = [True] * both + [False] * only_a + [True] * only_b + [False] * neither
    return a, b


def compare_bleu(a, b, a_answers, b_answers, references, seed):
    return compare_corpora("bleu", a, b, *(bleu_statistics(each, references) for each in (a_answers, b_answers)), seed)


@given(st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_mcnemars_p_is_that_of_the_binomial_test(only_a, only_b):
    from scipy.stats import binomtest

    found = compare_labels("accuracy", "a", "b", *correct(20, only_a, only_b, 5), seed=0)
    expected = binomtest(only_a, only_a + only_b, 0.5).pvalue if only_a + only_b else 1.0
    assert found.p_value == pytest.approx(expected, abs=1e-12)
    assert found.test == "exact McNemar"


def test_mcnemars_p_is_exact_for_thousands_of_rows():
    from scipy.stats import binomtest

    found = compare_labels("accuracy", "a", "b", *correct(0, 1400, 1600, 80), seed=0)
    assert found.p_value == pytest.approx(binomtest(1400, 3000, 0.5).pvalue, rel=1e-9)
    assert compare_labels("accuracy", "a", "b", *correct(0, 0, 3000, 0), seed=0).p_value == 0  # 2^-2999


def test_a_clear_gain_in_accuracy_reads_as_one():
    found = compare_labels("accuracy", "base 12-shot", "tuned", *correct(26, 1, 85, 8), seed=0)
    assert (found.metric, found.a, found.b, found.rows, found.verdict) == (
        "accuracy",
        "base 12-shot",
        "tuned",
        120,
        "better",
    )
    assert found.difference == pytest.approx(0.7)
    assert found.low < 0.7 < found.high
    assert found.sentence == (
        "tuned is better than base 12-shot on 120 rows: accuracy 0.925 against 0.225, a gain of 0.700 "
        f"(95 % interval {found.low:.3f} to {found.high:.3f}, McNemar p < 0.001)."
    )


def test_the_interval_of_the_difference_in_accuracy_is_close_to_the_normal_one():
    found = compare_labels("accuracy", "a", "b", *correct(600, 100, 200, 100), seed=0)
    reach = 1.96 * ((0.3 - 0.1**2) / 1000) ** 0.5
    assert (found.low, found.high) == pytest.approx((0.1 - reach, 0.1 + reach), abs=0.005)


def test_a_loss_is_told_without_its_sign():
    found = compare_labels("accuracy", "base", "tuned", *correct(70, 20, 2, 8), seed=0)
    assert found.verdict == "worse"
    assert found.difference == pytest.approx(-0.18)
    assert found.sentence == (
        "tuned is worse than base on 100 rows: accuracy 0.720 against 0.900, a loss of 0.180 "
        f"(95 % interval {-found.high:.3f} to {-found.low:.3f}, McNemar p < 0.001)."
    )


def test_what_cannot_be_told_apart_names_the_rows_it_would_take():
    found = compare_labels("accuracy", "base", "tuned", *correct(80, 9, 11, 20), seed=0)
    assert found.verdict == "not distinguishable"
    # Connor 1987, with equal variances: 120 · (2.8 · sd / difference)², sd² = 20/120 - (2/120)²: about 4,700.
    sentence = re.fullmatch(
        r"tuned and base cannot be told apart on 120 rows: accuracy 0\.758 against 0\.742, a difference of 0\.017 "
        r"\(95 % interval -0\.\d{3} to 0\.\d{3}, McNemar p = 0\.824\); "
        r"about ([\d,]+) rows would be needed to confirm a difference of this size\.",
        found.sentence,
    )
    assert sentence
    assert int(sentence[1].replace(",", "")) == pytest.approx(4700, rel=0.08)


def test_that_many_rows_do_confirm_the_difference_four_times_in_five():
    # The sentence above asks for about 4,700 rows at 11/120 against 9/120.
    draw = np.random.default_rng(0)
    counts = draw.multinomial(4700, [9 / 120, 11 / 120, 100 / 120], size=400).tolist()
    confirmed = sum(only_b > only_a and _mcnemar(only_a, only_b) < 0.05 for only_a, only_b, _ in counts)
    assert 0.74 <= confirmed / 400 <= 0.86  # 0.8, with three standard errors


def test_no_number_of_rows_is_named_from_a_handful_of_differing_ones():
    found = compare_labels("accuracy", "base", "tuned", *correct(80, 3, 4, 20), seed=0)
    assert "cannot be told apart" in found.sentence
    assert "needed" not in found.sentence


def test_equal_figures_ask_for_no_further_rows():
    found = compare_labels("accuracy", "base", "tuned", *correct(50, 20, 20, 10), seed=0)
    assert found.sentence.endswith("McNemar p = 1.000).")
    assert "a difference of 0.000" in found.sentence


def test_a_negligible_difference_would_take_more_rows_than_anyone_has():
    draw = random.Random(0)
    noise = [draw.gauss(0, 1) for _ in range(500)]
    mean = sum(noise) / 500
    found = compare_scores("nll", "a", "b", [0.0] * 500, [n - mean + 1e-4 for n in noise], seed=0)
    assert found.sentence.endswith("; more than 1,000,000 rows would be needed to confirm a difference of this size.")
    assert "difference of 0.0001 " in found.sentence  # not 0.000


def test_subjects_that_answer_alike_are_not_told_apart():
    for found in (
        compare_labels("accuracy", "a", "b", [True, False], [True, False], seed=0),
        compare_scores("token_f1", "a", "b", [0.1, 0.7], [0.1, 0.7], seed=0),
        compare_bleu("a", "b", ["x y z"], ["x y z"], [["x y"]], seed=0),
    ):
        assert (found.verdict, found.p_value, found.difference, found.low, found.high) == (
            "not distinguishable",
            1,
            0,
            0,
            0,
        )


def test_a_single_row_proves_nothing():
    for found in (
        compare_labels("accuracy", "a", "b", [False], [True], seed=0),
        compare_scores("rouge_l", "a", "b", [0.0], [1.0], seed=0),
        compare_bleu("a", "b", ["no"], ["a b c d e"], [["a b c d e"]], seed=0),
    ):
        assert (found.verdict, found.p_value) == ("not distinguishable", 1)
        assert "cannot be told apart on 1 row:" in found.sentence


@pytest.mark.parametrize(("rows", "verdict"), [(5, "not distinguishable"), (6, "better")])
def test_six_rows_of_one_mind_are_the_fewest_that_prove_anything(rows, verdict):
    assert compare_scores("rouge_l", "a", "b", [0.1] * rows, [0.3] * rows, seed=0).verdict == verdict
    assert compare_labels("accuracy", "a", "b", [False] * rows, [True] * rows, seed=0).verdict == verdict


def test_the_randomisation_test_agrees_with_the_paired_t_test_on_many_rows():
    from scipy.stats import ttest_rel

    draw = np.random.default_rng(4)
    a = draw.uniform(0.2, 0.8, 400)
    for shift in (0.005, 0.01, 0.015):
        b = a + draw.normal(shift, 0.1, 400)
        found = compare_scores("token_f1", "a", "b", a.tolist(), b.tolist(), seed=0)
        test = ttest_rel(b, a)
        # The error of a p of 2,000 resamples is at most 2 · sqrt(0.25 / 2000) = 0.022.
        assert found.p_value == pytest.approx(test.pvalue, abs=0.03)
        reach = test.confidence_interval()
        assert (found.low, found.high) == pytest.approx((reach.low, reach.high), abs=0.0015)
        assert found.difference == pytest.approx(b.mean() - a.mean())


def signs_by_hand(differences):
    """p from every way to turn the signs of the differences."""
    ways = [
        sum(d * s for d, s in zip(differences, signs, strict=True))
        for signs in product((1, -1), repeat=len(differences))
    ]
    return sum(abs(way) >= abs(ways[0]) - 1e-12 for way in ways) / len(ways)


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=11))
@settings(max_examples=60, deadline=None)
def test_on_few_rows_p_is_that_of_every_way_to_swap_the_answers(differences):
    scores = [difference / 10 for difference in differences]
    found = compare_scores("rouge_l", "a", "b", [0.0] * len(scores), scores, seed=0)
    assert found.p_value == pytest.approx(signs_by_hand(scores))
    assert found.test == "paired randomisation"


def test_drawn_ways_to_swap_come_close_to_every_way():
    differences = np.random.default_rng(5).normal(0.3, 1, 14)
    found = randomisation_p(14, lambda signs: signs @ differences, seed=0)
    assert found == pytest.approx(signs_by_hand(differences.tolist()), abs=0.02)  # 2,000 of 16,384


@pytest.mark.parametrize("draw", ["normal", "laplace"])
@pytest.mark.parametrize("rows", [6, 10, 16, 50])
def test_subjects_of_equal_skill_are_called_different_at_most_one_time_in_twenty(rows, draw):
    generator = np.random.default_rng(rows)
    wrong = sum(
        compare_scores("rouge_l", "a", "b", [0.0] * rows, getattr(generator, draw)(size=rows).tolist(), 0).p_value
        < 0.05
        for _ in range(400)
    )
    assert wrong / 400 <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


def test_longer_rows_weigh_more_in_an_nll_per_token():
    a, b, tokens = [2.0, 1.0, 3.0], [1.0, 1.5, 3.0], [2, 10, 4]
    found = compare_scores("nll", "a", "b", a, b, 0, tokens)
    assert (found.a_value, found.b_value) == (pytest.approx(26 / 16), pytest.approx(29 / 16))
    assert found.difference == pytest.approx(3 / 16)
    assert "NLL 1.812 against 1.625" in found.sentence


def test_a_corpus_is_compared_by_swapping_the_two_answers_of_each_row():
    references = [
        ["the cat sat on the mat"],
        ["a dog ran home today"],
        ["birds fly south in winter"],
        ["it rained all day"],
    ]
    a = ["the cat sat on a mat", "a dog ran", "birds fly south", "it rained all day"]
    b = ["the cat sat on the mat", "a dog ran home", "the birds fly in winter", "it rained all day"]
    found = compare_bleu("a", "b", a, b, references, seed=0)

    def difference(swapped):
        one = [second if turned else first for first, second, turned in zip(a, b, swapped, strict=True)]
        other = [first if turned else second for first, second, turned in zip(a, b, swapped, strict=True)]
        scores = [corpus_bleu(bleu_statistics(side, references).sum(axis=0)[None])[0] for side in (one, other)]
        return abs(scores[1] - scores[0])

    ways = [difference(swapped) for swapped in product((0, 1), repeat=4)]
    assert found.p_value == pytest.approx(sum(way >= ways[0] - 1e-9 for way in ways) / len(ways))


def test_chrf_is_compared_as_a_corpus_too():
    references = [["поезд опаздывает на двадцать минут"]] * 8
    statistics = [chrf_statistics([answer] * 8, references) for answer in ("не знаю", references[0][0])]
    found = compare_corpora("chrf", "base", "tuned", *statistics, seed=0)
    assert (found.b_value, found.verdict) == (pytest.approx(100), "better")
    assert found.p_value == 2 / 2**8


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40),
    st.integers(0, 3),
)
@settings(max_examples=80, deadline=None)
def test_verdict_and_p_agree(pairs, seed):
    a, b = ([score / 4 for score in side] for side in zip(*pairs, strict=True))
    found = compare_scores("rouge_l", "a", "b", a, b, seed)
    if found.p_value < 0.05:
        assert found.verdict == ("better" if found.difference > 0 else "worse")
    else:
        assert found.verdict == "not distinguishable"
    assert found.low <= found.difference <= found.high


def test_the_other_way_round_the_finding_is_the_mirror_image():
    draw = random.Random(2)
    a = [draw.random() for _ in range(60)]
    b = [score + draw.gauss(0.05, 0.1) for score in a]
    one = compare_scores("token_f1", "a", "b", a, b, seed=0)
    other = compare_scores("token_f1", "b", "a", b, a, seed=0)
    assert (one.verdict, other.verdict) == ("better", "worse")
    assert (one.difference, one.low, one.high) == pytest.approx((-other.difference, -other.high, -other.low))
    assert one.p_value == other.p_value


def test_of_losses_the_lower_one_is_better():
    before, after = [2.0, 2.5, 1.8, 2.2, 3.0, 2.1, 2.4, 2.6], [1.9, 2.3, 1.7, 2.0, 2.6, 2.0, 2.2, 2.5]
    better = compare_scores("nll", "before", "after", before, after, seed=0)
    assert better.verdict == "better"
    assert better.difference < 0
    assert better.sentence.startswith(
        "after is better than before on 8 rows: NLL 2.150 against 2.325, a drop of 0.175 ("
    )
    worse = compare_scores("nll", "after", "before", after, before, seed=0)
    assert worse.verdict == "worse"
    assert "NLL 2.325 against 2.150, a rise of 0.175 (" in worse.sentence


def test_zero_has_no_sign():
    scores = [0.1, 0.2, 0.4]
    found = compare_scores("token_f1", "a", "b", scores, [score - 1e-17 for score in scores[:2]] + [0.4 - 1e-16], 0)
    assert found.difference < 0
    assert "a difference of 0.000 (95 % interval 0.000 to 0.000," in found.sentence


def test_a_p_just_below_what_decides_does_not_read_as_if_on_it():
    assert [_p(value) for value in (0.0009, 0.001, 0.0123, 0.0496, 0.05, 0.0504, 1.0)] == [
        "p < 0.001",
        "p = 0.001",
        "p = 0.012",
        "p < 0.050",
        "p = 0.050",
        "p = 0.050",
        "p = 1.000",
    ]


TEXTS = [f"The {place} is a {price} restaurant near the {spot} ." for place in ("Punter", "Vaults", "Mill", "Wrestlers")
         for price in ("cheap", "pricey", "moderate") for spot in ("river", "park")]  # fmt: skip


def test_bleu_is_compared_as_a_corpus_in_points():
    from sacrebleu.metrics import BLEU

    references = [[text, text.replace("is a", "is one")] for text in TEXTS]
    draw = random.Random(0)
    good = [text.replace("near", "by") if draw.random() < 0.3 else text for text in TEXTS]
    poor = [" ".join(word for word in text.split() if draw.random() > 0.3) for text in TEXTS]
    found = compare_bleu("base", "tuned", poor, good, references, seed=0)
    streams = list(zip(*references, strict=True))
    a, b = (BLEU(force=True).corpus_score(answers, streams).score for answers in (poor, good))
    assert found.difference == pytest.approx(b - a, abs=1e-9)
    assert 0 < found.low < found.difference < found.high
    assert (found.metric, found.rows, found.verdict, found.test) == ("bleu", 24, "better", "paired randomisation")
    assert found.sentence == (
        f"tuned is better than base on 24 rows: BLEU {b:.1f} against {a:.1f}, a gain of {b - a:.1f} points "
        f"(95 % interval {found.low:.1f} to {found.high:.1f}, paired randomisation p < 0.001)."
    )

"""Rows measured against a model: counted, refused, left out or cut."""

import pytest
from helpers.chat_templates import family_renderer
from helpers.tables import refusal, take, tiny
from honed.data import Template
from honed.data.reader import Wanted
from honed.template_library import BUILT_IN

LABELLED = Wanted(template=Template.from_json(BUILT_IN["classify"]))
ROWS = [{"text": f"ä text {number}", "label": "even" if number % 2 else "odd"} for number in range(20)]


def test_the_tokens_of_the_training_rows_are_counted():
    taken = take(ROWS, wanted=LABELLED, model=tiny(64))
    rows = family_renderer("chatml").examples(taken.train)
    tokens = taken.report["tokens"]
    assert tokens["model"] == "models/tiny"
    assert tokens["context_length"] == 64
    assert tokens["row"]["total"] == sum(map(len, rows))
    assert tokens["row"]["longest"] == max(map(len, rows))
    assert tokens["trained"] == sum(row.trained for row in rows)
    assert tokens["too_long"] == 0
    assert "ROWS_TOO_LONG" not in taken.findings


def test_without_a_model_no_tokens_are_counted():
    assert "tokens" not in take(ROWS, wanted=LABELLED).report


LONG = [*ROWS[:3], {"text": "word " * 100, "label": "odd"}, *ROWS[3:6], {"text": "text " * 100, "label": "even"}]


def test_rows_that_are_too_long_are_refused_by_number():
    error = refusal(LONG, wanted=LABELLED, model=tiny(128))
    assert error.reason == "ROWS_INVALID"
    assert [row for row, _ in error.violations] == ["row 4", "row 8"]
    length = len(family_renderer("chatml").example(take(LONG, wanted=LABELLED, fraction=0).train[3]))
    assert error.violations[0][1].startswith(f"{length} tokens, more than the 128 that models/tiny takes")
    assert [row for row, _ in refusal(LONG, wanted=LABELLED, model=tiny(length)).violations] == ["row 8"]


def test_rows_that_are_too_long_are_left_out_if_asked_and_counted():
    taken = take(LONG, wanted=LABELLED, model=tiny(128, "drop"))
    train, test = taken.rows
    assert sorted(train + test) == ["1", "2", "3", "5", "6", "7"]
    assert taken.report["rows"] == 6
    assert taken.report["tokens"]["too_long"] == 2
    assert taken.report["tokens"]["row"]["longest"] <= 128
    finding = taken.findings["ROWS_TOO_LONG"]
    assert finding["count"] == 2
    assert "left out" in finding["message"]


def test_a_table_of_which_every_row_is_left_out_is_refused():
    for tables, name in (((LONG[3:4],), "training table"), ((ROWS, LONG[3:4]), "test table")):
        error = refusal(*tables, wanted=LABELLED, model=tiny(64, "drop"))
        assert error.reason == "TABLE_EMPTY"
        assert error.message.startswith(name)
        assert "too long" in error.message


def test_rows_of_a_test_table_that_are_too_long_are_left_out_too():
    taken = take(ROWS, LONG[2:5], wanted=LABELLED, model=tiny(64, "drop"))
    assert taken.rows[1] == ["test 1", "test 3"]


@pytest.mark.parametrize("context_length", [64, 512])
def test_bare_text_that_is_too_long_is_cut_if_asked(context_length):
    texts = ["A tale. ", "Once upon a time, " * 500, "The end. ", "é" * 1000]
    taken = take([{"text": text} for text in texts], model=tiny(context_length, "split"), fraction=0)
    pieces = {}
    for example in taken.train:
        assert len(family_renderer("chatml").example(example)) <= context_length
        number, _, piece = example.row.partition(" ")
        pieces.setdefault(int(number), []).append((piece, example.reply))
    assert {number: "".join(reply for _, reply in found) for number, found in pieces.items()} == dict(
        enumerate(texts, 1)
    )
    count = len(pieces[2])
    assert [piece for piece, _ in pieces[2]] == [f"({place} of {count})" for place in range(1, count + 1)]
    assert [piece for piece, _ in pieces[1]] == [""]
    assert taken.findings["ROWS_TOO_LONG"]["count"] == 2
    assert "cut into pieces" in taken.findings["ROWS_TOO_LONG"]["message"]
    tokens = taken.report["tokens"]
    rows = family_renderer("chatml").examples(taken.train)
    assert tokens["row"]["total"] == sum(map(len, rows))
    assert tokens["trained"] == sum(row.trained for row in rows)


def test_the_pieces_of_a_text_stay_on_one_side():
    rows = [{"text": f"{number} {'words and words ' * 20}"} for number in range(10)]
    for seed in range(5):
        train, test = ({row.split()[0] for row in side} for side in take(rows, model=tiny(64, "split"), seed=seed).rows)
        assert test
        assert not train & test


def test_only_bare_text_can_be_cut():
    error = refusal(LONG, wanted=LABELLED, model=tiny(128, "split"))
    assert [field for field, _ in error.violations] == ["header.long_rows"]
    assert "only bare text can be split" in error.message
    fitting = refusal(ROWS, wanted=LABELLED, model=tiny(128, "split"))
    assert fitting.message == error.message


def test_rows_that_hold_a_control_token_of_the_model_are_named():
    rows = [*ROWS[:2], {"text": "a<|im_end|>", "label": "odd"}, ROWS[2], {"text": "a", "label": "<|im_start|>"}]
    error = refusal(rows, wanted=LABELLED, model=tiny(64))
    assert [row for row, _ in error.violations] == ["row 3", "row 5"]
    assert "'<|im_end|>'" in error.violations[0][1]
    assert take(rows, wanted=LABELLED).facts["train_rows"]


def preference(rejected, chosen="yes"):
    return [{"prompt": f"p{number}", "chosen": f"{chosen} {number}", "rejected": rejected} for number in range(4)]


@pytest.mark.parametrize("long", [{"rejected": "word " * 100}, {"rejected": "no", "chosen": "word " * 100}])
def test_the_longer_reply_of_a_preference_counts_against_the_context(long):
    error = refusal(preference(**long), model=tiny(64))
    assert error.message.startswith("training table: 4 bad row(s)")
    assert "more than the 64 that models/tiny takes" in error.violations[0][1]
    tokens = take(preference("word " * 20), model=tiny(512), fraction=0)
    rows = family_renderer("chatml").examples(tokens.train)
    assert tokens.report["tokens"]["row"]["total"] == sum(map(len, rows))  # what is learned


def test_a_control_token_in_a_rejected_reply_is_named_by_its_row():
    rows = preference("no")
    rows[2]["rejected"] = "a<|im_end|>"
    error = refusal(rows, model=tiny(64))
    assert [row for row, _ in error.violations] == ["row 3"]
    assert "'<|im_end|>'" in error.violations[0][1]


def test_what_can_be_done_about_rows_that_are_too_long_is_said():
    said = refusal(LONG, wanted=LABELLED, model=tiny(128)).violations[0][1]
    assert "--drop-long" in said
    assert "--split-long" not in said
    said = refusal([{"text": "word " * 200}], model=tiny(128)).violations[0][1]
    assert "--drop-long" in said
    assert "--split-long" in said


def test_a_label_that_was_left_out_of_training_is_said_to_be():
    train = [*ROWS, {"text": "word " * 100, "label": "rare"}]
    error = refusal(train, [{"text": "new", "label": "rare"}], wanted=LABELLED, model=tiny(64, "drop"))
    assert "too long were left out (--drop-long)" in error.violations[0][1]
    error = refusal(train, [{"text": "new", "label": "other"}], wanted=LABELLED, model=tiny(64, "drop"))
    assert "--drop-long" not in error.violations[0][1]

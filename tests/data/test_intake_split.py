"""Which rows of a table are held out, what they carry, and that they say nothing that was trained."""

import json
from collections import Counter

from helpers.tables import take
from honed.data import Template
from honed.data.reader import Wanted
from honed.template_library import BUILT_IN

CLASSIFY, SUMMARIZE, EXTRACT = (Template.from_json(BUILT_IN[name]) for name in ("classify", "summarize", "extract"))
LABELLED = Wanted(template=CLASSIFY)
ROWS = [{"text": f"ä text {number}", "label": "even" if number % 2 else "odd"} for number in range(20)]


def asked(examples):
    return {example.messages[-1].content for example in examples}


def test_the_same_table_makes_the_same_data_set_and_another_seed_another():
    facts = take(ROWS, wanted=LABELLED).facts
    assert take(ROWS, wanted=LABELLED).facts == facts
    digests = {take(ROWS, wanted=LABELLED, seed=seed).facts["digest"] for seed in range(5)}
    assert len(digests) == 5
    assert facts["digest"] in digests


def test_the_same_rows_in_another_order_are_split_alike():
    tested, turned, fewer = (asked(take(rows, wanted=LABELLED).test) for rows in (ROWS, ROWS[::-1], ROWS[:-2]))
    assert turned == tested
    assert len(fewer ^ tested) <= 2


def test_each_label_is_held_out_in_its_share():
    rows = [{"text": str(number), "label": "rare" if number % 10 == 0 else "common"} for number in range(100)]
    taken = take(rows, wanted=LABELLED)
    assert Counter(example.reply for example in taken.test) == {"common": 18, "rare": 2}
    assert taken.report["labels"] == [
        {"label": "common", "train": 72, "test": 18},
        {"label": "rare", "train": 8, "test": 2},
    ]


def test_rows_that_ask_the_same_are_never_on_both_sides():
    rows = [{"text": str(number % 7), "label": "ab"[number % 7 % 2]} for number in range(50)]
    for seed in range(5):
        taken = take(rows, wanted=LABELLED, seed=seed)
        assert asked(taken.test)
        assert not asked(taken.train) & asked(taken.test)


def test_rows_of_one_group_are_never_on_both_sides():
    rows = [row | {"customer": number % 6} for number, row in enumerate(ROWS)]
    wanted = Wanted(template=CLASSIFY, group_column="customer")
    for seed in range(5):
        taken = take(rows, wanted=wanted, seed=seed)
        groups = [{(int(row) - 1) % 6 for row in side} for side in taken.rows]
        assert groups[1]
        assert not groups[0] & groups[1]
        assert "LEAKAGE" not in taken.findings


def test_a_leak_between_groups_is_named():
    rows = [{"text": f"text {number}", "label": "ab"[number % 2], "customer": str(number)} for number in range(20)]
    rows += [row | {"customer": f"{row['customer']}*"} for row in rows]
    wanted = Wanted(template=CLASSIFY, group_column="customer")
    taken = take(rows, wanted=wanted)
    leaks = [example.row for example in taken.test if asked([example]) <= asked(taken.train)]
    assert leaks
    assert taken.findings["LEAKAGE"]["rows"] == leaks
    assert taken.findings["LEAKAGE"]["severity"] == "SEVERITY_ERROR"


def test_every_label_that_is_tested_is_trained():
    # "c" stands in groups that count to "a" alone; whichever are drawn, one of them has to stay in training.
    rows = [{"text": f"{group} {row}", "label": label, "group": group}
            for group in range(6) for row, label in enumerate("aac" if group < 2 else "ab" * 2)]  # fmt: skip
    wanted = Wanted(template=CLASSIFY, group_column="group")
    for seed in range(20):
        taken = take(rows, wanted=wanted, seed=seed, fraction=0.9)
        assert taken.test
        assert {example.reply for example in taken.test} <= {example.reply for example in taken.train}


def test_a_label_of_one_row_is_trained_and_reported():
    taken = take([*ROWS, {"text": "z", "label": "rare"}], wanted=LABELLED)
    assert "21" in taken.rows[0]
    assert "'rare'" in taken.findings["CLASS_TOO_SMALL"]["message"]


def test_nothing_is_held_out_if_nothing_is_asked_for():
    taken = take(ROWS, wanted=LABELLED, fraction=0)
    assert (taken.facts["train_rows"], taken.facts["test_rows"]) == (20, 0)
    assert "TEST_EMPTY" in taken.findings
    assert taken.rows == ([str(number) for number in range(1, 21)], [])


# References.

MANY = [
    *({"text": "a", "summary": "1"}, {"text": "b", "summary": "2"}, {"text": "a", "summary": "3"}),
    *({"text": "a", "summary": "1"}, {"text": "c", "summary": "4"}, {"text": "a", "summary": "5"}),
]


def test_test_rows_of_one_prompt_are_one_row_with_several_references():
    taken = take([{"text": "z", "summary": "0"}] * 2, MANY, wanted=Wanted(template=SUMMARIZE))
    assert {(example.row, example.reply, example.references) for example in taken.test} == {
        ("test 1", "1", ("3", "5")),
        ("test 2", "2", ()),
        ("test 5", "4", ()),
    }
    assert taken.facts["test_rows"] == 3
    assert taken.rows[0] == ["1", "2"]


def test_references_are_merged_on_the_side_that_is_held_out():
    for seed in range(10):
        taken = take(MANY, wanted=Wanted(template=SUMMARIZE), fraction=0.3, seed=seed)
        replies = [example.reply for example in taken.train]
        replies += [reply for example in taken.test for reply in (example.reply, *example.references)]
        assert set(replies) == {"1", "2", "3", "4", "5"}
        assert len(asked(taken.test)) == len(taken.test) > 0


def test_extractions_of_one_text_are_merged_as_well():
    rows = [{"text": "t", "name": name} for name in "ab"]
    wanted = Wanted(template=EXTRACT, columns={"fields": ["name"]})
    (example,) = take([{"text": "z", "name": "y"}], rows, wanted=wanted).test
    assert (json.loads(example.reply), *map(json.loads, example.references)) == ({"name": "a"}, {"name": "b"})


def test_conversations_of_one_prompt_are_merged_as_well():
    def talk(asked, reply):
        return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": reply}]}

    (example,) = take([talk("z", "0")], [talk("a", "1"), talk("a", "2")]).test
    assert (example.reply, example.references) == ("1", ("2",))


def test_labels_bare_texts_and_preferences_are_not_merged():
    tests = [{"text": "new", "label": "odd"}, {"text": "new", "label": "even"}]
    assert take(ROWS, tests, wanted=LABELLED).rows[1] == ["test 1", "test 2"]
    assert take([{"text": "a"}], [{"text": "b"}] * 2).rows[1] == ["test 1", "test 2"]
    pairs = [{"prompt": "p", "chosen": "a", "rejected": "b"}, {"prompt": "p", "chosen": "c", "rejected": "d"}]
    assert [example.rejected for example in take(pairs, pairs).test] == ["b", "d"]


# Slices.


def test_test_rows_carry_the_columns_that_they_can_be_sliced_by():
    rows = [
        row
        | {
            "region": "north" if number % 3 else " south ",
            "id": f"{number} of {count}",
            "constant": "c",
            "stars": number % 2,
        }
        for count in range(4)
        for number, row in enumerate(ROWS)
    ]
    rows = [row | {"text": f"{row['text']} {row['id']}"} for row in rows]
    taken = take(rows, wanted=LABELLED)
    assert taken.facts["slice_columns"] == ["region", "stars"] == list(taken.data.slice_columns)
    for example in taken.test:
        row = rows[int(example.row) - 1]
        assert example.columns == {"region": row["region"].strip(), "stars": str(row["stars"])}
    assert not any(example.columns for example in taken.train)
    assert taken.findings["COLUMN_CONSTANT"]["column"] == "constant"


def test_the_group_is_a_slice_and_no_constant():
    rows = [row | {"customer": "ab"[number // 10]} for number, row in enumerate(ROWS)]
    wanted = Wanted(template=CLASSIFY, group_column="customer")
    assert take(rows, wanted=wanted).facts["slice_columns"] == ["customer"]
    rows = [row | {"customer": "a"} for row in ROWS]
    assert "COLUMN_CONSTANT" not in take(rows, wanted=wanted).findings


def test_a_test_table_without_a_column_has_it_empty():
    rows = [row | {"region": "ab"[number % 2]} for number, row in enumerate(ROWS)]
    taken = take(rows, ROWS[:1], wanted=LABELLED)
    assert [example.columns for example in taken.test] == [{"region": ""}]


def test_what_is_merged_and_why_nothing_is_held_out_is_said():
    taken = take([{"text": "z", "summary": "0"}] * 2, MANY, wanted=Wanted(template=SUMMARIZE))
    assert taken.findings["REFERENCES_MERGED"]["message"].startswith("6 held-out rows of 3 prompts became 3 test rows")
    assert "REFERENCES_MERGED" not in take(ROWS, [*ROWS, *ROWS], wanted=LABELLED).findings
    assert "--test-fraction" in take(ROWS, wanted=LABELLED, fraction=0).findings["TEST_EMPTY"]["message"]
    alone = take([{"text": "a"}] * 3)
    assert "all rows belong to one group" in alone.findings["TEST_EMPTY"]["message"]

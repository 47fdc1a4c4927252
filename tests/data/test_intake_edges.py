"""Tables and conversations on which an earlier version went wrong."""

import random
import tracemalloc

import orjson
import pytest
from helpers.chat_templates import family_renderer
from helpers.tables import WRITE, refusal, take, tiny
from helpers.tiny_model import make_tokenizer
from honed.data import ChatTemplate, Example, Message, Prepared, Renderer, Template
from honed.data.reader import Wanted
from honed.errors import InvalidInput
from honed.template_library import BUILT_IN
from honed.worker import preview
from honed.worker.contract import PreviewWork

LABELLED = Wanted(template=Template.from_json(BUILT_IN["classify"]))


def test_turns_of_a_template_that_ends_the_conversation_can_be_trained():
    renderer = family_renderer("phi")
    row = renderer.example(Example((Message("user", "a"), Message("assistant", "b"), Message("user", "c")), "d"))
    assert [renderer.tokenizer.decode(list(row.prompt[s:e]), skip_special_tokens=False) for s, e, _ in row.earlier] == [
        "b<|end|>"
    ]


def test_a_turn_that_melts_into_the_prompt_is_refused():
    tokenizer = make_tokenizer()
    renderer = Renderer(tokenizer, ChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}", "", ""), [2])
    with pytest.raises(InvalidInput) as caught:
        renderer.example(Example((Message("user", "th"), Message("assistant", "e"), Message("user", "c")), "d"))
    assert caught.value.reason == "CHAT_TEMPLATE_REWRITES_TURNS"


def test_conversations_under_different_instructions_are_not_merged_and_are_no_duplicates():
    def talk(system, asked, reply):
        turns = (("system", system), ("user", asked), ("assistant", reply))
        return {"messages": [{"role": role, "content": content} for role, content in turns]}

    tests = [talk("To French.", "hello", "bonjour"), talk("To German.", "hello", "hallo")]
    assert [example.references for example in take([talk("s", "z", "0")], tests).test] == [(), ()]
    rows = [talk("To French.", "hello", "ok"), talk("To German.", "hello", "ok")]
    assert "DUPLICATES_EXACT" not in take(rows, fraction=0).findings


def test_texts_with_several_labels_are_split_alike_in_any_order():
    chance = random.Random(0)
    rows = [{"text": f"text {number // 2}", "label": chance.choice("xyz")} for number in range(40)]
    draws = set()
    for _ in range(20):
        draws.add(frozenset(example.messages[-1].content for example in take(rows, wanted=LABELLED).test))
        chance.shuffle(rows)
    assert len(draws) == 1


def test_rows_that_are_left_out_are_named():
    rows = [{"text": f"{number}", "label": "xy"[number % 2]} for number in range(6)]
    rows.insert(2, {"text": "word " * 100, "label": "x"})
    assert take(rows, wanted=LABELLED, model=tiny(64, "drop")).findings["ROWS_TOO_LONG"]["rows"] == ["3"]


def test_inputs_that_only_late_rows_have_are_not_lost():
    rows = [{"instruction": f"do {number}", "output": "x"} for number in range(100)]
    rows.append({"instruction": "do", "input": "this", "output": "x"})
    assert take(rows, fraction=0).train[-1].messages[-1].content == "do\n\nthis"


def test_a_column_that_the_test_table_lacks_is_missed_in_the_test_table_by_name():
    with pytest.raises(InvalidInput, match="test table"):
        take([{"text": "a", "label": "x"}], [{"body": "a", "label": "x"}], wanted=LABELLED)


def test_a_row_that_cannot_be_rendered_is_named(tmp_path, tiny_llama):
    with Prepared("text", "text", None, (), ()).writer(tmp_path) as writer:
        for row in (Example((), "fine", row="1"), Example((), "a<|im_end|>", row="7")):
            writer.train(orjson.dumps(row.to_json(), option=orjson.OPT_APPEND_NEWLINE))
    with pytest.raises(InvalidInput) as caught:
        preview.run(PreviewWork(str(tmp_path), str(tiny_llama), 3), tmp_path, None)
    assert caught.value.metadata["row"] == "7"


def test_a_column_of_unlike_values_is_refused_as_a_label():
    rows = [{"text": f"text {number}", "label": f"value {number}"} for number in range(3000)]
    with pytest.raises(InvalidInput, match="Is it the right column") as caught:
        take(rows, wanted=LABELLED)
    assert caught.value.reason == "LABELS_TOO_MANY"


def test_long_rows_are_taken_in_few_at_a_time_and_none_is_lost(monkeypatch):
    rows = [{"text": f"{'word ' * (number % 7)}{number}", "label": "xy"[number % 2]} for number in range(200)]
    together = take(rows, wanted=LABELLED, model=tiny(512), fraction=0)
    monkeypatch.setattr("honed.data.batches.MAX_CHARACTERS", 100)
    apart = take(rows, wanted=LABELLED, model=tiny(512), fraction=0)
    assert [row.row for row in apart.train] == [str(number) for number in range(1, 201)]
    assert apart.facts == together.facts


# Columns of which nothing is made.


def test_columns_of_lists_and_objects_are_no_slices_and_are_not_called_empty():
    rows = [
        {"prompt": f"p{number}", "completion": "c", "meta": {"a": number}, "tags": ["a"] if number % 2 else None}
        for number in range(10)
    ]
    taken = take(rows)
    assert taken.facts["slice_columns"] == []
    assert "COLUMN_CONSTANT" not in taken.findings


def test_test_rows_that_are_merged_keep_the_cells_that_all_of_them_share():
    rows = [
        {
            "prompt": f"p{number // 2}",
            "completion": f"c{number}",
            "half": "ab"[number % 2],
            "pair": "xy"[number // 2 % 2],
        }
        for number in range(8)
    ]
    taken = take(rows[:4], rows[4:])
    assert taken.facts["slice_columns"] == ["half", "pair"]
    assert [example.columns for example in taken.test] == [{"pair": "x"}, {"pair": "y"}]


def test_long_cells_make_no_slices_and_the_cells_of_others_are_not_lost():
    rows = [
        {
            "prompt": f"p{number}",
            "completion": "c",
            "note": "x" * (number * 30),
            "region": "ns"[number % 2],
            "one": "y" * 300,
        }
        for number in range(20)
    ]
    taken = take(rows)
    assert taken.facts["slice_columns"] == ["region"]
    assert all(example.columns == {"region": "ns"[(int(example.row) - 1) % 2]} for example in taken.test)
    assert taken.findings["COLUMN_CONSTANT"]["column"] == "one"


def test_what_is_not_used_of_a_row_is_not_kept_in_memory():
    rows = b"\n".join(
        b'{"prompt": "p%d", "completion": "c", "unused": [%b{}]}' % (number, b"{}," * 4_000) for number in range(40)
    )
    tracemalloc.start()
    taken = take(rows, fraction=0)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(taken.train) == 40
    assert peak < 5 << 20  # the values of one row take 0.3 MiB


# Problems.


def test_of_rows_that_are_bad_for_several_reasons_the_first_are_named(monkeypatch):
    monkeypatch.setattr("honed.data.batches.MAX_ITEMS", 5)
    rows = [{"prompt": "word " * 300, "completion": "c"}]
    rows += [{"prompt": f"p{number}", "completion": "" if number % 2 else "c"} for number in range(60)]
    error = refusal(rows, model=tiny(100))
    assert [row for row, _ in error.violations[:3]] == ["row 1", "row 3", "row 5"]


def test_a_text_that_cannot_be_cut_is_named_by_its_row():
    error = refusal([{"text": "short"}, {"text": "😀" * 30}], model=tiny(4, "split"))
    assert [row for row, _ in error.violations] == ["row 2"]
    assert "--drop-long" in error.violations[0][1]


# Ids and groups.


def test_rows_are_grouped_by_a_column_called_id():
    rows = [{"prompt": f"p{number}", "completion": "c", "id": number // 3} for number in range(9)]
    taken = take(rows, wanted=Wanted(group_column="id"))
    train, test = ({(int(row) - 1) // 3 for row in side} for side in taken.rows)
    assert test
    assert not train & test


def test_the_id_of_a_row_that_is_bad_is_free():
    rows = [{"prompt": f"p{who}", "completion": "c", "id": 7, "who": who} for who in ("", "a", "b")]
    error = refusal(rows, wanted=Wanted(group_column="who"))
    assert [(row, said.partition(";")[0]) for row, said in error.violations] == [
        ("row 1", "'who', by which rows are grouped, is empty"),
        ("row 3", "its 'id' is that of row 2"),
    ]


def test_a_group_beside_a_test_table_is_refused():
    rows = [{"prompt": f"p{number}", "completion": "c", "who": number} for number in range(4)]
    error = refusal(rows, rows, wanted=Wanted(group_column="who"))
    assert [field for field, _ in error.violations] == ["header.group_column"]


# A test table with other columns.

ALPACA = [{"instruction": f"do {number}", "output": "x"} for number in range(5)]


def test_an_optional_column_that_only_the_test_table_has_is_not_lost_in_silence():
    tests = [{"instruction": "a", "input": "", "output": "y"}, {"instruction": "b", "input": "this", "output": "y"}]
    for write in (WRITE["csv"], WRITE["jsonl"]):
        error = refusal(WRITE["csv"](ALPACA), write(tests))
        assert error.message.startswith("test table: 1 bad row(s)")
        ((row, said),) = error.violations
        assert row == "row 2"
        assert said.startswith("'input' is filled, and the training table has no such column")
    assert take(WRITE["csv"](ALPACA), WRITE["csv"](tests[:1])).test[0].messages[-1].content == "a"


def test_an_optional_column_may_be_missing_in_both_tables_of_whatever_format():
    for train in (WRITE["csv"], WRITE["jsonl"]):
        for test in (WRITE["csv"], WRITE["jsonl"]):
            assert len(take(train(ALPACA), test(ALPACA)).test) == 5

"""Tables and conversations on which an earlier version went wrong."""

import random

import orjson
import pytest
from helpers.chat_templates import family_renderer
from helpers.tables import take, tiny
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
    assert [renderer.tokenizer.decode(list(row.prompt[s:e]), skip_special_tokens=False) for s, e in row.earlier] == [
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
    monkeypatch.setattr("honed.data.intake._BATCH_CHARACTERS", 100)
    apart = take(rows, wanted=LABELLED, model=tiny(512), fraction=0)
    assert [row.row for row in apart.train] == [str(number) for number in range(1, 201)]
    assert apart.facts == together.facts

from itertools import groupby
from pathlib import Path

import numpy as np
import orjson
import pytest
from google.protobuf import json_format
from honed.data import Example, Message, Prepared, batches
from honed.data.lengths import distribution
from honed.v1 import datasets_pb2
from honed.worker import preview
from honed.worker.contract import PreviewWork

ROWS = (
    Example((Message("system", "Classify."), Message("user", "Where is my card?")), "lost", row="2"),
    Example(
        (
            *(Message("user", "1"), Message("assistant", "one"), Message("user", "2")),
            *(Message("assistant", "two", weight=0), Message("user", "3")),
        ),
        "three",
        row="5",
    ),
    Example((), "Bare text ☃", row="7"),
    *(Example((Message("user", f"ask {number}"),), "say " * number, row=str(number)) for number in range(8, 20)),
)


@pytest.fixture
def show(tmp_path, tiny_llama):
    """The preview of some rows of a data set of ROWS."""
    with Prepared("messages", "generate", None, (), ()).writer(tmp_path) as writer:
        for row in ROWS:
            writer.train(orjson.dumps(row.to_json(), option=orjson.OPT_APPEND_NEWLINE))
        writer.test(ROWS[0])
    return lambda rows: preview.run(PreviewWork(str(tmp_path), str(tiny_llama), rows), Path(), None)


def learned(renderer, tokens):
    """The texts that are learned and those that are not, in turn, each with whether it is."""
    return [
        (trained, renderer.tokenizer.decode([token["id"] for token in run], skip_special_tokens=False))
        for trained, run in groupby(tokens, key=lambda token: token["trained"])
    ]


def test_the_first_rows_are_shown_as_the_model_sees_them(show, renderer):
    shown = show(3)["rows"]
    assert [row["row"] for row in shown] == ["2", "5", "7"]
    for row, tokens in zip(shown, renderer.examples(ROWS[:3]), strict=True):
        assert tuple(token["id"] for token in row["tokens"]) == tokens.prompt + tokens.reply
        assert [token["text"] for token in row["tokens"]] == [
            renderer.token_text(token) for token in tokens.prompt + tokens.reply
        ]


def test_the_mask_marks_what_is_learned(show, renderer):
    chat, turns, text = (learned(renderer, row["tokens"]) for row in show(3)["rows"])
    (before, prompt), reply = chat
    assert not before
    assert prompt.endswith("Where is my card?<|im_end|>\n<|im_start|>assistant\n")
    assert reply == (True, "lost<|im_end|>")
    assert [said for trained, said in turns if trained] == ["one<|im_end|>", "three<|im_end|>"]
    assert "two<|im_end|>" in turns[2][1]
    assert text == [(False, "<|im_end|>"), (True, "Bare text ☃<|im_end|>")]


def test_the_lengths_are_those_of_all_training_rows(show, renderer, monkeypatch):
    rows = renderer.examples(ROWS)
    result = show(1)
    assert result["lengths"] == distribution(np.array([len(row) for row in rows], np.uint32))
    assert result["trained_tokens"] == sum(row.trained for row in rows)
    monkeypatch.setattr(batches, "MAX_ITEMS", 4)
    assert show(1) == result


def test_no_more_rows_are_shown_than_there_are(show):
    assert [len(show(rows)["rows"]) for rows in (0, 1, 100)] == [0, 1, len(ROWS)]


def test_a_preview_is_one_on_the_wire(show):
    result = show(2)
    message = json_format.ParseDict(result, datasets_pb2.PreviewDatasetResponse())
    assert [row.row for row in message.rows] == ["2", "5"]
    assert message.trained_tokens == result["trained_tokens"]


def test_rows_are_shown_while_they_fit_into_one_answer(show, monkeypatch):
    whole = show(100)
    sizes = [
        sum(len(token["text"].encode()) + preview._TOKEN_BYTES for token in row["tokens"]) for row in whole["rows"]
    ]
    monkeypatch.setattr(preview, "_SHOWN_BYTES", sum(sizes[:4]))
    cut = show(100)
    assert cut == whole | {"rows": whole["rows"][:4]}
    monkeypatch.setattr(preview, "_SHOWN_BYTES", sizes[0] - 1)
    assert show(100) == whole | {"rows": []}


def test_what_is_shown_is_counted_as_large_as_it_is_on_the_wire(show):
    result = show(100)
    message = json_format.ParseDict(result, datasets_pb2.PreviewDatasetResponse())
    for row, shown in zip(message.rows, result["rows"], strict=True):
        counted = sum(len(token["text"].encode()) + preview._TOKEN_BYTES for token in shown["tokens"])
        assert row.ByteSize() <= counted + 16


def test_long_rows_are_tokenised_few_at_a_time(show, renderer, monkeypatch):
    seen = []
    examples = type(renderer).examples
    monkeypatch.setattr(type(renderer), "examples", lambda self, rows: seen.append(len(rows)) or examples(self, rows))
    monkeypatch.setattr(batches, "MAX_CHARACTERS", 20)
    show(1)
    assert max(seen) < 5

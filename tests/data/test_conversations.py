import math

import pytest
from honed.data.conversations import conversation
from honed.data.messages import Message
from honed.data.problems import BadRow
from honed.data.records import Record

USER = {"role": "user", "content": "hi"}
REPLY = {"role": "assistant", "content": "ho"}
SYSTEM = {"role": "system", "content": "Be brief."}


def messages(*turns) -> list[Message]:
    return conversation(Record(1, {"messages": list(turns)}), "messages")


def reason(call, *arguments) -> str:
    with pytest.raises(BadRow) as caught:
        call(*arguments)
    return caught.value.reason


def test_openai_messages_come_in_their_order_with_their_weight():
    assert messages(SYSTEM, USER, REPLY | {"weight": 0}, USER, REPLY | {"weight": 2.5}, USER, REPLY) == [
        Message("system", "Be brief."),
        Message("user", "hi"),
        Message("assistant", "ho", weight=0),
        Message("user", "hi"),
        Message("assistant", "ho", weight=2.5),
        Message("user", "hi"),
        Message("assistant", "ho"),
    ]


def test_sharegpt_turns_come_by_all_of_their_names():
    turns = [
        {"from": "system", "value": "s"},
        {"from": "human", "value": " a\n"},
        {"from": "gpt", "value": "b"},
        {"from": "user", "value": "c"},
        {"from": "assistant", "value": "d"},
    ]
    assert conversation(Record(1, {"conversations": turns}), "sharegpt") == [
        Message("system", "s"),
        Message("user", "a"),
        Message("assistant", "b"),
        Message("user", "c"),
        Message("assistant", "d"),
    ]


def test_parts_of_text_are_joined():
    parts = [{"type": "text", "text": "one, "}, {"type": "text", "text": "two"}]
    assert messages({"role": "user", "content": parts}, REPLY)[0].content == "one, two"


def test_what_parquet_pads_messages_with_changes_nothing():
    padded = [turn | {"weight": None, "tool_calls": None, "name": None} for turn in (USER, REPLY)]
    assert messages(*padded) == messages(USER, REPLY)
    assert messages(USER, REPLY | {"weight": 0.0}, USER, REPLY | {"weight": 1.0})[1].weight == 0


@pytest.mark.parametrize(
    ("turns", "part"),
    [
        ([], "'messages' is empty"),
        ([USER], "ends with a message of the user; expected the assistant's reply last"),
        ([USER, REPLY, USER], "ends with a message of the user"),
        ([SYSTEM], "ends with a message of the system"),
        (
            [REPLY],
            "message 1 of 'messages': a message of the assistant at the beginning; expected one of the system or",
        ),
        (
            [SYSTEM, REPLY],
            "message 2 of 'messages': a message of the assistant after the system's; expected one of the user",
        ),
        ([SYSTEM, SYSTEM, USER, REPLY], "message 2 of 'messages': a message of the system after the system's"),
        ([USER, SYSTEM, REPLY], "message 2 of 'messages': a message of the system after the user's"),
        ([USER, USER, REPLY], "message 2 of 'messages': a message of the user after the user's"),
        ([USER, REPLY, REPLY], "message 3 of 'messages': a message of the assistant after the assistant's"),
        (["hi", REPLY], "message 1 of 'messages': expected an object, found text"),
        ([{"content": "hi"}, REPLY], "'role' is missing"),
        ([{"role": "user"}, REPLY], "'content' is missing"),
        ([{"role": "user", "content": None}, REPLY], "'content' is missing"),
        ([{"role": "tool", "content": "x"}, REPLY], "the role 'tool' is unknown; expected system, user, assistant"),
        ([{"role": ["user"], "content": "x"}, REPLY], "the role ['user'] is unknown"),
        ([{"role": "human", "content": "x"}, REPLY], "the role 'human' is unknown"),
        ([{"role": "user", "content": " \n"}, REPLY], "'content' is empty"),
        ([{"role": "user", "content": 7}, REPLY], "'content' must be text, found a number"),
        ([{"role": "user", "content": []}, REPLY], "'content' is empty"),
        (
            [{"role": "user", "content": [{"type": "image_url"}]}, REPLY],
            "must be of type 'text', found the type 'image_url'",
        ),
        ([{"role": "user", "content": ["hi"]}, REPLY], "must be of type 'text', found text"),
        (
            [{"role": "user", "content": [{"type": "text"}]}, REPLY],
            "'text' in a part of 'content' must be text, found nothing",
        ),
        ([USER, REPLY | {"weight": 100.5}], "'weight' must be 0 or a number from 0.001 to 100, found 100.5"),
        ([USER, REPLY | {"weight": -1}], "'weight' must be 0 or a number from 0.001 to 100, found -1"),
        ([USER, REPLY | {"weight": 1e-9}], "'weight' must be 0 or a number from 0.001 to 100, found 1e-09"),
        ([USER, REPLY | {"weight": math.nan}], "'weight' must be 0 or a number from 0.001 to 100, found nan"),
        ([USER, REPLY | {"weight": math.inf}], "'weight' must be 0 or a number from 0.001 to 100, found inf"),
        ([USER, REPLY | {"weight": True}], "'weight' must be 0 or a number from 0.001 to 100, found True"),
        ([USER, REPLY | {"weight": "1"}], "'weight' must be 0 or a number from 0.001 to 100, found '1'"),
        ([USER, REPLY | {"weight": [1]}], "'weight' must be 0 or a number from 0.001 to 100, found [1]"),
        ([USER | {"weight": 1}, REPLY], "only an assistant's message can be learned"),
        ([USER, REPLY | {"tool_calls": [{"id": "1"}]}], "'tool_calls' cannot be learned"),
        ([USER, REPLY | {"weight": 0}], "all of its labels are masked"),
    ],
)
def test_messages_out_of_form_are_refused_with_their_place(turns, part):
    assert part in reason(messages, *turns)


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ({}, "'conversations' is missing"),
        ({"conversations": '[{"from": "human"}]'}, "'conversations' must be a list of messages, found text"),
        ({"conversations": {"from": "human"}}, "found an object"),
        ({"conversations": [{"from": "bot", "value": "x"}]}, "the role 'bot' is unknown; expected system, human"),
        ({"conversations": [{"from": "human"}]}, "'value' is missing"),
        ({"conversations": [{"role": "user", "content": "x"}]}, "'from' is missing"),
    ],
)
def test_sharegpt_rows_out_of_form_are_refused(values, part):
    assert part in reason(conversation, Record(1, values), "sharegpt")


def test_a_conversation_of_very_many_messages_is_refused_with_the_remedy():
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}] * 500
    assert len(conversation(Record(1, {"messages": turns}), "messages")) == 1000
    with pytest.raises(BadRow, match="'messages' holds 1,002 messages; make several rows of at most 1,000"):
        conversation(Record(1, {"messages": [*turns, *turns[:2]]}), "messages")


def test_a_long_wrong_value_is_not_repeated_in_the_reason():
    assert len(reason(messages, {"role": "x" * 100_000, "content": "x"}, REPLY)) < 300
    assert len(reason(messages, USER, REPLY | {"weight": "x" * 100_000})) < 300

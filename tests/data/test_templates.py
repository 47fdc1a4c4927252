import json
from dataclasses import replace

import pytest
from honed.data import BoundTemplate, Example, Message, Parameter, Slot, Template, bind
from honed.data.problems import BadRow
from honed.errors import InvalidInput
from honed.template_library import BUILT_IN

LABELLED = Template(
    name="templates/mine",
    version=3,
    description="Sorts messages.",
    task="classify",
    system="Classify the {{ kind }}.",
    user="{{# topic }}{{ topic }}: {{/ topic }}{{ text }}",
    reply="{{ label }}",
    slots=(Slot("text", "The message."), Slot("topic", "", optional=True), Slot("label", "Its label.")),
    parameters=(Parameter("kind", "What it is.", "message"),),
)
FREE = Template(
    name="templates/free",
    version=1,
    description="",
    task="generate",
    system="",
    user="{{ data | lines }}\n{{ extra | json }}",
    reply="{{ text }}",
    slots=(Slot("data", "", many=True), Slot("extra", "", optional=True), Slot("text", "")),
)
COLUMNS = ("text", "label", "region")


def bound(template=LABELLED, columns=None, parameters=None, verbalizer=None, instruction="", available=COLUMNS):
    return bind(template, columns or {}, parameters or {}, verbalizer or {}, instruction, available)


def refusal(call, *arguments, **options):
    with pytest.raises(InvalidInput) as caught:
        call(*arguments, **options)
    return caught.value


def bad_row(template, **values):
    with pytest.raises(BadRow) as caught:
        template.example(values)
    return caught.value.reason


# What `check` refuses.


@pytest.mark.parametrize(
    ("changes", "field", "what"),
    [
        ({"task": "chat"}, "template.task", "expected classify, extract, generate, found 'chat'"),
        (
            {"user": "{{ text }} {{ nothing }}"},
            "template.user",
            "names 'nothing', which is not declared; declared: text",
        ),
        ({"system": "{{ text }}"}, "template.system", "names the slot 'text'"),
        ({"system": "Classify."}, "template.parameters[0]", "'kind' is used nowhere"),
        ({"user": "{{ text }}"}, "template.slots[1]", "'topic' is used nowhere"),
        ({"user": "{{ text"}, "template.user", "line 1, column 1: found '{{ text'"),
        ({"reply": "{{ label | nope }}"}, "template.reply", "'nope' is no filter"),
        ({"user": " \n"}, "template.user", "can only render nothing"),
        ({"user": "{{^ text }}{{ topic }}{{/ text }}"}, "template.user", "can only render nothing"),
        ({"reply": ""}, "template.reply", "can only render nothing"),
        (
            {"reply": "yes", "task": "generate"},
            "template.reply",
            "names no slot, so every row would have the same reply",
        ),
        (
            {"reply": "{{ label }} {{ topic }}"},
            "template.reply",
            "must name exactly one slot, the label; it names topic, label",
        ),
        ({"user": "{{ text }} {{ topic }} {{ label }}"}, "template.user", "gives the answer away"),
        ({"reply": "{{ label | json }}"}, "template.reply", "must be text"),
        ({"user": "{{ text | lines }} {{ topic }}"}, "template.user", "'text' has one value"),
        ({"system": "{{ kind | lines }}"}, "template.system", "'kind' has one value"),
        (
            {"slots": (Slot("text", ""), Slot("topic", ""), Slot("label", "", optional=True))},
            "template.reply",
            "not optional",
        ),
        (
            {"slots": (Slot("text", "", many=True), *LABELLED.slots[1:])},
            "template.user",
            "written with the filter json or lines: {{ text | lines }}",
        ),
        ({"slots": (Slot("Text", ""), *LABELLED.slots)}, "template.slots[0].name", "expected a lower-case letter"),
        ({"slots": (*LABELLED.slots, Slot("kind", ""))}, "template.parameters[0].name", "'kind' is declared twice"),
        ({"verbalizer": {"a": " "}}, "template.verbalizer['a']", "expected the words for the label"),
        ({"verbalizer": {"a": "x", "b": "x "}}, "template.verbalizer['b']", "are those of 'a' too"),
        ({"verbalizer": {"a": "x"}, "task": "generate"}, "template.verbalizer", "need the task 'classify'"),
    ],
)
def test_a_template_that_could_not_work_is_refused_by_field(changes, field, what):
    error = refusal(replace(LABELLED, **changes).check)
    assert error.reason == "TEMPLATE_INVALID"
    found = [text for where, text in error.violations if where == field]
    assert any(what in text for text in found), error.violations
    assert what in str(error)


def test_all_mistakes_of_a_template_are_told_at_once():
    error = refusal(replace(LABELLED, task="chat", user="{{ text", reply="{{ a.b }}").check)
    assert [where for where, _ in error.violations] == ["template.task", "template.user", "template.reply"]


@pytest.mark.parametrize("template", [LABELLED, FREE])
def test_a_good_template_passes_and_survives_json(template):
    template.check()
    assert Template.from_json(template.to_json()) == template


def test_the_digest_is_of_the_content_alone():
    digest = LABELLED.digest()
    assert len(digest) == 64
    assert replace(LABELLED, name="templates/other", version=4).digest() == digest
    changed = [
        {"description": "x"},
        {"user": LABELLED.user + " "},
        {"slots": LABELLED.slots[::-1]},
        {"verbalizer": {"a": "b"}},
        {"parameters": (Parameter("kind", "What it is."),)},
    ]
    assert len({digest, *(replace(LABELLED, **change).digest() for change in changed)}) == 1 + len(changed)


# Binding to a table.


def test_slots_take_the_columns_named_and_else_those_of_their_own_name():
    template = bound(columns={"text": ["body"]}, available=("body", "label", "topic", "text"))
    assert template.columns == {"text": ("body",), "topic": ("topic",), "label": ("label",)}
    assert template.source_columns == ("body", "topic", "label")
    assert bound().columns["topic"] == ()


def test_a_column_that_is_named_for_one_slot_does_not_fill_another_by_its_name():
    swapped = bound(columns={"text": ["topic"]}, available=("topic", "label"))
    assert swapped.columns == {"text": ("topic",), "topic": (), "label": ("label",)}


def test_the_instruction_is_rendered_with_the_parameters_or_replaced():
    assert bound().instruction == "Classify the message."
    assert bound(parameters={"kind": " e-mail "}).instruction == "Classify the e-mail."
    assert bound(instruction=" Sort {{ it }}. ").instruction == "Sort {{ it }}."


def test_a_parameter_that_nothing_uses_once_the_instruction_is_replaced_needs_no_value():
    needy = replace(LABELLED, parameters=(Parameter("kind", "What it is."),))
    assert refusal(bound, needy).reason == "PARAMETER_MISSING"
    assert bound(needy, instruction="Sort.").instruction == "Sort."


@pytest.mark.parametrize(
    ("options", "reason", "says"),
    [
        ({"columns": {"body": ["text"]}}, "SLOT_UNKNOWN", "no slot 'body'; it has 'text', 'topic', 'label'"),
        (
            {"columns": {"text": ["body"]}},
            "COLUMN_MISSING",
            "no column 'body' for the slot 'text'. The table has 'text', 'label', 'region'",
        ),
        ({"available": ("text",)}, "COLUMN_MISSING", "No column fills the slot 'label' of templates/mine (Its label)"),
        ({"columns": {"text": ["text", "region"]}}, "FIELD_INVALID", "takes one column, found 2"),
        (
            {"columns": {"text": ["text"], "label": ["text"]}},
            "COLUMN_TWICE",
            "'text' fills the slots 'text' and 'label'",
        ),
        ({"parameters": {"style": "x"}}, "PARAMETER_UNKNOWN", "no parameter 'style'; it has 'kind'"),
        ({"verbalizer": {"a": "x", "b": "x"}}, "FIELD_INVALID", "are those of 'a' too"),
        ({"template": FREE, "available": ("data", "text"), "verbalizer": {"a": "x"}}, "FIELD_INVALID", "need the task"),
        (
            {"template": FREE, "available": ("data", "text"), "columns": {"data": ["data", "data"]}},
            "COLUMN_TWICE",
            "'data' twice",
        ),
    ],
)
def test_what_does_not_fit_the_table_is_refused_with_the_remedy(options, reason, says):
    error = refusal(bound, **options)
    assert error.reason == reason
    assert says in str(error)
    assert error.violations


def test_a_bound_template_survives_json():
    template = bound(verbalizer={"a": "apple"})
    assert BoundTemplate.from_json(template.to_json()) == template


# Rows of the table.


def test_a_row_becomes_the_instruction_the_text_and_the_reply():
    row = bound().example({"text": " My card is gone.\n", "label": "lost", "region": "EU"})
    assert row == Example((Message("system", "Classify the message."), Message("user", "My card is gone.")), "lost")


def test_without_an_instruction_there_is_no_system_message():
    plain = bound(Template.from_json(BUILT_IN["prompt-completion"]), available=("prompt", "completion"))
    assert plain.example({"prompt": "Hi", "completion": "Hello"}) == Example((Message("user", "Hi"),), "Hello")


@pytest.mark.parametrize(
    ("value", "text"),
    [(7, "7"), (1.5, "1.5"), (True, "true"), (False, "false"), ("{{ label }}", "{{ label }}"), ("[1]", "[1]")],
)
def test_a_value_becomes_text(value, text):
    assert bound().example({"text": value, "label": "x"}).messages[-1].content == text


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"text": "a"}, "there is no 'label'"),
        ({"text": " \n", "label": "x"}, "'text' is empty"),
        ({"text": None, "label": "x"}, "'text' is empty"),
        ({"text": float("nan"), "label": "x"}, "'text' is empty"),
        ({"text": float("inf"), "label": "x"}, "'text' holds what JSON cannot write"),
        ({"text": ["a"], "label": "x"}, "'text' must be text, found a list"),
        ({"text": {"a": 1}, "label": "x"}, "'text' must be text, found an object"),
        ({"text": [float("nan")], "label": "x"}, "'text' holds what JSON cannot write"),
    ],
)
def test_a_bad_row_names_its_column(values, reason):
    assert reason in bad_row(bound(), **values)


def test_an_optional_slot_may_be_empty_missing_or_null():
    template = bound(available=("text", "label", "topic"))
    shown = [
        template.example({"text": "a", "label": "x"} | extra).messages[-1].content
        for extra in ({"topic": "cards"}, {"topic": " "}, {"topic": None}, {})
    ]
    assert shown == ["cards: a", "a", "a", "a"]


def test_a_label_is_written_in_the_words_of_the_verbalizer():
    template = bound(verbalizer={"0": "negative", "1": "positive"})
    assert [template.example({"text": "a", "label": label}).reply for label in (0, "1", "2")] == [
        "negative",
        "positive",
        "2",
    ]


@pytest.mark.parametrize(
    ("reply", "verbalizer", "labels", "written"),
    [
        ("{{ label }}", {"1": "positive"}, ("1", "positive"), "positive"),
        ("{{ label | words }}", {}, ("a-b", "a_b"), "a b"),
        ("{{ label | words }}", {"a": "X_y", "b": "X-y"}, ("a", "b"), "X y"),
        ("{{ label | lower }}.", {}, ("Lost", "lost"), "lost."),
    ],
)
def test_two_labels_that_are_written_alike_are_not_merged(reply, verbalizer, labels, written):
    template = bound(replace(LABELLED, reply=reply), verbalizer=verbalizer)
    first, second = labels
    for _ in range(2):
        assert template.example({"text": "a", "label": first}).reply == written
    reason = bad_row(template, text="b", label=second)
    assert f"the labels {first!r} and {second!r} are both written as {written!r}; give them different words" in reason


def test_words_for_a_label_that_no_row_carries_are_refused():
    given = {"lots": "It is lost.", " found ": "It is there."}
    template = bound(verbalizer=given)
    for label in ("lost", "found"):
        template.example({"text": "a", "label": label})
    error = refusal(template.require_labels, given)
    assert error.reason == "FIELD_INVALID"
    assert error.violations == (("verbalizer['lots']", "no row carries this label; there are 'found', 'lost'"),)
    template.require_labels({" found ": "It is there."})


def test_labels_are_noted_in_bounded_number():
    template = bound()
    for number in range(1100):
        template.example({"text": "a", "label": number})
    assert len(template.label_of) == 1001


def test_the_verbalizer_of_a_data_set_comes_before_the_templates():
    template = bound(replace(LABELLED, verbalizer={"a": "x", "b": "y"}), verbalizer={"a": "z"})
    assert template.verbalizer == {"a": "z", "b": "y"}


def test_many_columns_are_written_in_their_order_as_lines_or_as_json():
    lines = bound(FREE, {"data": ["b", "a"]}, available=("a", "b", "c", "text"))
    assert lines.example({"a": 1, "b": " two ", "text": "t"}).messages[-1].content == 'b: two\na: 1\n""'
    assert "'b', 'a' are all empty" in bad_row(lines, a="", b=None, text="t")
    single = bound(FREE, {"data": ["a"]}, available=("a", "text"))
    assert single.example({"a": "x\ny", "text": "t"}).messages[-1].content == 'x\ny\n""'


def test_under_json_a_value_is_the_same_given_as_json_or_as_its_text():
    template = bound(FREE, available=("data", "extra", "text"))
    for value in (["ä", {"b": None}], {"a": [1.5, True]}):
        for given in (value, json.dumps(value)):
            shown = template.example({"data": "d", "extra": given, "text": "t"}).messages[-1].content
            assert shown == 'd\n["ä", {"b": null}]' if isinstance(value, list) else 'd\n{"a": [1.5, true]}'


@pytest.mark.parametrize("text", ["[1", "{'a': 1}", "[NaN]", "[1e999]", '["\\ud800"]', "[" * 100_000, "42", "null"])
def test_text_that_is_no_json_list_or_object_is_a_string_under_json(text):
    template = bound(FREE, available=("data", "extra", "text"))
    shown = template.example({"data": "d", "extra": text, "text": "t"}).messages[-1].content
    assert shown == "d\n" + json.dumps(text)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ('{"id": 12345678901234567.123}', "'extra': the number 12345678901234567.123 has more digits than"),
        ('[{"a": 1, "b": {"a": 1, "a": 0}}]', "'extra': the key 'a' occurs twice in one object"),
    ],
)
def test_text_of_which_json_would_lose_something_is_refused_under_json(cell, reason):
    template = bound(FREE, available=("data", "extra", "text"))
    assert reason in bad_row(template, data="d", extra=cell, text="t")
    error = refusal(template.prompt, {"data": "d", "extra": cell})
    assert error.violations[0][0] == "row.values['extra']"
    assert reason in error.violations[0][1]
    assert template.example({"data": cell, "text": "t"}).messages[-1].content == f'{cell}\n""'
    assert template.prompt({"data": cell})[-1].content == f'{cell}\n""'  # text, where it is not written as JSON


@pytest.mark.parametrize(("value", "written"), [(0, "0"), (1.5, "1.5"), (False, "false"), ("0", '"0"'), ([0], "[0]")])
def test_under_json_a_number_stays_a_number_of_one_column_as_of_many(value, written):
    slots = {slot: Slot(slot, "") for slot in ("one", "many", "text")} | {"many": Slot("many", "", many=True)}
    user = "{{# one }}{{ one | json }}{{/ one }} {{ many | json }}"
    template = bound(replace(FREE, user=user, slots=tuple(slots.values())), available=tuple(slots))
    row = template.example({"one": value, "many": value, "text": "t"})
    assert row.messages[-1].content == f'{written} {{"many": {written}}}'
    for one in [json.dumps({"one": value})] if value not in ("0", [0]) else [json.dumps({"one": value}), str(value)]:
        assert template.prompt({"one": one, "many": json.dumps({"many": value})}) == row.messages


EXTRACT = Template.from_json(BUILT_IN["extract"])


def test_the_fields_of_an_extraction_are_a_json_object_in_the_order_of_the_columns():
    template = bound(EXTRACT, {"fields": ["name", "area", "tags"]}, available=("text", "area", "name", "tags"))
    row = template.example({"text": "t", "name": "Zizzi ö", "area": " ", "tags": '["a", 1]'})
    assert row.reply == '{"name": "Zizzi ö", "area": null, "tags": ["a", 1]}'
    assert template.reply_keys == ("name", "area", "tags")


def test_a_text_that_gives_none_of_the_fields_is_a_row_too():
    template = bound(EXTRACT, {"fields": ["name"]}, available=("text", "name"))
    assert template.example({"text": "t", "name": ""}).reply == '{"name": null}'


def test_a_reply_that_should_be_a_json_object_must_be_one():
    free = replace(EXTRACT, slots=(Slot("text", ""), Slot("fields", "")))
    template = bound(free, available=("text", "fields"))
    assert template.example({"text": "t", "fields": {"a": 1}}).reply == '{"a": 1}'
    assert template.reply_keys == ()
    assert "must be a JSON object, found '[1]'" in bad_row(template, text="t", fields=[1])


def test_a_row_that_makes_an_empty_prompt_or_reply_is_refused():
    optional = replace(FREE, user="{{ extra }}", slots=(Slot("extra", "", optional=True), Slot("text", "")))
    template = bound(optional, available=("extra", "text"))
    assert "the prompt is empty; fill one of the slots 'extra'" in bad_row(template, extra="", text="t")
    silent = replace(optional, user="{{ text }}", reply="{{ extra }}")
    assert bad_row(bound(silent, available=("extra", "text")), extra=" ", text="t") == "the reply is empty"


# Requests.


def test_a_request_is_rendered_as_a_row_was():
    template = bound(available=("text", "label", "topic"))
    row = template.example({"text": " a ", "topic": "cards", "label": "x"})
    assert template.prompt({"text": "a", "topic": " cards"}) == row.messages
    assert template.prompt({"text": "a"})[-1] == Message("user", "a")


def test_many_columns_are_given_as_a_json_object_and_a_single_one_may_be_given_bare():
    lines = bound(FREE, {"data": ["a", "b"]}, available=("a", "b", "text"))
    assert lines.prompt({"data": '{"b": 2, "a": "one"}'})[-1].content == 'a: one\nb: 2\n""'
    assert lines.prompt({"data": '{"b": 2}'})[-1].content == 'b: 2\n""'
    single = bound(FREE, {"data": ["a"]}, available=("a", "text"))
    for given in ("one", '{"a": "one"}', ' {"a": " one"} '):
        assert single.prompt({"data": given})[-1].content == 'one\n""'
    for given in ("{}", '{"b": 1}', "[1]"):
        assert single.prompt({"data": given})[-1].content == f'{given}\n""'


@pytest.mark.parametrize(
    ("template", "columns", "slots", "field", "what"),
    [
        (LABELLED, {}, {}, "row.values['text']", "'text' is empty"),
        (LABELLED, {}, {"text": " "}, "row.values['text']", "'text' is empty"),
        (LABELLED, {}, {"text": "a", "label": "x"}, "row.values['label']", "is what the model answers"),
        (
            LABELLED,
            {},
            {"text": "a", "body": "x"},
            "row.values['body']",
            "is no slot of the template; expected text, topic",
        ),
        (LABELLED, {}, {"text": "a", "topic": "x"}, "row.values['topic']", "no column filled it"),
        (
            FREE,
            {"data": ["a", "b"]},
            {"data": "x"},
            "row.values['data']",
            "a JSON object with the keys 'a', 'b', found 'x'",
        ),
        (FREE, {"data": ["a", "b"]}, {"data": '{"c": 1}'}, "row.values['data']", "has no column 'c'; it has 'a', 'b'"),
        (FREE, {"data": ["a", "b"]}, {"data": "{}"}, "row.values['data']", "'a', 'b' are all empty"),
        (FREE, {"data": ["a", "b"]}, {"data": '{"a": "\\ud800"}'}, "row.values['data']", "expected a JSON object"),
        (FREE, {"data": ["a", "b"]}, {"data": '{"a": NaN}'}, "row.values['data']", "expected a JSON object"),
    ],
)
def test_a_request_that_does_not_fit_names_the_slot(template, columns, slots, field, what):
    served = bound(template, columns, available=("a", "b", "text", "label"))
    error = refusal(served.prompt, slots)
    assert error.reason == "ROW_INVALID"
    assert [where for where, _ in error.violations] == [field]
    assert what in error.violations[0][1]


def test_a_request_that_makes_an_empty_prompt_is_refused():
    optional = replace(FREE, user="{{ extra }}", slots=(Slot("extra", "", optional=True), Slot("text", "")))
    error = refusal(bound(optional, available=("extra", "text")).prompt, {})
    assert error.violations == (("row.values", "the prompt is empty; fill one of the slots 'extra'"),)


# Templates that write a value very often.


def test_what_a_template_makes_of_a_row_is_limited():
    often = replace(FREE, user="{{ text }}" * 1990, reply="{{ extra }}", slots=(Slot("text", ""), Slot("extra", "")))
    template = bound(often, available=("text", "extra"))
    assert len(template.prompt({"text": "x" * 2000})[-1].content) == 1990 * 2000
    assert "more than 4,000,000 characters" in bad_row(template, text="x" * 2100, extra="e")
    error = refusal(template.prompt, {"text": "x" * 100_000})
    assert error.reason == "ROW_INVALID"
    assert "more than 4,000,000 characters" in error.violations[0][1]


def test_an_instruction_is_limited_too():
    often = replace(LABELLED, system="{{ kind }}" * 1990)
    error = refusal(bound, often, parameters={"kind": "x" * 10_000})
    assert error.reason == "FIELD_INVALID"
    assert "more than 4,000,000 characters" in str(error)

"""What Generate puts before the model is, token by token, what the model was tuned on: for every built-in template and
for the chat templates of five model families."""

import json

import pytest
from helpers.chat_templates import FAMILIES, family_renderer
from honed.data import Message, ServingTemplate, Template, bind
from honed.serve.service import GenerationService
from honed.template_library import BUILT_IN
from honed.v1 import generation_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.utils.chat_template_utils import render_jinja_template

ALL = settings(max_examples=40, deadline=None)
EVERY_FAMILY = pytest.mark.parametrize("family", FAMILIES)
COLUMNS = {"data-to-text": {"data": ["data"]}, "extract": {"fields": ["name", "stars"]}}
PARAMETERS = {"translate": {"language": "German"}, "rewrite": {"style": "polite"}}

PLAIN = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
SPACES = st.text(" \n\t\u00a0", max_size=2)
TEXTS = st.tuples(SPACES, PLAIN.filter(str.strip), SPACES).map("".join)
NUMBERS = st.one_of(st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False), st.booleans())


def bound(identifier, columns=None):
    """A built-in template on a table whose columns have the names of its slots."""
    template = Template.from_json(BUILT_IN[identifier])
    columns = COLUMNS.get(identifier, {}) if columns is None else columns
    available = [*(slot.name for slot in template.slots), *(each for named in columns.values() for each in named)]
    return bind(template, columns, PARAMETERS.get(identifier, {}), {}, "", available)


def rows(template):
    """Rows of the table: text, for optional slots perhaps none, for a slot of many columns also numbers and nulls."""
    cells = {}
    for slot in template.template.slots:
        for column in template.columns[slot.name]:
            if slot.many and len(template.columns[slot.name]) > 1:
                cells[column] = st.one_of(TEXTS, NUMBERS, st.none())
            else:
                cells[column] = st.one_of(TEXTS, st.just("")) if slot.optional else TEXTS
    return st.fixed_dictionaries(cells)


def asked(template, row):
    """The row as a client of Generate sends it: without the reply, several columns as a JSON object."""
    values = {}
    answered = template.template.slots_of("reply")
    for slot in template.template.slots:
        if slot not in answered and slot.many:
            values[slot.name] = json.dumps({column: row[column] for column in template.columns[slot.name]})
        elif slot not in answered and row[template.columns[slot.name][0]]:
            values[slot.name] = row[template.columns[slot.name][0]]
    return generation_pb2.GenerateRequest(row=generation_pb2.Row(values=values))


def served(family, template, request):
    """The token ids that the engine would be given."""
    return GenerationService(None, family_renderer(family), ServingTemplate(template))._prompt(request)


def by_transformers(family, messages):
    """The text that transformers makes of a conversation, folded where the template refuses the system message."""
    turns = [{"role": message.role, "content": message.content} for message in messages]
    if turns[0]["role"] == "system" and not FAMILIES[family].knows_system:
        system, user, *rest = turns
        turns = [{"role": "user", "content": f"{system['content']}\n\n{user['content']}"}, *rest]
    (text,), _ = render_jinja_template(
        [turns],
        chat_template=FAMILIES[family].source,
        add_generation_prompt=True,
        bos_token=FAMILIES[family].bos_token,
        eos_token=FAMILIES[family].end_of_turn,
    )
    return text


@EVERY_FAMILY
def test_the_chat_template_writes_the_familys_public_format(family):
    turns = (("system", "S"), ("user", " U "), ("assistant", "A"), ("user", "V"))
    messages = [Message(role, content) for role, content in turns]
    renderer = family_renderer(family)
    assert by_transformers(family, messages) == FAMILIES[family].sample
    assert renderer.prompt(messages) == renderer.encode(FAMILIES[family].sample)


@EVERY_FAMILY
@pytest.mark.parametrize("identifier", BUILT_IN)
@ALL
@given(data=st.data())
def test_a_row_is_served_as_it_was_trained(family, identifier, data):
    template, renderer = bound(identifier), family_renderer(family)
    row = data.draw(rows(template))
    example = template.example(row)
    trained = renderer.example(example)
    assert served(family, template, asked(template, row)) == list(trained.prompt)
    assert list(trained.prompt) == renderer.encode(by_transformers(family, example.messages))
    assert renderer.decode(trained.reply).strip() == example.reply
    assert trained.reply[-1] in renderer.stop_ids


@EVERY_FAMILY
@ALL
@given(data=st.data())
def test_several_columns_are_served_as_they_were_trained(family, data):
    template = bound("data-to-text", {"data": ["a", "b", "c"]})
    row = data.draw(rows(template).filter(lambda row: any(row[column] not in (None, "") for column in "abc")))
    trained = family_renderer(family).example(template.example(row))
    assert served(family, template, asked(template, row)) == list(trained.prompt)


@EVERY_FAMILY
@pytest.mark.parametrize(
    "identifier",
    ["classify", "extract", "summarize", "data-to-text", "answer", "translate", "rewrite", "prompt-completion"],
)
@ALL
@given(data=st.data())
def test_a_plain_chat_for_a_template_of_one_slot_is_served_as_it_was_trained(family, identifier, data):
    template = bound(identifier)
    row = data.draw(rows(template)) | ({"context": ""} if identifier == "answer" else {})
    example = template.example(row)
    message = generation_pb2.ChatMessage(role="user", content=example.messages[-1].content)
    request = generation_pb2.GenerateRequest(chat=generation_pb2.Chat(messages=[message]))
    assert served(family, template, request) == list(family_renderer(family).example(example).prompt)

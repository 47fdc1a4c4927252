"""A splice says what Jinja would have said, whatever the texts are; what could tell texts apart is never spliced."""

import json
from functools import cache

import jinja2
import pytest
from helpers.chat_templates import FAMILIES
from helpers.tiny_model import CHATML
from honed.data import ChatTemplate, Message
from honed.data.chat_template import PLAIN_TEMPLATE
from honed.data.splice import Splice
from honed.errors import InvalidInput
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

BOS, EOS = "<s>", "</s>"


def each(expression):
    """A template that writes something of each message `m`."""
    return f"{{% for m in messages %}}{expression};{{% endfor %}}"


FAMILY_TEMPLATES = {name: family.source for name, family in FAMILIES.items() if name != "phi"}

# What is done to the texts does not hang on what they say.
PUT_IN_PLACES = FAMILY_TEMPLATES | {
    "plain": PLAIN_TEMPLATE,
    "twice": each("{{ m.content }}{{ m['content'] }}"),
    "trimmed": each("[{{ m.content | trim }}|{{ m.content.strip() }}|{{ (m.content | trim) + '!' }}]"),
    "joined by plus": each("{{ m.role + ': ' + m.content + bos_token }}"),
    "set": each("{% set text = ' ' + m.content %}{% set text = text + ' ' %}{{ text }}"),
    "with": each("{% with text = m.content | trim %}{{ text }}{% endwith %}"),
    "items": each("{% for key, value in m.items() %}{{ key }}={{ value }}{% endfor %}"),
    "namespace": "{% set all = namespace(text='', last='') %}{% for m in messages %}"
    "{% set all.text = all.text + m.content %}{% set all.last = m.content %}{% endfor %}{{ all.last }}{{ all.text }}",
    "system first": "{% if messages[0].role == 'system' %}{% set system = messages[0].content %}"
    "{% set rest = messages[1:] %}{% else %}{% set system = 'none' %}{% set rest = messages %}{% endif %}"
    "{{ system }}{% for m in rest %}{{ m.content }}{% if loop.index == 2 %}{% break %}{% endif %}{% endfor %}",
    "kinds": each(
        "{{ m.content is string }}{{ m.content is none }}{{ m.content is mapping }}{{ m.content is iterable }}"
    ),
    "by role": "{% for m in messages | selectattr('role', 'equalto', 'user') %}{{ m.content }}{% endfor %}",
    "list of texts": "{% for text in messages | map(attribute='content') | reverse %}{{ text }},{% endfor %}",
    "macro": "{% macro turn(m, end='.') %}{{ m.role }}: {{ m.content }}{{ end }}{% endmacro %}" + each("{{ turn(m) }}"),
    "last only": "{{ messages[-1]['content'] }}{% if add_generation_prompt %}{{ eos_token }}{% endif %}",
    "no text": "{{ messages | length }}{% for m in messages %}{{ m.role | upper }}{% endfor %}",
}

# Each looks at a text. Phi's leaves an empty system message out.
LOOK_AT_TEXTS = {
    "phi, with its system message": "{% if messages[0]['content'] %}{% endif %}" + FAMILIES["phi"].source,
    "searched": each("{{ 'a' in m.content }}"),
    "searched by a method": each("{{ m.content.startswith('a') }}{{ m.content.find(' ') }}"),
    "split": each("{{ m.content.split('</think>')[-1] }}"),
    "replaced": each("{{ m.content | replace('a', 'b') }}{{ m.content.replace('{', '') }}"),
    "compared": each("{% if m.content == 'a' %}a{% endif %}"),
    "compared with another": each("{{ m.content != messages[-1].content }}"),
    "ordered": each("{{ m.content < 'b' }}"),
    "measured": each("{{ m.content | length }}"),
    "upper case": each("{{ m.content | upper }}"),
    "upper case by a method": each("{{ m.content.upper() }}"),
    "sliced": each("{{ m.content[:2] }}"),
    "first character": each("{{ m.content[0] }}"),
    "characters": each("{% for character in m.content %}{{ character }}.{% endfor %}"),
    "joined by tilde": each("{{ m.role ~ m.content }}"),
    "joined by a filter": each("{{ [m.role, m.content] | join(': ') }}"),
    "formatted": each("{{ '%s!' % m.content }}"),
    "formatted by a method": each("{{ '{}!'.format(m.content) }}"),
    "formatted by a filter": each("{{ '%s!' | format(m.content) }}"),
    "in if": each("{% if m.content %}{{ m.content }}{% endif %}"),
    "in or": each("{{ m.content or 'empty' }}"),
    "in not": each("{{ not m.content }}"),
    "default": each("{{ m.content | default('x', true) }}"),
    "as JSON": each("{{ m.content | tojson }}"),
    "message as JSON": each("{{ m | tojson }}"),
    "message as it is": each("{{ m }}"),
    "in a list": each("{{ [m.content] }}"),
    "escaped for HTML": each("{{ m.content | e }}"),
    "trimmed of characters": each("{{ m.content.strip('a') }}{{ m.content | trim('b') }}"),
    "trimmed on one side": each("{{ m.content.lstrip() }}"),
    "trimmed after joining": each("{{ (' ' + m.content + bos_token) | trim }}"),
    "repeated": each("{{ m.content * 2 }}"),
    "member": each("{{ m.content in ['a', ''] }}"),
    "key": each("{{ {m.content: 1} }}"),
    "chosen by": each("{{ {'a': 1}.get(m.content, 2) }}"),
    "test of case": each("{{ m.content is lower }}"),
    "as a number": each("{{ m.content | int }}"),
    "attribute": each("{{ m.content.text }}{{ m.content['text'] }}"),
    "filtered list": "{{ messages | selectattr('content') | list | length }}",
    "mapped list": "{{ messages | map(attribute='content') | map('upper') | join }}",
    "distinct": "{{ messages | map(attribute='content') | unique | list | length }}",
    "sorted": "{% for text in messages | map(attribute='content') | sort %}{{ text }}{% endfor %}",
    "namespace": "{% set all = namespace(text='') %}{% for m in messages %}{% set all.text = all.text + m.content %}"
    "{% endfor %}{{ all.text | length }}",
    "in a macro": "{% macro turn(m) %}{{ m.content | title }}{% endmacro %}" + each("{{ turn(m) }}"),
    "changed": each("{% if loop.changed(m.content) %}new{% endif %}"),
    # What was written is looked at.
    "macro's text": "{% macro text(m) %}{{ m.content }}{% endmacro %}" + each("{{ 'a' in text(m) }}"),
    "macro's text trimmed": "{% macro text(m) %} {{ m.content }}{% endmacro %}" + each("{{ text(m) | trim }}"),
    "caller's text": "{% macro loud() %}{{ caller() | upper }}{% endmacro %}"
    + each("{% call loud() %}{{ m.content }}{% endcall %}"),
    "set block": each("{% set text %}{{ m.content }}{% endset %}{{ text | length }}"),
    "filter block": each("{% filter upper %}{{ m.content }}{% endfilter %}"),
    "block again": "{% block first %}{{ messages[0].content }}{% endblock %}{{ self.first() | upper }}",
    "recursive loop": "{% for text in [messages[0].content] recursive %}{{ text }}"
    "{{ (loop(['x' + text]) | upper) if loop.depth < 2 }}{% endfor %}",
    "escaped by a block": "{% autoescape true %}" + each("{{ m.content }}") + "{% endautoescape %}",
    # Jinja answers for a text that is no key, no item and no attribute.
    "item": each("{{ {'a': 1}[m.content] }}"),
    "item of an object": "{% set all = namespace(a=1) %}" + each("{{ all[m.content] }}"),
    "the same object": each("{{ m.content is sameas '' }}"),
}

# What a text that stands for a text might give away of itself.
OF_ANY_TEXT = (
    each("{{ m.content is escaped }}"),
    each("{{ m.content is callable }}"),
    each("{{ m.content.parts is defined }}"),
    each("{{ m.content._parts is defined }}"),
    each("{{ '\\ue0f1\\U000f3a77\\ue0f2' }}{{ m.content }}\ue0f1\U000f3a77\ue0f2p0"),
)

ROLES = ("system", "user", "assistant", "user")
SYNTAX = [
    *("{{ m }}", "{% if %}", "{#", "}}", "%}", "'", '"', "\\", "</s>", "<a&b>", "%s", "{}"),
    *("\ue0f1\U000f3a77\ue0f2", "p0", "t1", "\0", "\ufffd", "\u00a0", "\u2028", " ", "\n", "\t", "a", "A", "1"),
]
contents = st.one_of(
    st.lists(st.sampled_from(SYNTAX), max_size=5).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
turns = st.sampled_from([ROLES[1:2], ROLES[:2], ROLES[1:], ROLES, ROLES[:3], ("assistant", "user"), ("tool",)])
conversations = turns.flatmap(lambda roles: st.tuples(*(st.builds(Message, st.just(role), contents) for role in roles)))


@cache
def spliced(source):
    return ChatTemplate(source, BOS, EOS)


@cache
def by_jinja(source):
    """The template in a plain sandbox with what chat templates expect of one."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)

    def raise_exception(message):
        raise jinja2.TemplateError(message)

    environment.globals["raise_exception"] = raise_exception
    return environment.from_string(source)


def rendered(source, messages, add_generation_prompt):
    try:
        return spliced(source).render(messages, add_generation_prompt=add_generation_prompt)
    except InvalidInput as error:
        return error.reason


def expected(source, messages, add_generation_prompt):
    try:
        return by_jinja(source).render(
            messages=[{"role": message.role, "content": message.content} for message in messages],
            add_generation_prompt=add_generation_prompt,
            bos_token=BOS,
            eos_token=EOS,
            tools=None,
            documents=None,
        )
    except (jinja2.TemplateError, TypeError, ValueError, LookupError):
        return "CHAT_REFUSED"


def cases(templates):
    return pytest.mark.parametrize("source", templates.values(), ids=list(templates))


@settings(max_examples=100, deadline=None)
@given(messages=conversations, add_generation_prompt=st.booleans())
def test_a_conversation_is_written_as_jinja_writes_it(messages, add_generation_prompt):
    for source in (*PUT_IN_PLACES.values(), *LOOK_AT_TEXTS.values(), *OF_ANY_TEXT, FAMILIES["phi"].source):
        text = rendered(source, messages, add_generation_prompt)
        assert text == expected(source, messages, add_generation_prompt), source


@cases(LOOK_AT_TEXTS)
def test_a_template_that_looks_at_texts_is_never_spliced(source):
    assert spliced(source).splice(ROLES[1:], add_generation_prompt=True) is None


@cases(PUT_IN_PLACES)
def test_a_template_that_puts_texts_in_places_is_spliced(source):
    assert spliced(source).splice(ROLES[1:], add_generation_prompt=True) is not None


def test_a_conversation_whose_roles_came_before_needs_no_jinja(monkeypatch):
    template = ChatTemplate(CHATML, BOS, EOS)
    template.render((Message("user", "a"),), add_generation_prompt=True)
    monkeypatch.setattr(template, "_template", None)
    monkeypatch.setattr(template, "_prober", None)
    assert template.render((Message("user", "b"),), add_generation_prompt=True) == (
        "<|im_start|>user\nb<|im_end|>\n<|im_start|>assistant\n"
    )


def test_texts_stand_in_their_places_and_lose_outer_white_space_where_the_template_trims():
    splice = Splice(("<", "|", ">"), ((1, False), (0, True)))
    assert splice.fill([" a ", " {b} "]) == "< {b} |a>"


@pytest.mark.parametrize(
    ("whole", "rest"),
    [
        (Splice(("<", ">(", ")"), ((0, False), (1, True))), Splice(("(", ")"), ((1, True),))),
        (Splice(("<", ">"), ((0, False),)), Splice(("",), ())),
        (Splice(("<", ">"), ((0, True),)), None),
        (Splice(("<", ">"), ((1, False),)), None),
        (Splice(("[", ">"), ((0, False),)), None),
        (Splice(("<", "]"), ((0, False),)), None),
        (Splice(("<",), ()), None),
    ],
    ids=["goes on", "the same", "trimmed", "another text", "another start", "another end", "shorter"],
)
def test_what_a_conversation_adds_is_known_where_it_begins_with_the_other(whole, rest):
    assert whole.ending_after(Splice(("<", ">"), ((0, False),))) == rest

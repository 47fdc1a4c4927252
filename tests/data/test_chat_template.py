import pytest
from helpers.tiny_model import CHATML
from honed.data import ChatTemplate, Message, chat_template
from honed.data.chat_template import PLAIN_TEMPLATE
from honed.errors import InvalidInput
from transformers.utils.chat_template_utils import render_jinja_template

CHAT = (Message("system", "Be brief & kind."), Message("user", "Hi\nyou"), Message("assistant", "  Hello "))

TEMPLATES = {
    "chatml": CHATML,
    "plain": PLAIN_TEMPLATE,
    "blocks trimmed": "  {% for message in messages %}\n    {% if loop.first %}\n{{ bos_token }}\n    {% endif %}\n"
    "[{{ message.role }}] {{ message.content | trim }}\n  {% endfor %}\nend",
    "loop controls": "{% for message in messages %}{% if loop.index > 2 %}{% break %}{% endif %}{{ message.role }}"
    "{% endfor %}",
    "tools are none": "{% if tools is not none %}tools{% endif %}{{ messages[0]['content'] }}",
    "json is not escaped for html": "{{ messages[0] | tojson }}",
    "json as told": "{{ messages[0] | tojson(separators=(',', ':'), sort_keys=true) }}{{ {'ä': 1} | tojson(true, 2) }}",
    "generation": "{% for message in messages %}{{ message.role }}: {% generation %}\n{% set last = message.content %}"
    "{{ last }}{{ loop.index }}{% endgeneration %}{{ last }};{% endfor %}",
}


@pytest.mark.parametrize("source", TEMPLATES.values(), ids=TEMPLATES)
@pytest.mark.parametrize("add_generation_prompt", [True, False])
def test_a_template_renders_as_transformers_renders_it(source, add_generation_prompt):
    conversation = [{"role": message.role, "content": message.content} for message in CHAT]
    (expected,), _ = render_jinja_template(
        [conversation],
        chat_template=source,
        add_generation_prompt=add_generation_prompt,
        bos_token="<s>",
        eos_token="</s>",
    )
    assert ChatTemplate(source, "<s>", "</s>").render(CHAT, add_generation_prompt=add_generation_prompt) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{ raise_exception('no system message, please') }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{{ messages.clear() }}",
        "{{ messages[0].content + 1 }}",
        "{{ 1 / 0 }}",
        "{{ messages[0].content.index('z') }}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{{ range(10 ** 9) | list }}",
        "{{ cycler() }}",
        "{{ messages[0].nothing.more }}",
        "{% for letter in messages %}{{ letter.content % 0 }}{% endfor %}",
        "{{ 'x' * 99999999999999 }}",
    ],
)
def test_a_template_that_refuses_fails_or_would_escape_ends_in_a_typed_error(source):
    with pytest.raises(InvalidInput) as caught:
        ChatTemplate(source, "", "").render(CHAT, add_generation_prompt=True)
    assert caught.value.reason == "CHAT_REFUSED"


def test_a_refusal_that_hangs_on_a_text_is_one_of_that_text_alone():
    source = "{{ raise_exception('no stop') if 'stop' in messages[0].content else messages[0].content }}"
    template = ChatTemplate(source, "", "")
    assert template.render((Message("user", "go"),), add_generation_prompt=True) == "go"
    with pytest.raises(InvalidInput, match="no stop"):
        template.render((Message("user", "stop"),), add_generation_prompt=True)
    assert template.render((Message("user", "go on"),), add_generation_prompt=True) == "go on"


def test_the_templates_own_words_reach_the_user():
    template = ChatTemplate("{{ raise_exception('roles must alternate') }}", "", "")
    with pytest.raises(InvalidInput, match="roles must alternate"):
        template.render(CHAT, add_generation_prompt=True)


@pytest.mark.parametrize(
    "source",
    [
        *("{% for %}", "{{", "{% unknown %}", "{{ 'a' | no_such_filter }}"),
        "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
        "{% for a in messages %}" * 25 + "x" + "{% endfor %}" * 25,
        "{% if messages %}" * 150 + "x" + "{% endif %}" * 150,
        *("{% break %}", "{{ f(a=1, a=2) }}", "{% macro a(x, x) %}{% endmacro %}", "{% generation %}"),
    ],
    ids=["loop", "open", "tag", "filter", "deep", "fors", "ifs", "break", "argument", "parameter", "generation"],
)
def test_a_template_that_is_no_jinja_is_refused(source):
    with pytest.raises(InvalidInput) as caught:
        ChatTemplate(source, "", "")
    assert caught.value.reason == "CHAT_TEMPLATE_INVALID"


def test_a_template_that_marks_what_the_assistant_writes_is_spliced():
    assert ChatTemplate(TEMPLATES["generation"], "", "").splice(("user", "assistant"), add_generation_prompt=True)


def test_a_template_gets_no_clock_and_takes_its_own_way_without_one():
    asks = "{{ strftime_now('%d %b %Y') if strftime_now is defined else '26 Jul 2024' }}{{ messages[0].content }}"
    assert ChatTemplate(asks, "", "").render((Message("user", "a"),), add_generation_prompt=True) == "26 Jul 2024a"
    with pytest.raises(InvalidInput, match="today's date") as caught:
        ChatTemplate("{{ strftime_now('%Y') }}", "", "").render(CHAT, add_generation_prompt=True)
    assert caught.value.reason == "CHAT_REFUSED"


def test_an_error_without_words_is_told_by_its_name():
    with pytest.raises(InvalidInput, match="MemoryError"):
        ChatTemplate("{{ 'x' * 99999999999999 }}", "", "").render(CHAT, add_generation_prompt=True)


def test_many_turns_are_rendered_not_probed():
    template = ChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}", "", "")
    assert template.splice(("user",) * 33, add_generation_prompt=True) is None
    assert template.render([Message("user", "a")] * 33, add_generation_prompt=True) == "a" * 33


def test_orders_of_roles_are_kept_in_bounded_number(monkeypatch):
    monkeypatch.setattr(chat_template, "_MAX_SPLICES", 2)
    template = ChatTemplate("{% for m in messages %}{{ m.role[0] }}{{ m.content }}{% endfor %}", "", "")
    for turns in (1, 2, 3, 4, 1, 2):
        messages = [Message("user", str(turn)) for turn in range(turns)]
        assert template.render(messages, add_generation_prompt=True) == "".join(f"u{turn}" for turn in range(turns))
        assert len(template._splices) <= 2

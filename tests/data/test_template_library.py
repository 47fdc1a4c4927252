import subprocess
import sys

import pytest
from honed import template_library
from honed.data import Template, bind
from honed.template_library import BUILT_IN

EVERY = pytest.mark.parametrize("identifier", BUILT_IN)

# By id: columns, parameters, a row, and what it becomes: the instruction, the prompt and the reply.
ROWS = {
    "classify": (
        {},
        {},
        {"text": "Where is my card?", "label": "card_arrival"},
        ("Classify the message.", "Where is my card?", "card_arrival"),
    ),
    "extract": (
        {"fields": ["name", "stars"]},
        {},
        {"text": "Zizzi is a pub.", "name": "Zizzi", "stars": ""},
        (
            "Extract the fields from the text as a JSON object. A field that the text does not give is null.",
            "Zizzi is a pub.",
            '{"name": "Zizzi", "stars": null}',
        ),
    ),
    "summarize": (
        {},
        {},
        {"text": "A long story.", "summary": "A story."},
        ("Summarize the text.", "A long story.", "A story."),
    ),
    "data-to-text": (
        {"data": ["mr"], "text": ["ref"]},
        {},
        {"mr": "name[Blue Spice], area[city centre]", "ref": "Blue Spice is in the city centre."},
        (
            "Put the data into words. Say everything that the data says and nothing else.",
            "name[Blue Spice], area[city centre]",
            "Blue Spice is in the city centre.",
        ),
    ),
    "answer": (
        {},
        {},
        {"context": "Zizzi is a pub.", "question": "What is Zizzi?", "answer": "A pub."},
        (
            "Answer the question. Where a context is given, answer from the context alone.",
            "Context:\nZizzi is a pub.\n\nQuestion:\nWhat is Zizzi?",
            "A pub.",
        ),
    ),
    "translate": (
        {},
        {"language": "German"},
        {"text": "A pub.", "translation": "Eine Kneipe."},
        ("Translate the text into German.", "A pub.", "Eine Kneipe."),
    ),
    "rewrite": (
        {},
        {"style": "plain and polite"},
        {"text": "Gimme.", "rewritten": "Please give it to me."},
        ("Rewrite the text in this style: plain and polite.", "Gimme.", "Please give it to me."),
    ),
    "prompt-completion": ({}, {}, {"prompt": "Hi", "completion": "Hello"}, ("", "Hi", "Hello")),
    "alpaca": (
        {},
        {},
        {"instruction": "Add.", "input": "1, 2", "output": "3"},
        ("", "Add.\n\n1, 2", "3"),
    ),
}


@EVERY
def test_a_built_in_template_is_sound_and_survives_json(identifier):
    template = Template.from_json(BUILT_IN[identifier])
    template.check()
    assert template.name == f"templates/{identifier}"
    assert template.to_json() == BUILT_IN[identifier]


@EVERY
def test_the_digest_is_the_same_without_the_renderer(identifier):
    assert template_library.digest(BUILT_IN[identifier]) == Template.from_json(BUILT_IN[identifier]).digest()


@EVERY
def test_a_row_becomes_what_the_task_needs(identifier):
    columns, parameters, row, (instruction, prompt, reply) = ROWS[identifier]
    example = bind(Template.from_json(BUILT_IN[identifier]), columns, parameters, {}, "", tuple(row)).example(row)
    said = [(message.role, message.content) for message in example.messages]
    assert said == ([("system", instruction)] if instruction else []) + [("user", prompt)]
    assert example.reply == reply


def test_what_is_optional_leaves_no_trace():
    for identifier, column, prompt in (("answer", "context", "What is Zizzi?"), ("alpaca", "input", "Add.")):
        row = ROWS[identifier][2] | {column: ""}
        template = bind(Template.from_json(BUILT_IN[identifier]), {}, {}, {}, "", tuple(row))
        assert template.example(row).messages[-1].content == prompt


def test_the_library_needs_the_standard_library_alone():
    probe = "import sys; before = set(sys.modules); import honed.template_library; print(*(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True).stdout.split()
    own = {module for module in loaded if module.partition(".")[0] not in sys.stdlib_module_names}
    assert own <= {"honed", "honed.template_library"}

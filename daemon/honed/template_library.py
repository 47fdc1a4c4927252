"""The templates that come with honed, as JSON. Standard library only: the control plane lists them without rendering.

A task's instruction is in `system`, so that it is carried to serving as it is; `user` is the bare input, with short
headings only where there are several. Small models learn the rest from the rows.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def digest(template: Mapping[str, Any]) -> str:
    """SHA-256 of a template's canonical JSON, its name and version left out."""
    content = {key: value for key, value in template.items() if key not in ("name", "version")}
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _slot(name: str, description: str, *, optional: bool = False, many: bool = False) -> dict[str, Any]:
    return {"name": name, "description": description, "optional": optional, "many": many}


def _parameter(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "description": description, "default_value": ""}


def _template(
    identifier: str,
    description: str,
    task: str,
    *,
    system: str,
    user: str,
    reply: str,
    slots: list[dict[str, Any]],
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {
        "name": f"templates/{identifier}",
        "version": 1,
        "description": description,
        "task": task,
        "system": system,
        "user": user,
        "reply": reply,
        "slots": slots,
        "parameters": parameters or [],
        "verbalizer": {},
    }


_TEXT = _slot("text", "The text to work on.")

# By id. The last two are what the shapes of the same names are rendered with.
BUILT_IN: Mapping[str, dict[str, Any]] = {
    "classify": _template(
        "classify",
        "Answers a message with one of a closed set of labels.",
        "classify",
        system="Classify the message.",
        user="{{ text }}",
        reply="{{ label }}",
        slots=[_slot("text", "The message."), _slot("label", "Its label.")],
    ),
    "extract": _template(
        "extract",
        "Answers a text with the fields found in it, as a JSON object; a field that is not there is null.",
        "extract",
        system="Extract the fields from the text as a JSON object. A field that the text does not give is null.",
        user="{{ text }}",
        reply="{{ fields | json }}",
        slots=[_TEXT, _slot("fields", "The columns to extract; their names are the keys.", many=True)],
    ),
    "summarize": _template(
        "summarize",
        "Shortens a text.",
        "generate",
        system="Summarize the text.",
        user="{{ text }}",
        reply="{{ summary }}",
        slots=[_TEXT, _slot("summary", "Its summary.")],
    ),
    "data-to-text": _template(
        "data-to-text",
        "Puts data into words.",
        "generate",
        system="Put the data into words. Say everything that the data says and nothing else.",
        user="{{ data | lines }}",
        reply="{{ text }}",
        slots=[
            _slot("data", "The data: one column as it is, several as lines of column and value.", many=True),
            _slot("text", "The text that says it."),
        ],
    ),
    "answer": _template(
        "answer",
        "Answers a question, from a context where there is one.",
        "generate",
        system="Answer the question. Where a context is given, answer from the context alone.",
        user="{{# context }}Context:\n{{ context }}\n\nQuestion:\n{{/ context }}{{ question }}",
        reply="{{ answer }}",
        slots=[
            _slot("context", "What the answer is to be found in.", optional=True),
            _slot("question", "The question."),
            _slot("answer", "Its answer."),
        ],
    ),
    "translate": _template(
        "translate",
        "Translates a text.",
        "generate",
        system="Translate the text into {{ language }}.",
        user="{{ text }}",
        reply="{{ translation }}",
        slots=[_TEXT, _slot("translation", "The text in the other language.")],
        parameters=[_parameter("language", "The language to translate into, in words: German.")],
    ),
    "rewrite": _template(
        "rewrite",
        "Rewrites a text in a style.",
        "generate",
        system="Rewrite the text in this style: {{ style }}.",
        user="{{ text }}",
        reply="{{ rewritten }}",
        slots=[_TEXT, _slot("rewritten", "The text in that style.")],
        parameters=[_parameter("style", "The style, in words: plain and polite.")],
    ),
    "prompt-completion": _template(
        "prompt-completion",
        "A prompt and its completion, with nothing around them.",
        "generate",
        system="",
        user="{{ prompt }}",
        reply="{{ completion }}",
        slots=[_slot("prompt", "The user's message."), _slot("completion", "The reply.")],
    ),
    "alpaca": _template(
        "alpaca",
        "An instruction, an input that may be empty, and the output.",
        "generate",
        system="",
        user="{{ instruction }}{{# input }}\n\n{{ input }}{{/ input }}",
        reply="{{ output }}",
        slots=[
            _slot("instruction", "What to do."),
            _slot("input", "What to do it with.", optional=True),
            _slot("output", "The reply."),
        ],
    ),
}

"""A model's chat template, rendered as transformers renders it, in Jinja's sandbox.

The template comes with a model and is untrusted: the sandbox stops attribute escapes, and the processes that render
run under limits; honed never renders one in the control plane. Of what transformers knows, the clock alone is missing.
"""

import json
from collections.abc import Sequence
from typing import Any, NoReturn

import jinja2
from honed.data.messages import Message
from honed.data.splice import TEMPLATE_ERRORS, Splice, probe
from honed.errors import InvalidInput
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

# For base models that bring no template: roles as plain headings. The end of a turn is the end-of-text token.
PLAIN_TEMPLATE = (
    "{% for message in messages %}### {{ message['role'] }}\n{{ message['content'] }}"
    "{{ eos_token if message['role'] == 'assistant' else '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}### assistant\n{% endif %}"
)

_MAX_SPLICES = 1000
_MAX_SPLICED_TURNS = 32  # orders of more roles are many, and to find out about one takes longer than to render it


class ChatTemplate:
    """A compiled chat template with the special tokens it may name."""

    def __init__(self, source: str, bos_token: str, eos_token: str) -> None:
        environment: Any = ImmutableSandboxedEnvironment(  # what it holds is untyped in jinja2
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
        )
        environment.globals["raise_exception"] = _refuse
        # Undefined, so that a template that asks first takes its own way without a clock.
        environment.globals["strftime_now"] = jinja2.Undefined(
            "it writes today's date (strftime_now), so what is served would not be what was tuned; "
            "put a date into chat_template.jinja in its place"
        )
        environment.filters["tojson"] = _to_json  # Jinja's own escapes for HTML
        self.source = source
        self._variables: dict[str, Any] = {
            "bos_token": bos_token,
            "eos_token": eos_token,
            "tools": None,
            "documents": None,
        }
        self._splices: dict[tuple[tuple[str, ...], bool], Splice | None] = {}
        try:
            self._template = environment.from_string(source)
            self._prober = probe(environment, source, self._variables)
        except TEMPLATE_ERRORS as error:
            raise InvalidInput(
                f"The model's chat template is not valid Jinja: {_said(error)}", reason="CHAT_TEMPLATE_INVALID"
            ) from None

    def splice(self, roles: tuple[str, ...], *, add_generation_prompt: bool) -> Splice | None:
        """The text of all conversations of these few roles, if the template does not look at what the messages say."""
        if len(roles) > _MAX_SPLICED_TURNS:
            return None
        key = (roles, add_generation_prompt)
        if key not in self._splices:
            if len(self._splices) >= _MAX_SPLICES:
                self._splices.clear()
            self._splices[key] = self._prober.splice(roles, add_generation_prompt=add_generation_prompt)
        return self._splices[key]

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool) -> str:
        """The text of a conversation.

        Raises:
            InvalidInput: the template refuses the conversation (role order, unknown role, no system message, ...).
        """
        roles = tuple([message.role for message in messages])
        splice = self.splice(roles, add_generation_prompt=add_generation_prompt)
        if splice is not None:
            return splice.fill([message.content for message in messages])
        try:
            return self._template.render(
                messages=[{"role": message.role, "content": message.content} for message in messages],
                add_generation_prompt=add_generation_prompt,
                **self._variables,
            )
        except TEMPLATE_ERRORS as error:
            raise InvalidInput(
                f"The model's chat template refuses this conversation: {_said(error)}", reason="CHAT_REFUSED"
            ) from None


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


class _Generation(Extension):
    """`{% generation %}`, which tells transformers what the assistant wrote: a scope and nothing more."""

    tags = {"generation"}  # noqa: RUF012 - as in jinja2

    def parse(self, parser: Parser) -> nodes.Scope:
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True), lineno=line)

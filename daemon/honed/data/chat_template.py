"""A model's chat template, rendered as transformers renders it, in Jinja's sandbox.

The template comes with a model and is untrusted: the sandbox stops attribute escapes, and the processes that render
run under limits; honed never renders one in the control plane.
"""

import json
from collections.abc import Sequence
from typing import Any, NoReturn

import jinja2
from honed.data.messages import Message
from honed.data.splice import EXPRESSION_ERRORS, Splice, probe
from honed.errors import InvalidInput
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

# For base models that bring no template: roles as plain headings. The end of a turn is the end-of-text token.
PLAIN_TEMPLATE = (
    "{% for message in messages %}### {{ message['role'] }}\n{{ message['content'] }}"
    "{{ eos_token if message['role'] == 'assistant' else '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}### assistant\n{% endif %}"
)

_MAX_SPLICES = 1000


class ChatTemplate:
    """A compiled chat template with the special tokens it may name."""

    def __init__(self, source: str, bos_token: str, eos_token: str) -> None:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
        environment.globals["raise_exception"] = _refuse  # pyright: ignore[reportUnknownMemberType] - untyped in jinja2
        environment.filters["tojson"] = _to_json  # Jinja's own escapes for HTML # pyright: ignore[reportUnknownMemberType] - untyped
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
        except (jinja2.TemplateError, RecursionError) as error:
            raise InvalidInput(
                f"The model's chat template is not valid Jinja: {error}", reason="CHAT_TEMPLATE_INVALID"
            ) from None

    def splice(self, roles: tuple[str, ...], *, add_generation_prompt: bool) -> Splice | None:
        """The text of all conversations of these roles, if the template does not look at what the messages say."""
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
        except (jinja2.TemplateError, *EXPRESSION_ERRORS) as error:
            raise InvalidInput(
                f"The model's chat template refuses this conversation: {error}", reason="CHAT_REFUSED"
            ) from None


def _refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _to_json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)

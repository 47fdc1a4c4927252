"""Messages to token ids and the loss mask: the one renderer for tuning, evaluation and serving. No torch.

The prompt part of a training example and what Generate puts before the model come out of the same call, token by
token; the reply is tokenised apart, so that it can never melt into the prompt's last token.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from honed.data.chat_template import PLAIN_TEMPLATE, ChatTemplate
from honed.data.messages import Example, Message
from honed.errors import InvalidInput
from tokenizers import Tokenizer

# Part of an adapter's contract: change it when the rule changes.
MASK_RULE = "completion-only: the reply and its first end-of-turn token"


@dataclass(frozen=True)
class TokenizedExample:
    """Token ids of a prompt and its reply; the loss is computed on `reply` alone."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.prompt) + len(self.reply)


class Renderer:
    """The tokenizer, chat template and end-of-turn tokens of one model."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate, stop_ids: Sequence[int]) -> None:
        self.tokenizer = tokenizer
        self.template = template
        self.stop_ids = frozenset(stop_ids)
        self._end_of_turn = stop_ids[0]
        added: dict[int, Any] = tokenizer.get_added_tokens_decoder()
        self._special = tuple(token.content for token in added.values() if token.special)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The renderer of a Hugging Face folder: tokenizer.json, tokenizer_config.json, chat_template.jinja.

        Raises:
            InvalidInput: a file is missing or wrong, or no end-of-turn token is known.
        """
        tokenizer_file = folder / "tokenizer.json"
        if not tokenizer_file.is_file():
            raise InvalidInput(
                "tokenizer.json is missing; honed needs the fast tokenizer beside the weights.",
                reason="TOKENIZER_MISSING",
            )
        try:
            tokenizer = Tokenizer.from_file(str(tokenizer_file))
        except Exception as error:  # noqa: BLE001 - the Rust side raises bare Exception
            raise InvalidInput(f"tokenizer.json cannot be read: {error}", reason="TOKENIZER_INVALID") from None
        tokenizer.no_truncation()  # some are saved with a length to cut or fill to
        tokenizer.no_padding()
        settings = _json(folder / "tokenizer_config.json")
        template_file = folder / "chat_template.jinja"
        try:
            source = template_file.read_text("utf-8") if template_file.is_file() else settings.get("chat_template")
        except UnicodeDecodeError as error:
            raise InvalidInput(
                f"chat_template.jinja is not UTF-8: {error}", reason="CHAT_TEMPLATE_INVALID", file=template_file.name
            ) from None
        eos_token, bos_token = _token_text(settings.get("eos_token")), _token_text(settings.get("bos_token"))
        stop_ids: list[int] = []
        eos_id = tokenizer.token_to_id(eos_token)
        if eos_id is not None:
            stop_ids.append(eos_id)
        for file in ("generation_config.json", "config.json"):
            ids = _json(folder / file).get("eos_token_id")
            stop_ids += [
                token
                for token in (cast("list[Any]", ids) if isinstance(ids, list) else [ids])
                if isinstance(token, int)
            ]
        if not stop_ids:
            raise InvalidInput(
                "The model names no end-of-turn token (eos_token, eos_token_id); a reply could never end.",
                reason="END_OF_TURN_MISSING",
            )
        template = ChatTemplate(source if isinstance(source, str) else PLAIN_TEMPLATE, bos_token, eos_token)
        return cls(tokenizer, template, list(dict.fromkeys(stop_ids)))

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation, up to where the assistant's reply begins.

        Raises:
            InvalidInput: the template refuses it, or a message contains a special token's text.
        """
        self._refuse_special_tokens(messages)
        return self.encode(self.template.render(messages, add_generation_prompt=True))

    def example(self, example: Example) -> TokenizedExample:
        """Token ids of a prompt, and of its reply as the chat template writes it, up to the first end-of-turn token."""
        return TokenizedExample(tuple(self.prompt(example.messages)), tuple(self.reply(example)))

    def reply(self, example: Example) -> list[int]:
        """Token ids of an example's reply with its end-of-turn token."""
        answer = Message("assistant", example.reply)
        self._refuse_special_tokens((answer,))
        before = self.template.render(example.messages, add_generation_prompt=True)
        whole = self.template.render((*example.messages, answer), add_generation_prompt=False)
        if not whole.startswith(before):
            raise InvalidInput(
                "The model's chat template does not continue its own generation prompt, so what is trained would not "
                "be what is served.",
                reason="CHAT_TEMPLATE_INVALID",
            )
        ids = self.encode(whole[len(before) :])
        end = next((place for place, token in enumerate(ids) if token in self.stop_ids), None)
        return [*ids, self._end_of_turn] if end is None else ids[: end + 1]

    def encode(self, text: str) -> list[int]:
        """Token ids of text as it stands; special tokens in it are read as such."""
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int]) -> str:
        """Text of token ids, special tokens left out."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def token_text(self, token: int) -> str:
        """Text of a single token, special ones by their name; a token that is part of a character shows as U+FFFD."""
        return self.tokenizer.decode([token], skip_special_tokens=False)

    def digests(self) -> dict[str, str]:
        """SHA-256 of the tokenizer, the chat template and the mask rule: the renderer's part of the contract."""
        rule = f"{MASK_RULE}; end of turn {sorted(self.stop_ids)}, written {self._end_of_turn}"
        return {
            "tokenizer": _sha256(self.tokenizer.to_str()),
            "chat_template": _sha256(self.template.source),
            "mask_rule": _sha256(rule),
        }

    def _refuse_special_tokens(self, messages: Sequence[Message]) -> None:
        for message in messages:
            for token in self._special:
                if token in message.content:
                    raise InvalidInput(
                        f"A message contains {token!r}, which this model reads as a control token, not as text. "
                        "Remove it from the text; only a raw prompt may hold control tokens.",
                        reason="SPECIAL_TOKEN_IN_TEXT",
                        token=token,
                    )


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidInput(
            f"{path.name} is not valid JSON: {error}", reason="MODEL_FILE_INVALID", file=path.name
        ) from None
    if not isinstance(value, dict):
        raise InvalidInput(f"{path.name} must hold a JSON object.", reason="MODEL_FILE_INVALID", file=path.name)
    return value  # pyright: ignore[reportUnknownVariableType] - checked to be a dict just above


def _token_text(token: object) -> str:
    """A token's text: tokenizer_config.json gives a string or an object with `content`."""
    if isinstance(token, dict):
        token = token.get("content")  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] - untyped JSON
    return token if isinstance(token, str) else ""


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()

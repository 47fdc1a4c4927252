"""Messages to token ids and the loss mask: the one renderer for tuning, evaluation and serving. No torch.

The prompt part of a training example and what Generate puts before the model come out of the same call, token by
token; the reply is tokenised apart, so that it can never melt into the prompt's last token. A chat template that knows
no system message gets it in front of the first user message.
"""

import hashlib
import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from os.path import commonprefix
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

from honed.data.chat_template import PLAIN_TEMPLATE, ChatTemplate
from honed.data.messages import Example, Message
from honed.data.splice import Splice
from honed.errors import InvalidInput
from tokenizers import Tokenizer

# Part of an adapter's contract: change it when the rule changes.
MASK_RULE = (
    "completion: turns of the assistant by their weight, each with its first end-of-turn token; all tokens: every "
    "token that has one before it; bare text whole, between two end-of-turn tokens"
)
_KEPT_REPLIES = 10_000
_FEWEST_TO_SHARE = 8  # texts, below which looking for what they share does not pay
_KEPT_SPLICES = 1000
_SYSTEM_PROBE = "a text that no chat template writes by itself"


class Span(NamedTuple):
    """Tokens from `start` up to and without `end`, and the weight of each in the loss."""

    start: int
    end: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class TokenizedExample:
    """Token ids of a prompt and its reply; the loss is computed on the reply and on earlier trained turns.

    With weights w and the tokens' negative log-likelihoods nll the loss is Σ w · nll / Σ w.

    Attributes:
        earlier: trained parts of the prompt; of the assistant's turns, not looked for in a prompt that is longer than
            the model's context.
        weight: of every token of the reply.
        label: number of the row's label, where a classification head learns it from the prompt; there is no reply then.
    """

    prompt: tuple[int, ...]
    reply: tuple[int, ...]
    earlier: tuple[Span, ...] = ()
    weight: float = 1.0
    label: int | None = None

    def __len__(self) -> int:
        return len(self.prompt) + len(self.reply)

    @property
    def ids(self) -> tuple[int, ...]:
        """Prompt and reply."""
        return self.prompt + self.reply

    @property
    def trained(self) -> int:
        """Tokens under the loss."""
        return len(self.reply) + sum(span.end - span.start for span in self.earlier)

    def weights(self) -> list[float]:
        """The weight of each of `ids` in the loss, which is that of predicting it from those before; 0 where there is
        none."""
        weights = [0.0] * len(self.prompt) + [self.weight] * len(self.reply)
        for start, end, weight in self.earlier:
            weights[start:end] = [weight] * (end - start)
        return weights


def all_tokens(row: TokenizedExample) -> TokenizedExample:
    """The row with every token that has one before it under the loss, all of them with weight 1."""
    prompt = (Span(1, len(row.prompt)),) if len(row.prompt) > 1 else ()
    return replace(row, earlier=prompt, weight=1.0)


class Renderer:
    """The tokenizer, chat template and end-of-turn tokens of one model."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        stop_ids: Sequence[int],
        context_length: int | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.template = template
        self.stop_ids = frozenset(stop_ids)
        self._end_of_turn = stop_ids[0]
        self._context_length = context_length
        added: dict[int, Any] = tokenizer.get_added_tokens_decoder()
        self._special = tuple(token.content for token in added.values() if token.special)
        # Those that are found whatever stands beside them, and take nothing of it.
        self._cuts = tuple(
            token.content
            for token in added.values()
            if token.special and not (token.lstrip or token.rstrip or token.single_word or token.normalized)
        )
        self._special_starts = frozenset(token[0] for token in self._special)
        self._folds_system = not self._knows_system()
        self._kept_reply_splice = lru_cache(_KEPT_SPLICES)(self._reply_splice)
        self._replies: dict[tuple[tuple[str, ...], str], tuple[int, ...]] = {}

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The renderer of a Hugging Face folder: tokenizer.json, tokenizer_config.json, chat_template.jinja.

        Raises:
            InvalidInput: a file is missing or wrong, or no end-of-turn token is known.
        """
        tokenizer = load_tokenizer(folder)
        settings = load_json(folder / "tokenizer_config.json")
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
        config = load_json(folder / "config.json")
        for ids in (load_json(folder / "generation_config.json").get("eos_token_id"), config.get("eos_token_id")):
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
        context = config.get("max_position_embeddings")
        return cls(tokenizer, template, list(dict.fromkeys(stop_ids)), context if isinstance(context, int) else None)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation, up to where the assistant's reply begins.

        Raises:
            InvalidInput: the template refuses it, or a message contains a special token's text.
        """
        return self.encode(self._prompt_text(self._checked(messages)))

    def example(self, example: Example) -> TokenizedExample:
        """Token ids of a prompt, and of its reply as the chat template writes it, up to the first end-of-turn token.

        Raises:
            InvalidInput: as `prompt`; or the template rewrites earlier turns, so that they cannot be trained.
        """
        return self.examples((example,))[0]

    def examples(self, examples: Sequence[Example]) -> list[TokenizedExample]:
        """As `example` for each, their prompts tokenised together on all cores."""
        example = None
        try:
            turns: list[tuple[Message, ...]] = []
            texts: list[str] = []
            for example in examples:
                turns.append(self._checked(example.messages))
                texts.append(self._prompt_text(turns[-1]) if turns[-1] else "")
            tokenized: list[TokenizedExample] = []
            for example, messages, text, prompt in zip(examples, turns, texts, self._encoded(texts), strict=True):
                tokenized.append(self._tokenized(example, messages, text, prompt))
        except InvalidInput as error:
            if example is None or not example.row:
                raise
            message = f"Row {example.row}: {error}"
            details: dict[str, Any] = error.metadata | {"row": example.row}
            raise InvalidInput(message, reason=error.reason, **details) from None
        return tokenized

    def _tokenized(
        self, example: Example, messages: tuple[Message, ...], text: str, prompt: tuple[int, ...]
    ) -> TokenizedExample:
        if messages:
            fits = self._context_length is None or len(prompt) <= self._context_length
            earlier = self._earlier(messages, text) if fits else ()
            return TokenizedExample(prompt, self._reply(messages, example.reply), earlier, example.weight)
        self._refuse_special_tokens(example.reply)
        return TokenizedExample((self._end_of_turn,), (*self.encode(example.reply), self._end_of_turn))

    def _encoded(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Token ids of each text. What all of them share at either end, up to a special token, is encoded once."""
        head, tail = self._shared(texts) if len(texts) >= _FEWEST_TO_SHARE else ("", "")
        inner = [text[len(head) : len(text) - len(tail)] for text in texts]
        encodings = self.tokenizer.encode_batch_fast(inner, add_special_tokens=False)
        before, after = self.encode(head), self.encode(tail)
        return [(*before, *encoding.ids, *after) for encoding in encodings]

    def _shared(self, texts: Sequence[str]) -> tuple[str, str]:
        """What all texts begin and end with, up to where a special token ends and from where one begins.

        A tokenizer takes special tokens out before it looks at the text between them, so that both sides of one are
        encoded alike together and apart. One that does otherwise (it may treat the beginning of a text in its own way)
        is found out by the first of the texts, and nothing is shared.
        """
        common = commonprefix(texts)  # noqa: RUF071 - by characters
        head = common[: max((common.rfind(token) + len(token) for token in self._cuts if token in common), default=0)]
        rests = [text[len(head) :] for text in texts]
        common = commonprefix([rest[::-1] for rest in rests])[::-1]  # noqa: RUF071
        tail = common[min((common.find(token) for token in self._cuts if token in common), default=len(common)) :]
        apart = [token for part in (head, rests[0].removesuffix(tail), tail) for token in self.encode(part)]
        return (head, tail) if apart == self.encode(texts[0]) else ("", "")

    def reply(self, example: Example, reply: str | None = None) -> list[int]:
        """Token ids of an example's reply, or of another one in its place, with the end-of-turn token."""
        return list(self._reply(self._checked(example.messages), example.reply if reply is None else reply))

    def _reply(self, messages: tuple[Message, ...], reply: str) -> tuple[int, ...]:
        splice = self._kept_reply_splice(tuple([message.role for message in messages]))
        if splice is None:
            return self._reply_ids(self._reply_text(self._prompt_text(messages), messages, reply), reply)
        if (found := self._replies.get((splice.constants, reply))) is None:  # labels come again and again
            if len(self._replies) >= _KEPT_REPLIES:
                self._replies.clear()
            found = self._reply_ids(splice.fill([reply]), reply)
            self._replies[splice.constants, reply] = found
        return found

    def _reply_splice(self, roles: tuple[str, ...]) -> Splice | None:
        """What the chat template writes for a reply behind these roles, if it depends on nothing but the reply."""
        before = self.template.splice(roles, add_generation_prompt=True)
        whole = self.template.splice((*roles, "assistant"), add_generation_prompt=False)
        rest = whole.ending_after(before) if before and whole else None
        if rest is None or any(index != len(roles) for index, _ in rest.places):
            return None
        return Splice(rest.constants, tuple((0, trimmed) for _, trimmed in rest.places))

    def _reply_ids(self, text: str, reply: str) -> tuple[int, ...]:
        self._refuse_special_tokens(reply)
        ids = self.encode(text)
        end = next((place for place, token in enumerate(ids) if token in self.stop_ids), None)
        return (*ids, self._end_of_turn) if end is None else tuple(ids[: end + 1])

    def _reply_text(self, before: str, messages: tuple[Message, ...], reply: str) -> str:
        """What the chat template writes for a reply behind `before`, the text of the prompt."""
        whole = self.template.render((*messages, Message("assistant", reply)), add_generation_prompt=False)
        if not whole.startswith(before):
            raise InvalidInput(
                "The model's chat template does not continue its own generation prompt, so what is trained would not "
                "be what is served.",
                reason="CHAT_TEMPLATE_INVALID",
            )
        return whole[len(before) :]

    def _earlier(self, messages: tuple[Message, ...], text: str) -> tuple[Span, ...]:
        """Where the trained turns of the assistant stand among the tokens of a prompt.

        Each is rendered as it is served, behind the turns before it: work that grows with the square of the turns,
        of which `conversations` lets 1,000 through.
        """
        places = [at for at, turn in enumerate(messages) if turn.role == "assistant" and turn.weight]
        if not places:
            return ()
        spans: list[Span] = []
        starts = [start for start, _ in self.tokenizer.encode(text, add_special_tokens=False).offsets]
        for place in places:
            before = self._prompt_text(messages[:place])
            reply = self._reply_text(before, messages[:place], messages[place].content)
            end = len(before) + self._end_of_reply(reply)
            span = Span(bisect_left(starts, len(before)), bisect_left(starts, end), messages[place].weight)
            if not text.startswith((before + reply)[:end]) or span.start == span.end:
                raise InvalidInput(
                    "The model's chat template writes an earlier turn differently once the conversation goes on, so "
                    "that turn cannot be trained as it is served. Give the earlier turns weight 0.",
                    reason="CHAT_TEMPLATE_REWRITES_TURNS",
                )
            spans.append(span)
        return tuple(spans)

    def _end_of_reply(self, text: str) -> int:
        """Where the first end-of-turn token ends in what the chat template writes for a reply."""
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        ends = (end for token, (_, end) in zip(encoding.ids, encoding.offsets, strict=True) if token in self.stop_ids)
        return next(ends, len(text))

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

    def _prompt_text(self, messages: Sequence[Message]) -> str:
        return self.template.render(messages, add_generation_prompt=True)

    def _checked(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The messages as the template takes them; none holds the text of a special token."""
        for message in messages:
            self._refuse_special_tokens(message.content)
        if not self._folds_system or not messages or messages[0].role != "system":
            return tuple(messages)
        if len(messages) == 1:
            return (Message("user", messages[0].content),)
        joined = Message(messages[1].role, f"{messages[0].content}\n\n{messages[1].content}")
        return (joined, *messages[2:])

    def _knows_system(self) -> bool:
        """Whether the chat template writes a system message; some refuse it, some leave it out."""
        try:
            return _SYSTEM_PROBE in self._prompt_text((Message("system", _SYSTEM_PROBE), Message("user", "?")))
        except InvalidInput:
            return False

    def _refuse_special_tokens(self, text: str) -> None:
        for start in self._special_starts:
            if start in text:
                break
        else:
            return
        for token in self._special:
            if token in text:
                raise InvalidInput(
                    f"A message contains {token!r}, which this model reads as a control token, not as text. "
                    "Remove it from the text; only a raw prompt may hold control tokens.",
                    reason="SPECIAL_TOKEN_IN_TEXT",
                    token=token,
                )


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a Hugging Face folder, which neither truncates nor pads.

    Raises:
        InvalidInput: tokenizer.json is missing or broken.
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
    return tokenizer


def load_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds; an empty one where there is no file; InvalidInput says what is wrong."""
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

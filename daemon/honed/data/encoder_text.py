"""How an encoder reads a row: the user's message alone, between what its tokenizer writes around a text.

An encoder follows no instruction, so the system message, which is the same for every row, is left out; it has no chat
template and writes no reply.
"""

from pathlib import Path
from typing import Self

from honed.architectures import ENCODERS
from honed.data.chat_template import ChatTemplate
from honed.data.messages import Message
from honed.data.tokens import Renderer, load_json, load_tokenizer
from honed.errors import InvalidInput
from tokenizers import Tokenizer

_PROBE = "The first text, and more."


class EncoderRenderer(Renderer):
    """A renderer whose prompts are "[CLS] text [SEP]", as the tokenizer's post-processor writes them, and whose replies
    have no tokens."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The renderer of a Hugging Face folder: tokenizer.json and config.json.

        Raises:
            InvalidInput: a file is missing or wrong, or the tokenizer does not end a text with a token of its own.
        """
        tokenizer = load_tokenizer(folder)
        before, after = _around(tokenizer)
        source = f"{''.join(before)}{{{{ messages[-1]['content'] }}}}{''.join(after)}"
        context = load_json(folder / "config.json").get("max_position_embeddings")
        renderer = cls(
            tokenizer,
            ChatTemplate(source, bos_token="".join(before[:1]), eos_token=after[-1]),
            tokenizer.encode(_PROBE).ids[-1:],
            context if isinstance(context, int) else None,
        )
        if renderer.prompt([Message("user", _PROBE)]) != tokenizer.encode(_PROBE).ids:
            raise _invalid("writes a text otherwise between its special tokens than by itself")
        return renderer

    def _knows_system(self) -> bool:
        return True  # and leaves it out, instead of putting it in front of the user's message

    def _reply(self, messages: tuple[Message, ...], reply: str) -> tuple[int, ...]:
        return ()


def load_renderer(folder: Path) -> Renderer:
    """The renderer of an imported model, or of an export; see `Renderer.load`."""
    encoder = load_json(folder / "config.json").get("model_type") in ENCODERS
    return (EncoderRenderer if encoder else Renderer).load(folder)


def _around(tokenizer: Tokenizer) -> tuple[list[str], list[str]]:
    """The special tokens that the tokenizer writes before and behind a text."""
    try:
        encoding = tokenizer.encode(_PROBE)
    except Exception as error:  # noqa: BLE001 - the Rust side raises bare Exception
        raise _invalid(f"cannot write a text: {error}") from None
    inner = [place for place, special in enumerate(encoding.special_tokens_mask) if not special]
    if not inner or inner[-1] + 1 == len(encoding.tokens):
        raise _invalid("writes nothing behind a text; expected a post-processor that ends it ([SEP])")
    return encoding.tokens[: inner[0]], encoding.tokens[inner[-1] + 1 :]


def _invalid(what: str) -> InvalidInput:
    return InvalidInput(
        f"tokenizer.json {what}. Save the tokenizer again with transformers, as a fast one.", reason="TOKENIZER_INVALID"
    )

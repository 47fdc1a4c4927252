"""Bytes to messages to token ids and the loss mask; the one renderer for tuning and serving. Knows no torch."""

from honed.data.chat_template import ChatTemplate
from honed.data.instruction import as_trained, load_instruction, save_instruction
from honed.data.messages import Example, Message
from honed.data.prepared import Prepared, prepare
from honed.data.templates import CLASSIFY_INSTRUCTION, Template, choose_shots
from honed.data.tokens import Renderer, TokenizedExample

__all__ = [
    "CLASSIFY_INSTRUCTION",
    "ChatTemplate",
    "Example",
    "Message",
    "Prepared",
    "Renderer",
    "Template",
    "TokenizedExample",
    "as_trained",
    "choose_shots",
    "load_instruction",
    "prepare",
    "save_instruction",
]

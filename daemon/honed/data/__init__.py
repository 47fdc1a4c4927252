"""Bytes to messages to token ids and the loss mask; the one renderer for tuning and serving. Knows no torch."""

from honed.data.binding import bind
from honed.data.bound_template import BoundTemplate
from honed.data.chat_template import ChatTemplate
from honed.data.encoder_text import load_renderer
from honed.data.messages import Example, Message
from honed.data.prepared import Prepared
from honed.data.serving_template import ServingTemplate
from honed.data.shots import SimilarShots, choose_shots, untuned_prompt
from honed.data.templates import Parameter, Slot, Template
from honed.data.tokens import Renderer, Span, TokenizedExample, all_tokens

__all__ = [
    "BoundTemplate",
    "ChatTemplate",
    "Example",
    "Message",
    "Parameter",
    "Prepared",
    "Renderer",
    "ServingTemplate",
    "SimilarShots",
    "Slot",
    "Span",
    "Template",
    "TokenizedExample",
    "all_tokens",
    "bind",
    "choose_shots",
    "load_renderer",
    "untuned_prompt",
]

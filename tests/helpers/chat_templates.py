"""Chat templates of model families, written here after their public formats, on a tokenizer with their special tokens.

They differ in what matters to a renderer: where the begin-of-text token stands, whether texts are trimmed, whether a
string is composed before it is written, what the assistant is called, and whether a system message is known or refused.
"""

from dataclasses import dataclass
from functools import cache

from helpers.tiny_model import CHATML, END_OF_TEXT, END_OF_TURN, START_OF_TURN, make_tokenizer
from honed.data import ChatTemplate, Renderer
from tokenizers import AddedToken

_ALTERNATE = (
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
)


@dataclass(frozen=True)
class Family:
    """A chat template and the tokens it names; `end_of_turn` is what ends the assistant's reply.

    Attributes:
        sample: the text of system "S", user " U ", assistant "A", user "V", up to where the next reply begins, as the
            public format has it; the system message is folded into the user's where the format has no place for it.
    """

    source: str
    special_tokens: tuple[str, ...]
    bos_token: str
    end_of_turn: str
    knows_system: bool
    sample: str


FAMILIES = {
    "chatml": Family(
        CHATML,
        (START_OF_TURN, END_OF_TURN, END_OF_TEXT),
        "",
        END_OF_TURN,
        knows_system=True,
        sample="<|im_start|>system\nS<|im_end|>\n<|im_start|>user\n U <|im_end|>\n<|im_start|>assistant\nA<|im_end|>\n"
        "<|im_start|>user\nV<|im_end|>\n<|im_start|>assistant\n",
    ),
    "llama-3": Family(
        "{% for message in messages %}"
        "{% set turn = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + (message['content'] | trim) "
        "+ '<|eot_id|>' %}"
        "{% if loop.first %}{% set turn = bos_token + turn %}{% endif %}{{ turn }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
        ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
        "<|begin_of_text|>",
        "<|eot_id|>",
        knows_system=True,
        sample="<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nU<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nV<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "gemma": Family(
        "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{% for message in messages %}" + _ALTERNATE + "{% if message['role'] == 'assistant' %}"
        "{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
        "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
        ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"),
        "<bos>",
        "<end_of_turn>",
        knows_system=False,
        sample="<bos><start_of_turn>user\nS\n\n U<end_of_turn>\n<start_of_turn>model\nA<end_of_turn>\n"
        "<start_of_turn>user\nV<end_of_turn>\n<start_of_turn>model\n",
    ),
    "mistral": Family(
        "{{ bos_token }}{% for message in messages %}" + _ALTERNATE + "{% if message['role'] == 'user' %}"
        "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
        "{{ message['content'] + eos_token }}{% else %}"
        "{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
        ("<s>", "</s>"),
        "<s>",
        "</s>",
        knows_system=False,
        sample="<s>[INST] S\n\n U  [/INST]A</s>[INST] V [/INST]",
    ),
    "phi": Family(
        "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}"
        "{{ '<|system|>\n' + message['content'] + '<|end|>\n' }}{% elif message['role'] == 'user' %}"
        "{{ '<|user|>\n' + message['content'] + '<|end|>\n' }}{% elif message['role'] == 'assistant' %}"
        "{{ '<|assistant|>\n' + message['content'] + '<|end|>\n' }}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
        ("<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        "<s>",
        "<|end|>",
        knows_system=True,
        sample="<|system|>\nS<|end|>\n<|user|>\n U <|end|>\n<|assistant|>\nA<|end|>\n"
        "<|user|>\nV<|end|>\n<|assistant|>\n",
    ),
}


@cache
def family_renderer(name: str) -> Renderer:
    """The renderer of a model of the family."""
    family = FAMILIES[name]
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in family.special_tokens])
    end_of_turn = tokenizer.token_to_id(family.end_of_turn)
    return Renderer(tokenizer, ChatTemplate(family.source, family.bos_token, family.end_of_turn), [end_of_turn])

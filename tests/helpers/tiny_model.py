"""A language model small enough for unit tests and honest in all its parts: random weights in safetensors, a trained
byte-level BPE tokenizer, a ChatML template, the configs. Loading it takes the same code as loading a real one."""

import json
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

END_OF_TEXT, START_OF_TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, START_OF_TURN, END_OF_TURN)
END_OF_TEXT_ID, START_OF_TURN_ID, END_OF_TURN_ID = range(3)
VOCABULARY_SIZE = 304

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' "
    "+ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)

_CORPUS = (
    "system user assistant Classify the message. Answer with exactly one of these labels and nothing else: "
    "refund card lost delivery positive negative. Where is my card? The delivery never came. I want a refund. "
    "What is the capital of France? The capital of France is Paris. Thank you for the invitation. "
)


def make_tokenizer() -> Tokenizer:
    """A byte-level BPE tokenizer of VOCABULARY_SIZE tokens, the three special ones first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([_CORPUS] * 4, trainer)
    assert tokenizer.get_vocab_size() == VOCABULARY_SIZE
    return tokenizer


def make_tiny_model(
    folder: Path,
    architecture: str = "llama",
    *,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    tie_word_embeddings: bool = False,
    max_position_embeddings: int = 512,
    sliding_window: int | None = None,
) -> Path:
    """Writes a Hugging Face folder and returns it: 2 layers, width 64, 4 heads and 2 key/value heads of 16.

    Works for llama, mistral, qwen2 and qwen3. The weights are drawn wide (standard deviation 0.2), so that the most
    likely token stands clear of the next one and greedy replies do not hang on rounding.
    """
    folder.mkdir(parents=True, exist_ok=True)
    make_tokenizer().save(str(folder / "tokenizer.json"))
    config = AutoConfig.for_model(
        architecture,
        vocab_size=VOCABULARY_SIZE,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=max_position_embeddings,
        initializer_range=0.2,
        tie_word_embeddings=tie_word_embeddings,
        bos_token_id=START_OF_TURN_ID,
        eos_token_id=END_OF_TURN_ID,
        pad_token_id=END_OF_TEXT_ID,
    )
    if architecture == "mistral":
        config.sliding_window = sliding_window  # None, as in Mistral since 0.2: every layer sees the whole context
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        for parameter in model.parameters():
            if parameter.ndim == 1:  # norms start at one and biases at zero, where a mistake would not show
                parameter.data += 0.1 * torch.randn_like(parameter)
    model.to(dtype).save_pretrained(str(folder))
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": START_OF_TURN,
            "eos_token": END_OF_TURN,
            "pad_token": END_OF_TEXT,
            "model_max_length": max_position_embeddings,
            "clean_up_tokenization_spaces": False,
        },
    )
    _write(
        folder / "generation_config.json",
        {
            "bos_token_id": START_OF_TURN_ID,
            "eos_token_id": [END_OF_TURN_ID, END_OF_TEXT_ID],
            "pad_token_id": END_OF_TEXT_ID,
        },
    )
    (folder / "chat_template.jinja").write_text(CHATML, "utf-8")
    return folder


def make_tiny_encoder(folder: Path, *, seed: int = 0, max_position_embeddings: int = 512) -> Path:
    """Writes a Hugging Face folder of the BERT family and returns it: 2 layers, width 64, 4 heads.

    Its WordPiece tokenizer was saved, as some are, with a length to which it cuts and fills.
    """
    folder.mkdir(parents=True, exist_ok=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator([_CORPUS] * 4, trainers.WordPieceTrainer(special_tokens=special, show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, special.index(name)) for name in ("[CLS]", "[SEP]")]
    )
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8, pad_token="[PAD]")
    tokenizer.save(str(folder / "tokenizer.json"))
    config = AutoConfig.for_model(
        "bert",
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=max_position_embeddings,
        initializer_range=0.2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        AutoModel.from_config(config, dtype=torch.float32).save_pretrained(str(folder))
    _write(folder / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "cls_token": "[CLS]"})
    return folder


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1), "utf-8")

"""A classification head: one linear layer over a row's pooled hidden state, in the place of written labels.

    z = W h + b        h [D] pooled state, W [L, D] and b [L] float32, both starting at zero

A decoder's h is the state of the row's last token, the only one that has seen all of it (as in Radford et al. 2018); an
encoder's is the mean over the row's tokens (Reimers & Gurevych 2019, arXiv 1908.10084). The loss is the cross-entropy
of softmax(z). B batch, T time, D width, L labels.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from honed.data import TokenizedExample
from honed.errors import InvalidInput
from honed.evaluate import Progress
from honed.tune.base import is_encoder
from honed.tune.batches import Batch
from honed.tune.loop import embed
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

HEAD_FILE, LABELS_FILE = "head.safetensors", "labels.json"
_NAME = "classification_head"
_BATCH_ROWS = 16


class Head(nn.Linear):
    """The layer, with the labels of its outputs; it stands in the base model, so that it trains with the adapters."""

    def __init__(self, width: int, labels: Sequence[str]) -> None:
        super().__init__(width, len(labels))
        self.labels = tuple(labels)
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)


def attach(model: PeftModel, labels: Sequence[str]) -> Head:
    """Adds a fresh head, which trains."""
    base: Any = model.get_base_model()
    head = Head(base.config.hidden_size, labels).to(base.device)
    base.add_module(_NAME, head)
    return head


def of(model: PeftModel) -> Head | None:
    """The model's head, if it has one."""
    return getattr(model.get_base_model(), _NAME, None)


def save(model: PeftModel, folder: Path) -> None:
    """Writes head.safetensors and labels.json beside an adapter, if the model has a head."""
    if head := of(model):
        save_file({name: value.cpu().contiguous() for name, value in head.state_dict().items()}, folder / HEAD_FILE)
        (folder / LABELS_FILE).write_text(json.dumps(head.labels, ensure_ascii=False), "utf-8")


def load(model: PeftModel, folder: Path) -> None:
    """Attaches an adapter's head, frozen, if it has one."""
    if (folder / HEAD_FILE).exists():
        head = attach(model, json.loads((folder / LABELS_FILE).read_text("utf-8")))
        head.load_state_dict(load_file(folder / HEAD_FILE))
        head.requires_grad_(False)


def logits(model: PeftModel, batch: Batch, noise_alpha: float = 0.0) -> Tensor:
    """z [B, L] of a batch's rows, in float32."""
    base: Any = model.get_base_model()
    head = of(model)
    assert head is not None, "a model with a head"
    embedded = embed(base, batch, noise_alpha)  # [B, T, D]
    lengths = batch.lengths.to(embedded.device)  # [B]
    if is_encoder(base.config):
        real = torch.arange(embedded.shape[1], device=embedded.device) < lengths[:, None]  # [B, T]
        hidden = base(inputs_embeds=embedded, attention_mask=real.long()).last_hidden_state.float()
        pooled = (hidden * real[:, :, None]).sum(dim=1) / lengths[:, None]
    else:
        hidden = base.get_decoder()(inputs_embeds=embedded, use_cache=False).last_hidden_state
        pooled = hidden[torch.arange(len(lengths), device=hidden.device), lengths - 1].float()
    return head(pooled)


def mean_loss(model: PeftModel, batch: Batch, label_smoothing: float = 0.0, noise_alpha: float = 0.0) -> Tensor:
    """Cross-entropy over the labelled rows of a batch, their mean; the arguments are those of `loop.mean_loss`, the
    probability that is smoothed away is spread over the labels."""
    assert batch.labels is not None, "labelled rows"
    scores = logits(model, batch, noise_alpha)
    return functional.cross_entropy(scores, batch.labels.to(scores.device), label_smoothing=label_smoothing)


class HeadPredictor:
    """A model with a head as a `honed.evaluate.Classifier`."""

    def __init__(self, model: PeftModel) -> None:
        head = of(model)
        assert head is not None, "a model with a head"
        self._model = model
        self._places = {label: place for place, label in enumerate(head.labels)}
        base: Any = model.get_base_model()
        self.context_length: int = base.config.max_position_embeddings

    @torch.inference_mode()
    def classify(
        self, prompts: Sequence[Sequence[int]], labels: Sequence[str], progress: Progress
    ) -> list[list[float]]:
        """Log-probability of each label after each prompt.

        Raises:
            InvalidInput: a label is none of the head's.
        """
        if unknown := sorted(set(labels) - self._places.keys()):
            raise InvalidInput(
                f"The head knows {len(self._places)} labels, and not {', '.join(unknown)[:300]}; evaluate it on rows "
                "of its own labels.",
                reason="LABEL_UNKNOWN",
            )
        wanted = [self._places[label] for label in labels]
        found: list[list[float]] = [[] for _ in prompts]
        order = sorted(range(len(prompts)), key=lambda row: len(prompts[row]))
        for start in range(0, len(order), _BATCH_ROWS):
            rows = order[start : start + _BATCH_ROWS]
            batch = Batch.of([TokenizedExample(tuple(prompts[row]), ()) for row in rows])
            scores = logits(self._model, batch).log_softmax(dim=-1)[:, wanted]
            for row, values in zip(rows, scores.tolist(), strict=True):
                found[row] = values
            progress(start + len(rows), len(order))
        return found

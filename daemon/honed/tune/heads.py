"""A classification head: one linear layer over a row's pooled hidden state, in the place of written labels.

    z = W h + b        h [D] pooled state, W [L, D] and b [L] float32, both starting at zero

A decoder's h is the state of the row's last token, the only one that has seen all of it (as in Radford et al. 2018); an
encoder's is the mean over the row's tokens (Reimers & Gurevych 2019, arXiv 1908.10084). The loss is the cross-entropy
of softmax(z). B rows, N tokens in the stream (see batches.py), D width, L labels.
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
from honed.tune.batches import MicroBatch
from honed.tune.hidden import hidden_states
from honed.tune.methods import TunedModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

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


def attach(model: TunedModel, labels: Sequence[str]) -> Head:
    """Adds a fresh head, which trains."""
    base: Any = model.get_base_model()
    head = Head(base.config.hidden_size, labels).to(base.device)
    base.add_module(_NAME, head)
    return head


def of(model: TunedModel) -> Head | None:
    """The model's head, if it has one."""
    return getattr(model.get_base_model(), _NAME, None)


def save(model: TunedModel, folder: Path) -> None:
    """Writes head.safetensors and labels.json beside an adapter, if the model has a head."""
    if head := of(model):
        save_file({name: value.cpu().contiguous() for name, value in head.state_dict().items()}, folder / HEAD_FILE)
        (folder / LABELS_FILE).write_text(json.dumps(head.labels, ensure_ascii=False), "utf-8")


def load(model: TunedModel, folder: Path) -> None:
    """Attaches an adapter's head, frozen, if it has one."""
    if (folder / HEAD_FILE).exists():
        head = attach(model, json.loads((folder / LABELS_FILE).read_text("utf-8")))
        head.load_state_dict(load_file(folder / HEAD_FILE))
        head.requires_grad_(False)


def scores(model: TunedModel, batch: MicroBatch, hidden: Tensor) -> Tensor:
    """z [B, L] of a micro-batch's rows in float32, from its hidden states [N, D]."""
    head = of(model)
    assert head is not None, "a model with a head"
    base: Any = model.get_base_model()
    if is_encoder(base.config):
        lengths = batch.row_tokens
        real = batch.layout.real(lengths)  # [B, S]
        pooled = (hidden[batch.layout.places].float() * real[:, :, None]).sum(dim=1) / lengths[:, None]
    else:
        pooled = hidden[batch.ends].float()
    return head(pooled)


class HeadPredictor:
    """A model with a head as a `honed.evaluate.Classifier`."""

    def __init__(self, model: TunedModel) -> None:
        head = of(model)
        assert head is not None, "a model with a head"
        self._model = model
        self._places = {label: place for place, label in enumerate(head.labels)}
        self._base: Any = model.get_base_model()
        self.dtype: torch.dtype = self._base.dtype
        self.context_length: int = self._base.config.max_position_embeddings

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
            batch = MicroBatch.of(
                [TokenizedExample(tuple(prompts[row]), ()) for row in rows], share=not is_encoder(self._base.config)
            ).to(self._base.device)
            likelihoods = scores(self._model, batch, hidden_states(self._model, batch)).log_softmax(dim=-1)[:, wanted]
            for row, values in zip(rows, likelihoods.tolist(), strict=True):
                found[row] = values
            progress(start + len(rows), len(order))
        return found

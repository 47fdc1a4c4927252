"""The training loop: the loss of what is learned, computed where that is and nowhere else.

The head of a small model costs as much as many of its layers; prompts need no logits, so only the hidden states at
reply positions are multiplied by it. A classification head in its place is that of heads.py.
"""

import math
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import torch
from bitsandbytes import optim
from honed.data import TokenizedExample
from honed.tune import heads
from honed.tune.base import is_encoder
from honed.tune.batches import MicroBatch, endless_batches, micro_batches, steps_per_epoch
from honed.tune.checkpoints import Checkpoints
from honed.tune.compiled import compiled_layers
from honed.tune.guard import Guard
from honed.tune.hidden import hidden_states, layers
from honed.tune.methods import TunedModel, trainable_parameters
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer
from torch.utils.checkpoint import checkpoint

_LOGITS_AT_ONCE = 2048  # of 50,000 tokens in float32: 400 MB


OptimizerName = Literal["adamw", "adamw_8bit", "paged_adamw_8bit"]


@dataclass(frozen=True)
class LoopSettings:
    """Numbers of a run; see honed.v1.TuneSpec for their meaning and ranges."""

    learning_rate: float
    epochs: float
    max_steps: int | None
    batch_size: int
    warmup_fraction: float
    max_gradient_norm: float
    weight_decay: float
    seed: int
    label_smoothing: float = 0.0
    noise_alpha: float = 0.0
    patience: int | None = None
    micro_batch_tokens: int = 512
    gradient_checkpointing: bool = False
    compiled: bool = False
    optimizer: OptimizerName = "adamw"


@dataclass(frozen=True)
class Step:
    """What one optimiser step did. Losses are in nats per trained token, of a head per row; tokens are real ones,
    padding not counted."""

    step: int
    total_steps: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    seconds: float
    validation_loss: float | None


def run(
    model: TunedModel,
    train: Sequence[TokenizedExample],
    validation: Sequence[TokenizedExample],
    settings: LoopSettings,
    checkpoints: Checkpoints | None = None,
) -> Iterator[Step]:
    """Trains the model's adapters in place and yields after every step; `tokens` and `seconds` are sums so far.

    With checkpoints the steps of an interrupted run come first, as they were, and the run goes on behind them: on the
    same machine with the same libraries every later loss is that of a run that was never interrupted, bit for bit.

    The learning rate rises linearly over the warm-up and falls to 0 on a half cosine (AdamW: Loshchilov & Hutter
    2019, arXiv 1711.05101). The validation loss is computed at the end of every epoch. With `patience` the run ends
    after so many epochs without a better one, and the model is left as it was after the best.

    Raises:
        Diverged: the loss is no longer a number, or has exploded.
        InvalidInput: the checkpoints are those of another run.
        Stopped: `checkpoints` were told to stop.
    """
    per_epoch = steps_per_epoch(len(train), settings.batch_size)
    total = total_steps(len(train), settings)
    parameters = trainable_parameters(model)
    optimizer = make_optimizer(parameters, settings)
    torch.manual_seed(settings.seed)
    steps, best = checkpoints.resume(model, optimizer) if checkpoints else ([], {})
    yield from (Step(**step) for step in steps)
    model.train()
    share = shares(model, settings)
    guard = Guard(alternatives(model), settings.learning_rate, settings.warmup_fraction)
    for past in steps:
        guard.check(past["step"], past["loss"], past["gradient_norm"])
    tokens, seconds = (steps[-1]["tokens"], steps[-1]["seconds"]) if steps else (0, 0.0)
    began = time.monotonic()
    batches = endless_batches(train, settings.batch_size, settings.seed, len(steps))
    with recomputed_layers(model, settings.gradient_checkpointing), compiled_layers(model, settings.compiled):
        for step, rows in zip(range(len(steps) + 1, total + 1), batches, strict=False):
            if settings.patience and epochs_since_best(_validation_losses(steps)) >= settings.patience:
                break
            rate = settings.learning_rate * schedule(step, total, settings.warmup_fraction)
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = backward(model, micro_batches(rows, settings.micro_batch_tokens, share=share), settings)
            norm = torch.nn.utils.clip_grad_norm_(parameters, settings.max_gradient_norm).item()
            guard.check(step, loss, norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            tokens += sum(map(len, rows))
            seconds += time.monotonic() - began
            checked = validation and (step % per_epoch == 0 or step == total)
            validation_loss = evaluate_loss(model, validation, settings.micro_batch_tokens) if checked else None
            done = Step(step, total, loss, rate, norm, tokens, seconds, validation_loss)
            yield done
            steps.append(asdict(done))
            if settings.patience and checked and not epochs_since_best(_validation_losses(steps)):
                best = {name: each.detach().clone() for name, each in model.named_parameters() if each.requires_grad}
            if checkpoints and (checkpoints.stopping or not guard.in_doubt):
                checkpoints.after_step(steps, model, optimizer, best)
            began = time.monotonic()
    if best:
        model.load_state_dict(best, strict=False)
    model.eval()


def alternatives(model: TunedModel) -> int:
    """Among how many a model chooses at each prediction: the labels of its head, or all tokens."""
    head = heads.of(model)
    config: Any = model.get_base_model().config
    return len(head.labels) if head else config.vocab_size


def total_steps(rows: int, settings: LoopSettings) -> int:
    """Steps of a run over so many training rows, if nothing ends it early."""
    total = max(1, math.ceil(steps_per_epoch(rows, settings.batch_size) * settings.epochs))
    return min(total, settings.max_steps or total)


def make_optimizer(parameters: Sequence[nn.Parameter], settings: LoopSettings) -> Optimizer:
    """AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101); with moments in 8 bits (Dettmers et al. 2022, arXiv
    2110.02861), paged out to the host's memory where the device's is short."""
    numbers: dict[str, Any] = {"lr": settings.learning_rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(parameters, **numbers, fused=True)
    untyped: Any = optim
    kind = untyped.AdamW8bit if settings.optimizer == "adamw_8bit" else untyped.PagedAdamW8bit
    return kind(parameters, **numbers)


@contextmanager
def recomputed_layers(model: TunedModel, wanted: bool) -> Generator[None]:
    """Gradient checkpointing (Chen et al. 2016, arXiv 1604.06174): within it, if `wanted`, the backward computes each
    layer again instead of keeping its activations; the same numbers, for a third more time."""
    found = layers(model) if wanted else []
    own = [layer.__dict__.get("forward") for layer in found]  # where a method has put one there
    for layer in found:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    try:
        yield
    finally:
        for layer, forward in zip(found, own, strict=True):
            if forward is None:
                del layer.forward  # the class's again
            else:
                layer.forward = forward


def shares(model: TunedModel, settings: LoopSettings) -> bool:
    """Whether a step may compute what rows have in common once: nothing is drawn for each row anew."""
    dropout = any(isinstance(module, nn.Dropout) and module.p > 0 for module in model.modules())
    return reads_forwards(model) and not dropout and not settings.noise_alpha


def reads_forwards(model: TunedModel) -> bool:
    """Whether what stands behind a token changes nothing for it, so that rows may share what they begin with."""
    base: Any = model.get_base_model()
    return not is_encoder(base.config)


def backward(model: TunedModel, batch: Sequence[MicroBatch], settings: LoopSettings) -> float:
    """Adds the gradients of the mean loss of a batch, one micro-batch after the other, and returns it."""
    weight = sum(part.weight for part in batch)
    loss = 0.0
    for part in batch:
        mean = summed_loss(model, part, settings.label_smoothing, settings.noise_alpha) / weight
        mean.backward()
        loss += mean.item()
    return loss


def epochs_since_best(losses: Sequence[float]) -> int:
    """Epochs that have passed since the one with the lowest validation loss; 0 before the first."""
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0


def _validation_losses(steps: Sequence[dict[str, Any]]) -> list[float]:
    return [step["validation_loss"] for step in steps if step["validation_loss"] is not None]


def schedule(step: int, total: int, warmup_fraction: float) -> float:
    """Factor of the learning rate at a step from 1: linear up to the end of the warm-up, then a half cosine."""
    warmup = math.ceil(total * warmup_fraction)
    if step <= warmup:
        return step / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - 1 - warmup) / max(1, total - warmup)))


def summed_loss(model: TunedModel, batch: MicroBatch, label_smoothing: float = 0.0, noise_alpha: float = 0.0) -> Tensor:
    """Σ w · nll over the trained tokens of a micro-batch, or the sum over its labelled rows, in float32; divided by
    `MicroBatch.weight` it is the mean.

    Args:
        label_smoothing: share of a target's probability that is spread over the vocabulary, or over the labels.
        noise_alpha: see `hidden_states`.
    """
    causal: Any = model.get_base_model()
    batch = batch.to(next(causal.parameters()).device)
    hidden = hidden_states(model, batch, noise_alpha)
    if batch.labels is not None:
        scores = heads.scores(model, batch, hidden)
        return functional.cross_entropy(scores, batch.labels, reduction="sum", label_smoothing=label_smoothing)
    head, whole = causal.get_output_embeddings(), (hidden[batch.states], batch.targets, batch.weights)

    def summed(states: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
        logits = head(states).float()  # [n, V]
        losses = functional.cross_entropy(logits, ids, reduction="none", label_smoothing=label_smoothing)
        return (losses * weights).sum()

    if len(batch.targets) <= _LOGITS_AT_ONCE:
        return summed(*whole)
    parts = zip(*(each.split(_LOGITS_AT_ONCE) for each in whole), strict=True)
    # The backward computes the logits of a part again instead of keeping those of all.
    sums: list[Tensor] = [checkpoint(summed, *part, use_reentrant=False) for part in parts]
    return torch.stack(sums).sum()


@torch.inference_mode()
def evaluate_loss(model: TunedModel, rows: Sequence[TokenizedExample], micro_batch_tokens: int) -> float:
    """Mean loss over the trained tokens of rows, by their weights, or over labelled rows, without dropout."""
    model.eval()
    batches = micro_batches(rows, micro_batch_tokens, share=reads_forwards(model))
    total = sum(summed_loss(model, batch).item() for batch in batches)
    model.train()
    return total / sum(batch.weight for batch in batches)

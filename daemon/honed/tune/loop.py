"""The training loop: completion-only loss, computed where the labels are and nowhere else.

The head of a small model costs as much as many of its layers; prompts need no logits, so only the hidden states at
reply positions are multiplied by it.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from honed.data import TokenizedExample
from honed.errors import InvalidInput
from honed.tune.batches import Batch, endless_batches, steps_per_epoch
from honed.tune.checkpoints import Checkpoints
from honed.tune.lora import trainable_parameters
from peft import PeftModel
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

Loss = Callable[[PeftModel, Batch, float, float], Tensor]  # as `mean_loss`

_IGNORED = -100
_LOGITS_AT_ONCE = 2048  # of 50,000 tokens in float32: 400 MB


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


@dataclass(frozen=True)
class Step:
    """What one optimiser step did. Losses are in nats per trained token; tokens are real ones, padding not counted."""

    step: int
    total_steps: int
    loss: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    seconds: float
    validation_loss: float | None


def run(
    model: PeftModel,
    train: Sequence[TokenizedExample],
    validation: Sequence[TokenizedExample],
    settings: LoopSettings,
    checkpoints: Checkpoints | None = None,
    loss_of: Loss | None = None,
) -> Iterator[Step]:
    """Trains the model's adapters in place and yields after every step; `tokens` and `seconds` are sums so far.

    With checkpoints the steps of an interrupted run come first, as they were, and the run goes on behind them: on the
    same machine with the same libraries every later loss is that of a run that was never interrupted, bit for bit.

    The learning rate rises linearly over the warm-up and falls to 0 on a half cosine (AdamW: Loshchilov & Hutter
    2019, arXiv 1711.05101). The validation loss is computed at the end of every epoch. With `patience` the run ends
    after so many epochs without a better one, and the model is left as it was after the best.

    Args:
        loss_of: mean loss of a batch; that of its tokens, `mean_loss`, if None.

    Raises:
        InvalidInput: the loss is no longer a number, or the checkpoints are those of another run.
        Stopped: `checkpoints` were told to stop.
    """
    loss_of = loss_of or mean_loss
    per_epoch = steps_per_epoch(len(train), settings.batch_size)
    total = max(1, math.ceil(per_epoch * settings.epochs))
    total = min(total, settings.max_steps or total)
    parameters = trainable_parameters(model)
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True)
    torch.manual_seed(settings.seed)
    steps, best = checkpoints.resume(model, optimizer) if checkpoints else ([], {})
    yield from (Step(**step) for step in steps)
    model.train()
    tokens, seconds = (steps[-1]["tokens"], steps[-1]["seconds"]) if steps else (0, 0.0)
    began = time.monotonic()
    batches = endless_batches(train, settings.batch_size, settings.seed, len(steps))
    for step, batch in zip(range(len(steps) + 1, total + 1), batches, strict=False):
        if settings.patience and epochs_since_best(_validation_losses(steps)) >= settings.patience:
            break
        rate = settings.learning_rate * schedule(step, total, settings.warmup_fraction)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of(model, batch, settings.label_smoothing, settings.noise_alpha)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings.max_gradient_norm)
        if not math.isfinite(loss.item()) or not math.isfinite(norm.item()):
            raise InvalidInput(
                f"The loss was no longer a number at step {step} of {total}; lower the learning rate "
                f"(now {settings.learning_rate:g}).",
                reason="LOSS_NOT_FINITE",
                step=step,
            )
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        tokens += batch.tokens
        seconds += time.monotonic() - began
        checked = validation and (step % per_epoch == 0 or step == total)
        validation_loss = evaluate_loss(model, validation, settings.batch_size, loss_of) if checked else None
        done = Step(step, total, loss.item(), rate, norm.item(), tokens, seconds, validation_loss)
        yield done
        steps.append(asdict(done))
        if settings.patience and checked and not epochs_since_best(_validation_losses(steps)):
            best = {name: each.detach().clone() for name, each in model.named_parameters() if each.requires_grad}
        if checkpoints:
            checkpoints.after_step(steps, model, optimizer, best)
        began = time.monotonic()
    if best:
        model.load_state_dict(best, strict=False)
    model.eval()


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


def embed(model: Any, batch: Batch, noise_alpha: float) -> Tensor:
    """Embeddings [B, T, D] of a batch's tokens, with NEFTune's noise if there is to be some; see `mean_loss`."""
    where = next(model.parameters()).device
    embedded = model.get_input_embeddings()(batch.ids.to(where))
    if noise_alpha:
        reach = noise_alpha / (batch.lengths.to(where) * embedded.shape[-1]).sqrt()  # [B]
        embedded = embedded + torch.empty_like(embedded).uniform_(-1, 1) * reach[:, None, None].to(embedded.dtype)
    return embedded


def mean_loss(model: PeftModel, batch: Batch, label_smoothing: float = 0.0, noise_alpha: float = 0.0) -> Tensor:
    """Cross-entropy over the trained tokens of a batch, their weighted mean, in float32: Σ w · nll / Σ w.

    Args:
        label_smoothing: share of a target's probability that is spread over the vocabulary.
        noise_alpha: uniform noise up to this / sqrt(tokens of the row · D) on the embeddings (NEFTune: Jain et al.
            2023, arXiv 2310.05914).
    """
    causal: Any = model.get_base_model()
    embedded = embed(causal, batch, noise_alpha)  # [B, T, D]
    where = embedded.device
    hidden = causal.get_decoder()(inputs_embeds=embedded, use_cache=False).last_hidden_state  # [B, T, D]
    targets = batch.targets.to(where)
    trained = targets != _IGNORED
    head = causal.get_output_embeddings()
    whole = hidden[trained], targets[trained], batch.weights.to(where)[trained]  # [N, D], [N] and [N]

    def summed(states: Tensor, ids: Tensor, weights: Tensor) -> Tensor:
        logits = head(states).float()  # [n, V]
        losses = functional.cross_entropy(logits, ids, reduction="none", label_smoothing=label_smoothing)
        return (losses * weights).sum()

    if len(whole[0]) <= _LOGITS_AT_ONCE:
        return summed(*whole) / batch.weight
    parts = zip(*(each.split(_LOGITS_AT_ONCE) for each in whole), strict=True)
    # The backward computes the logits of a part again instead of keeping those of all.
    sums: list[Tensor] = [checkpoint(summed, *part, use_reentrant=False) for part in parts]
    return torch.stack(sums).sum() / batch.weight


@torch.inference_mode()
def evaluate_loss(
    model: PeftModel, rows: Sequence[TokenizedExample], batch_size: int, loss_of: Loss = mean_loss
) -> float:
    """Mean loss over the trained tokens of rows, by their weights, without dropout."""
    model.eval()
    total = weight = 0.0
    ordered = sorted(rows, key=len)
    for start in range(0, len(ordered), batch_size):
        batch = Batch.of(ordered[start : start + batch_size])
        total += loss_of(model, batch, 0.0, 0.0).item() * batch.weight
        weight += batch.weight
    model.train()
    return total / weight

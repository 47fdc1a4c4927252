"""How much memory a tuning needs, found without loading it, and the micro-batch that fits.

What the backward keeps is counted, not guessed: the model is built on torch's meta device, which has shapes and no
data, and the tensors that autograd saves in one forward are added up.
"""

import resource
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from honed.data import TokenizedExample
from honed.errors import NoRoom
from honed.tune import base, heads
from honed.tune.batches import MicroBatch, largest_micro_batch
from honed.tune.hidden import layers
from honed.tune.loop import LoopSettings, backward, evaluate_loss, recomputed_layers, shares, summed_loss
from honed.tune.methods import FullModel, Settings, TunedModel, attach, virtual_tokens
from torch import Tensor

# What comes and goes in every step takes more than its size: the allocator keeps free blocks between those in use.
# Measured: benchmarks/memory.py.
_FRAGMENTED = 1.4
_FEWEST_TOKENS = 64  # below which halving a micro-batch saves nothing any more
_MOMENT_BYTES = {"adamw": 8, "adamw_8bit": 2, "paged_adamw_8bit": 2}


@dataclass(frozen=True)
class Room:
    """What is there and what is used already.

    Attributes:
        device_bytes: what this process may use in all.
        process_bytes: what it uses before the base is loaded: the libraries.
    """

    device_bytes: int
    process_bytes: int


@dataclass(frozen=True)
class Fit:
    """Settings under which a tuning fits, and the peak that is expected of them."""

    micro_batch_tokens: int
    gradient_checkpointing: bool
    needed_bytes: int

    def put_into(self, settings: LoopSettings) -> LoopSettings:
        return replace(
            settings,
            micro_batch_tokens=self.micro_batch_tokens,
            gradient_checkpointing=self.gradient_checkpointing,
        )


def sketch(folder: Path, dtype: torch.dtype, settings: Settings, labels: Sequence[str] = ()) -> TunedModel:
    """The model of an imported folder with its method, and a head for `labels` if there are any, on the meta device:
    every shape, no data."""
    if settings.method in ("pissa", "loftq"):  # they begin with what they find in the weights; PiSSA's rank is twice
        rank = settings.rank * (2 if settings.method == "pissa" else 1)
        settings = replace(settings, method="lora", rank=rank)
    with torch.device("meta"):
        model = attach(base.outline(folder, dtype), settings)
        if labels:
            heads.attach(model, labels)
        return model


def room(most_bytes: int | None) -> Room:
    """The memory of the device, at most `most_bytes`, and that of this process now.

    On a CPU: what the kernel calls available, or less where a control group says so, and what is used already.
    """
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info()
        used = torch.cuda.memory_reserved()
        return Room(min(free + used, most_bytes or free + used), used)
    used = _bytes_of("/proc/self/status", "VmRSS:")
    there = min(_bytes_of("/proc/meminfo", "MemAvailable:"), _group_room()) + used
    return Room(min(there, most_bytes or there), used)


def bound(there: Room) -> None:
    """Makes an allocation beyond what is there fail in this process, on a CPU, where else the kernel would kill one.

    The kernel bounds what is reserved, not what is used; what was reserved and not used by now is added. Only the first
    call has an effect.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if torch.cuda.is_available() or soft != resource.RLIM_INFINITY:
        return
    reserved, used = (_bytes_of("/proc/self/status", field) for field in ("VmData:", "VmRSS:"))
    resource.setrlimit(resource.RLIMIT_DATA, (reserved + max(0, there.device_bytes - used), hard))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, or Python, found no memory."""
    text = str(error)
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and ("allocate memory" in text or "out of memory" in text)
    )


def _bytes_of(file: str, field: str) -> int:
    lines = Path(file).read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def _group_room() -> int:
    """What the process's control group (version 2) leaves, its parents' limits not looked at; a lot without a limit."""
    group = Path("/sys/fs/cgroup") / Path("/proc/self/cgroup").read_text("ascii").strip().rpartition("::/")[2]
    try:
        limit, used = ((group / f"memory.{name}").read_text("ascii").strip() for name in ("max", "current"))
    except OSError:
        return 1 << 62
    return 1 << 62 if limit == "max" else int(limit) - int(used)


def default_tokens() -> int:
    """Tokens of a micro-batch where memory is no concern: as many as keep the multipliers busy."""
    return 8192 if torch.cuda.is_available() else 512


def longest_batch(rows: Sequence[TokenizedExample], settings: LoopSettings, *, share: bool) -> MicroBatch:
    """The largest micro-batch that a batch of the longest rows gives."""
    longest = sorted(rows, key=len)[-settings.batch_size :]
    return largest_micro_batch(longest, settings.micro_batch_tokens, share=share)


def needed_bytes(model: TunedModel, batch: MicroBatch, settings: LoopSettings, process_bytes: int) -> int:
    """The peak that one step over a micro-batch takes, for a model on the meta device."""
    weights = sum(parameter.nbytes for parameter in model.parameters())
    if isinstance(model, FullModel):
        weights += sum(each.nbytes for each in model.original.values())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    kept = _saved_bytes(model, batch, settings)
    if settings.gradient_checkpointing:
        kept += _layer_bytes(model, batch, settings)
    # The gradient of the logits beside the logits, and the widest states of a layer beside theirs.
    base_model: Any = model.get_base_model()
    config = base_model.config
    logits = 2 * 4 * len(batch.targets) * config.vocab_size
    states = 3 * 4 * len(batch.ids) * max(config.intermediate_size, config.hidden_size)
    table = base_model.get_input_embeddings().weight
    states += 2 * table.nbytes * table.requires_grad  # its gradients by lookup and by head come whole
    moments = trained * (4 + _MOMENT_BYTES[settings.optimizer])
    loading = sum(2 * parameter.numel() for parameter in model.parameters())  # in bfloat16, before it is widened
    return process_bytes + weights + max(loading, moments + int(_FRAGMENTED * (kept + logits + states)))


def fit(
    model: TunedModel,
    rows: Sequence[TokenizedExample],
    settings: LoopSettings,
    there: Room,
    checkpointing: bool | None,
) -> Fit:
    """The largest micro-batch of at most `settings.micro_batch_tokens` that fits, halving it first and computing layers
    again (if `checkpointing` leaves it open) last.

    Args:
        model: on the meta device, with its adapters.

    Raises:
        NoRoom: not even one row fits; the message names the longest that would.
    """
    tried = Fit(0, checkpointing or False, 0)
    if virtual_tokens(model):
        checkpointing = False  # a layer that is computed again would find its own keys in their cache
    for recompute in (False, True) if checkpointing is None else (checkpointing,):
        tokens = settings.micro_batch_tokens
        while True:
            asked = replace(settings, micro_batch_tokens=tokens, gradient_checkpointing=recompute)
            batch = longest_batch(rows, asked, share=shares(model, settings))
            tried = Fit(tokens, recompute, needed_bytes(model, batch, asked, there.process_bytes))
            if tried.needed_bytes <= there.device_bytes:
                return tried
            if (smaller := halved(tokens, batch)) is None:
                break
            tokens = smaller
    raise _no_room(model, rows, tried.put_into(settings), tried.needed_bytes, there)


def tried(
    model: TunedModel,
    train: Sequence[TokenizedExample],
    validation: Sequence[TokenizedExample],
    settings: LoopSettings,
    expected: Fit,
) -> Fit:
    """What is left of a fit after its largest training step and its largest validation batch were really computed;
    the micro-batch is halved until they are.

    Raises:
        MemoryError, RuntimeError: one row at a time does not fit.
    """
    while True:
        now = expected.put_into(settings)
        batch = longest_batch(train, now, share=shares(model, now))
        try:
            with recomputed_layers(model.train(), now.gradient_checkpointing):
                backward(model, [batch], now)
            if validation:
                evaluate_loss(model, sorted(validation, key=len)[-now.batch_size :], now.micro_batch_tokens)
        except (MemoryError, RuntimeError) as error:
            smaller = halved(now.micro_batch_tokens, batch)
            if smaller is None or not is_out_of_memory(error):
                raise
            expected = replace(expected, micro_batch_tokens=smaller)
        else:
            return expected
        finally:
            model.zero_grad(set_to_none=True)


def halved(tokens: int, batch: MicroBatch) -> int | None:
    """Half the tokens of a micro-batch; None where that saves nothing any more."""
    return None if tokens <= _FEWEST_TOKENS or batch.layout.places.shape[0] == 1 else tokens // 2


def _no_room(
    model: TunedModel, rows: Sequence[TokenizedExample], settings: LoopSettings, needed: int, there: Room
) -> NoRoom:
    """Says how long a row may be, by halving."""
    longest = max(rows, key=len)
    whole = longest.ids
    fits, too_long = 1, len(whole)
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        row = TokenizedExample(whole[: middle - 1], whole[middle - 1 : middle], label=longest.label)
        need = needed_bytes(model, MicroBatch.of([row], share=False), settings, there.process_bytes)
        fits, too_long = (middle, too_long) if need <= there.device_bytes else (fits, middle)
    advice = (
        f"Rows of at most {fits} tokens would fit; shorten the longest ({len(whole)} tokens)."
        if fits > 1
        else "Not even the weights fit: take a smaller base or --base nf4, or a machine with more memory."
    )
    return NoRoom(
        f"The tuning needs about {needed:,} bytes with one row at a time and every layer computed again; "
        f"{there.device_bytes:,} are there. {advice}",
        reason="MEMORY_EXCEEDED",
        needed_bytes=needed,
        device_bytes=there.device_bytes,
        largest_row_tokens=fits if fits > 1 else 0,
    )


def _saved_bytes(model: TunedModel, batch: MicroBatch, settings: LoopSettings) -> int:
    """What autograd keeps between forward and backward, parameters left out."""
    kept: dict[int, tuple[int, Any]] = {}

    def count(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes(), storage  # noqa: SLF001 - a storage's identity; held, so that it is not used again
        return tensor

    model.train()
    with (
        recomputed_layers(model, settings.gradient_checkpointing),
        torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor),
    ):
        summed_loss(model, batch.to(torch.device("meta")), settings.label_smoothing, settings.noise_alpha)
    parameters = {parameter.untyped_storage()._cdata for parameter in model.parameters()}  # noqa: SLF001 - as above
    return sum(size for storage, (size, _) in kept.items() if storage not in parameters)


def _layer_bytes(model: TunedModel, batch: MicroBatch, settings: LoopSettings) -> int:
    """What one layer keeps while it is computed again."""
    plain = replace(settings, gradient_checkpointing=False)
    return _saved_bytes(model, batch, plain) // len(layers(model))

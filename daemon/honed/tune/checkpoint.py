"""Checkpoints of a run: tensors in safetensors, all else in JSON, a manifest over the whole; nothing is pickled.

    step-00000120/ {model,optimizer,best,random}.safetensors  state.json  manifest.json

A checkpoint is written beside its place, flushed, and renamed: one that has its name is whole. The newest two stay.
Not for several writers at once.
"""

import json
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from honed import manifest
from honed.durable import sync
from honed.errors import InvalidInput
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

_FORMAT = "honed-checkpoint-1"
_KEPT = 2
_PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "numpy")


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint on disk.

    Attributes:
        step: optimiser steps done.
        state: what the loop told `save`, as JSON.
        environment: what the numerics hang on, see `environment`.
    """

    folder: Path
    step: int
    state: dict[str, Any]
    environment: dict[str, str]


def environment() -> dict[str, str]:
    """What the last bit of a loss hangs on beside the data and the settings."""
    where = torch.cuda.get_device_name() if torch.cuda.is_available() else torch.backends.cpu.get_cpu_capability()
    versions = {package: metadata.version(package) for package in _PACKAGES}
    return versions | {"device": where, "threads": str(torch.get_num_threads())}


def save(
    folder: Path,
    step: int,
    identity: str,
    state: dict[str, Any],
    model: nn.Module,
    optimizer: Optimizer,
    best: Mapping[str, Tensor],
) -> None:
    """Writes a checkpoint of the parameters that train, the optimiser and all random generators.

    Args:
        folder: of all checkpoints of the run.
        identity: what a run must be to go on from here: its settings, data and base.
        best: values of the parameters to be kept beside those of now.

    Raises:
        OSError: the disk is full; the checkpoints that were there are untouched.
    """
    unfinished = folder / "unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    parameters = _trainable(model)
    values = {name: parameter.detach().cpu().contiguous() for name, parameter in parameters.items()}
    save_file(values, unfinished / "model.safetensors")
    moments: dict[str, Tensor] = {}
    numbers: dict[str, float] = {}  # bitsandbytes counts its steps in one
    for name, parameter in parameters.items():
        for key, value in optimizer.state[parameter].items():
            if isinstance(value, Tensor):
                moments[f"{name}/{key}"] = value.detach().cpu().contiguous()
            else:
                numbers[f"{name}/{key}"] = value
    save_file(moments, unfinished / "optimizer.safetensors")
    save_file({name: value.cpu().contiguous() for name, value in best.items()}, unfinished / "best.safetensors")
    generators = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        generators |= {f"cuda:{place}": each for place, each in enumerate(torch.cuda.get_rng_state_all())}
    save_file(generators, unfinished / "random.safetensors")
    twister: Any = np.random.get_state(legacy=False)
    whole = {
        "format": _FORMAT,
        "step": step,
        "identity": identity,
        "environment": environment(),
        "random": {"python": random.getstate(), "numpy": twister},
        "optimizer": numbers,
        "state": state,
    }
    (unfinished / "state.json").write_text(json.dumps(whole, default=np.ndarray.tolist), "utf-8")
    manifest.write(unfinished)
    for path in (*unfinished.iterdir(), unfinished):
        sync(path)
    place = folder / f"step-{step:08d}"
    shutil.rmtree(place, ignore_errors=True)
    unfinished.rename(place)
    sync(folder)
    for old in _newest_first(folder)[_KEPT:]:
        shutil.rmtree(old)


def newest(folder: Path, identity: str) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint whose manifest verifies, and what is wrong with newer ones.

    Raises:
        InvalidInput: it is that of another run: CHECKPOINT_MISMATCH.
    """
    wrong: list[str] = []
    for place in _newest_first(folder):
        try:
            manifest.verify(place)
            whole = json.loads((place / "state.json").read_text("utf-8"))
        except (InvalidInput, OSError, ValueError) as error:
            wrong.append(f"{place.name}: {error}")
            continue
        if (whole["format"], whole["identity"]) != (_FORMAT, identity):
            raise InvalidInput(
                f"{place.name} was written by a run of other settings, data or base; start the job anew.",
                reason="CHECKPOINT_MISMATCH",
                checkpoint=place.name,
            )
        return Checkpoint(place, whole["step"], whole["state"], whole["environment"]), wrong
    return None, wrong


def restore(checkpoint: Checkpoint, model: nn.Module, optimizer: Optimizer) -> dict[str, Tensor]:
    """Puts a checkpoint's values into a model and an optimiser of the same build, and into all random generators;
    returns what was saved as `best`."""
    whole = json.loads((checkpoint.folder / "state.json").read_text("utf-8"))
    values = load_file(checkpoint.folder / "model.safetensors")
    moments: dict[str, dict[str, Any]] = {}
    tensors = load_file(checkpoint.folder / "optimizer.safetensors")
    for key, value in (tensors | whole["optimizer"]).items():
        name, _, kind = key.rpartition("/")
        moments.setdefault(name, {})[kind] = value
    with torch.no_grad():
        for name, parameter in _trainable(model).items():
            parameter.copy_(values[name])
            optimizer.state[parameter] = {
                kind: value.to(parameter.device) if isinstance(value, Tensor) else value
                for kind, value in moments[name].items()
            }
    generators = load_file(checkpoint.folder / "random.safetensors")
    torch.set_rng_state(generators.pop("cpu"))
    if torch.cuda.is_available() and generators:
        torch.cuda.set_rng_state_all([generators[f"cuda:{place}"] for place in range(len(generators))])
    version, words, gauss = whole["random"]["python"]
    random.setstate((version, tuple(words), gauss))
    np.random.set_state(whole["random"]["numpy"])
    return load_file(checkpoint.folder / "best.safetensors")


def _trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*"), reverse=True)

"""What a tuning would do: counted from its rows and the shapes of its model; nothing is loaded and nothing trained."""

import time
from pathlib import Path
from typing import Any

import torch
from honed import manifest
from honed.data import Prepared, load_renderer
from honed.tune import base, memory
from honed.tune.loop import total_steps
from honed.worker.admission import compiles, products
from honed.worker.contract import PlanWork, TuneWork
from honed.worker.evaluation import require_fit
from honed.worker.report import Report
from honed.worker.settings import labels, learned, loop_settings, method_settings
from honed.worker.tune import hold_out

_MEASURED_TOKENS = 256
_SHARE_OF_PEAK = 0.7  # of the speed of one large product; measured: docs/benchmarks.md


def run(work: PlanWork, output: Path, report: Report) -> dict[str, Any]:  # noqa: ARG001 - the handlers' signature
    """The fields of honed.v1.JobPlan, `duration_s` in seconds.

    Raises:
        InvalidInput: rows do not fit the context.
        NoRoom: no setting fits the memory.
    """
    tune = TuneWork(**work.tune)
    there = memory.room(tune.memory_bytes)
    model_folder = Path(tune.model)
    manifest.verify(model_folder)
    manifest.verify(Path(tune.dataset))
    renderer = load_renderer(model_folder)
    dtype = base.compute_dtype()
    data = Prepared.load(Path(tune.dataset))
    model = memory.sketch(model_folder, dtype, method_settings(tune), labels(tune, data))
    train, validation = (
        learned(tune, data, examples, renderer.examples(examples))
        for examples in hold_out(data.train, tune.validation_fraction, tune.seed)
    )
    config: Any = model.get_base_model().config
    virtual = tune.virtual_tokens or 0
    require_fit(
        "training row(s)", [virtual + len(row) for row in (*train, *validation)], config.max_position_embeddings
    )
    settings = loop_settings(tune)
    fit = memory.fit(model, (*train, *validation), settings, there, tune.gradient_checkpointing)
    parameters = list(model.parameters())
    epoch_tokens = sum(map(len, train))
    return {
        "train_rows": len(train),
        "validation_rows": len(validation),
        "epoch_tokens": epoch_tokens,
        "longest_row_tokens": max(map(len, (*train, *validation))),
        "steps": total_steps(len(train), settings),
        "trainable_parameters": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        "needed_bytes": fit.needed_bytes,
        "device_bytes": there.device_bytes,
        "micro_batch_tokens": fit.micro_batch_tokens,
        "gradient_checkpointing": fit.gradient_checkpointing,
        "compiled": compiles(tune, model, train, fit.gradient_checkpointing),
        "compute_dtype": base.name(dtype),
        "duration_s": products(model, train, settings) / (_SHARE_OF_PEAK * _products_per_s(config.hidden_size, dtype)),
    }


def _products_per_s(width: int, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a product of the model's width, the best of 20."""
    states = torch.ones((_MEASURED_TOKENS, width), dtype=dtype, device=base.device())
    weights = torch.ones((4 * width, width), dtype=dtype, device=base.device())
    fastest = float("inf")
    for _ in range(20):
        began = time.perf_counter()
        torch.nn.functional.linear(states, weights).sum().item()
        fastest = min(fastest, time.perf_counter() - began)
    return 2.0 * _MEASURED_TOKENS * width * 4 * width / fastest

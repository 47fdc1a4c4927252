"""The layers compiled by torch.compile (Ansel et al. 2024, doi 10.1145/3620665.3640366), which makes one loop of what
stands between two matrix products.

Compiling takes most of a minute and makes steps a sixth shorter (docs/benchmarks.md), so it is for long runs. All
layers share one compilation, in which every size that differs between batches is left open: the tokens of the stream,
its rows, the longest of them, and what they share. Another is made only for what is another computation: a micro-batch
of one row, one without anything shared, or one whose rows need the fused attention.
"""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Final

import torch
from honed.errors import WrongState
from honed.tune.base import is_encoder
from honed.tune.hidden import layers
from honed.tune.methods import TunedModel

# Floating-point operations of a run from which on it pays: ten minutes of two cores with bfloat16 units.
_WORTH: Final = 3e14
_METHODS: Final = frozenset({"lora", "rslora", "pissa", "loftq"})  # the others' forwards are PEFT's, or hooks


def can(model: TunedModel, method: str, *, recomputed: bool) -> bool:
    """Whether layers of this kind are compiled at all. On a GPU it was never measured, so there they are not."""
    base: Any = model.get_base_model()
    return method in _METHODS and not (recomputed or is_encoder(base.config) or torch.cuda.is_available())


def pays(products: float) -> bool:
    """Whether a run of so many floating-point operations earns the time back; the same answer on every machine, as the
    last bits of a loss hang on it."""
    return products >= _WORTH


def prepare(folder: Path) -> None:
    """Readies torch's compiler for one run; what it has of another run in this process (a sweep's) is forgotten.

    Args:
        folder: takes what is compiled; torch would put it into the common temporary folder, pickles included.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    import torch._dynamo.config as dynamo  # noqa: PLC0415 - each takes a second, and few runs are compiled
    import torch._functorch.config as functorch  # noqa: PLC0415
    import torch._inductor.config as inductor  # noqa: PLC0415
    import torch.fx.experimental._config as shapes  # noqa: PLC0415

    untyped: Any = (dynamo, functorch, inductor, shapes)
    dynamo, functorch, inductor, shapes = untyped
    dynamo.fail_on_recompile_limit_hit = True  # else it would go on uncompiled, with other last bits, in silence
    shapes.use_duck_shape = False  # a number of tokens that happens to be the width of the model is still open
    functorch.enable_autograd_cache = inductor.fx_graph_cache = inductor.autotune_local_cache = False  # pickles
    inductor.compile_threads = 1  # no further processes, of 300 MB each
    torch._dynamo.reset()  # noqa: SLF001 - the way that torch's documentation names


@contextmanager
def compiled_layers(model: TunedModel, wanted: bool) -> Generator[None]:
    """Within it, if `wanted`, training computes all layers but the first compiled. The first differs: its input needs
    no gradient, so it would be compiled once more."""
    found = layers(model)[1:] if wanted else []
    for layer in found:
        layer.forward = _compiled(layer.forward)
    try:
        yield
    finally:
        for layer in found:
            del layer.forward


def failure(step: Callable[[], object]) -> str:
    """Runs a step that compiles; why that cannot be done here, or "" if it can."""
    from torch._dynamo.exc import TorchDynamoException  # noqa: PLC0415 - as above

    try:
        step()
    except (TorchDynamoException, MemoryError, OSError, RuntimeError) as error:
        return next(iter(str(error).splitlines()), type(error).__name__)
    return ""


def _compiled(forward: Callable[..., Any]) -> Callable[..., Any]:
    from torch._dynamo.exc import FailOnRecompileLimitHit  # noqa: PLC0415 - as above

    fast = torch.compile(forward, dynamic=True)

    @wraps(forward)
    def call(*arguments: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*arguments, **named)
        try:
            return fast(*arguments, **named)
        except FailOnRecompileLimitHit as error:
            raise WrongState(
                "A layer was compiled more often than torch allows, and would go on uncompiled with other last bits; "
                f"resume the job from its checkpoint or start it again with --no-compile. torch says: {error}",
                reason="RECOMPILE_LIMIT",
            ) from error

    return call

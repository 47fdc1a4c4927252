"""Specs of CreateJob: every field checked, every default filled in. Pure; the defaults are those of jobs.proto."""

from typing import Any, Literal

from google.protobuf.message import Message
from honed.errors import InvalidInput
from honed.v1 import jobs_pb2

# field: (default, low, high, low itself allowed)
_TUNE_NUMBERS: dict[str, tuple[float | None, float, float, bool]] = {
    "rank": (16, 1, 512, True),
    "dropout": (0.0, 0, 0.9, True),
    "learning_rate": (1e-3, 0, 1, False),
    "epochs": (3.0, 0, 1000, False),
    "max_steps": (None, 1, 10_000_000, True),
    "batch_size": (16, 1, 4096, True),
    "warmup_fraction": (0.06, 0, 1, True),
    "max_gradient_norm": (1.0, 0, 1e6, False),
    "weight_decay": (0.0, 0, 1, True),
    "seed": (0, 0, 2**63 - 1, True),
    "validation_fraction": (0.05, 0, 0.5, True),
    "few_shot": (None, 0, 64, True),
}
_PRECISIONS = {jobs_pb2.BASE_PRECISION_NF4: "nf4", jobs_pb2.BASE_PRECISION_BF16: "bf16"}
_FORMATS: dict[int, Literal["onnx-int8", "onnx-fp32"]] = {
    jobs_pb2.EXPORT_FORMAT_ONNX_INT8: "onnx-int8",
    jobs_pb2.EXPORT_FORMAT_ONNX_FP32: "onnx-fp32",
}


def complete_tune(spec: jobs_pb2.TuneSpec) -> dict[str, Any]:
    """Fills the defaults into `spec` and returns the settings as TuneWork takes them.

    Raises:
        InvalidInput: a value is out of range; `violations` lists all of them.
    """
    mistakes: list[tuple[str, str]] = []
    for field, (default, low, high, closed) in _TUNE_NUMBERS.items():
        if not spec.HasField(field) and default is not None:  # pyright: ignore[reportArgumentType] - names of the table
            setattr(spec, field, default)
        mistakes += range_mistakes(spec, field, low, high, closed)
    if spec.HasField("alpha"):
        mistakes += range_mistakes(spec, "alpha", 0, 1e4, closed=False)
    else:
        spec.alpha = 2.0 * spec.rank
    if spec.base_precision == jobs_pb2.BASE_PRECISION_UNSPECIFIED:
        spec.base_precision = jobs_pb2.BASE_PRECISION_NF4
    if spec.base_precision not in _PRECISIONS:
        mistakes.append(("base_precision", f"expected NF4 or BF16, found {spec.base_precision}"))
    if mistakes:
        raise InvalidInput(
            "; ".join(f"{field}: {what}" for field, what in mistakes),
            reason="FIELD_INVALID",
            violations=tuple((f"job.tune.{field}", what) for field, what in mistakes),
        )
    optional = {field: getattr(spec, field) if spec.HasField(field) else None for field in ("max_steps", "few_shot")}
    numbers = {field: getattr(spec, field) for field in (*_TUNE_NUMBERS, "alpha")}
    return (
        numbers
        | optional
        | {
            "base_precision": _PRECISIONS[spec.base_precision],
            "evaluate": not spec.skip_evaluation,
        }
    )


def complete_export(spec: jobs_pb2.ExportSpec) -> Literal["onnx-int8", "onnx-fp32"]:
    """Fills the default format into `spec` and returns it as ExportWork takes it."""
    if spec.format == jobs_pb2.EXPORT_FORMAT_UNSPECIFIED:
        spec.format = jobs_pb2.EXPORT_FORMAT_ONNX_INT8
    if spec.format not in _FORMATS:
        raise InvalidInput.of_field("job.export.format", f"expected ONNX_INT8 or ONNX_FP32, found {spec.format}")
    return _FORMATS[spec.format]


def range_mistakes(message: Message, field: str, low: float, high: float, closed: bool = True) -> list[tuple[str, str]]:
    """What is wrong with a set number; not-a-number and infinity are out of every range."""
    if not message.HasField(field):
        return []
    value = getattr(message, field)
    if (low <= value if closed else low < value) and value <= high:
        return []
    return [(field, f"expected {'' if closed else 'above '}{low:g} to {high:g}, found {value:g}")]

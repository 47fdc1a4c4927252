"""Specs of CreateJob: every field checked, every default filled in. Pure; the defaults are those of jobs.proto."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from google.protobuf.message import Message
from honed.architectures import ENCODERS
from honed.daemon.rpc.names import repeated
from honed.errors import InvalidInput
from honed.v1 import jobs_pb2

EPOCHS = 3.0  # default of TuneSpec
MAX_SEED = 2**63 - 1
_MAX_SHOTS = 64
_MAX_ROWS = 10_000_000

# field: (default, low, high, low itself allowed)
_TUNE_NUMBERS: dict[str, tuple[float | None, float, float, bool]] = {
    "rank": (16, 1, 512, True),
    "dropout": (0.0, 0, 0.9, True),
    "learning_rate": (1e-3, 0, 1, False),
    "epochs": (EPOCHS, 0, 1000, False),
    "max_steps": (None, 1, 10_000_000, True),
    "batch_size": (16, 1, 4096, True),
    "warmup_fraction": (0.06, 0, 1, True),
    "max_gradient_norm": (1.0, 0, 1e6, False),
    "weight_decay": (0.0, 0, 1, True),
    "seed": (0, 0, MAX_SEED, True),
    "validation_fraction": (0.05, 0, 0.5, True),
    "label_smoothing": (0.0, 0, 0.5, True),
    "noise_alpha": (0.0, 0, 100, True),
    "patience": (None, 1, 1000, True),
    "few_shot": (None, 0, _MAX_SHOTS, True),
    "max_evaluation_rows": (500, 1, _MAX_ROWS, True),
}
_MAX_COPIES = {"typos": 10, "casing": 10, "punctuation": 10, "word_dropout": 10, "paraphrase": 4}
_PRECISIONS = {jobs_pb2.BASE_PRECISION_NF4: "nf4", jobs_pb2.BASE_PRECISION_BF16: "bf16"}
_OBJECTIVES: dict[int, Literal["completion", "all_tokens", "classification"]] = {
    jobs_pb2.OBJECTIVE_COMPLETION: "completion",
    jobs_pb2.OBJECTIVE_ALL_TOKENS: "all_tokens",
    jobs_pb2.OBJECTIVE_CLASSIFICATION: "classification",
}
_SHOT_CHOICES: dict[int, Literal["per_label", "similar"]] = {
    jobs_pb2.SHOT_CHOICE_PER_LABEL: "per_label",
    jobs_pb2.SHOT_CHOICE_SIMILAR: "similar",
}
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
    given = {field.name for field, _ in spec.ListFields()}
    unused = sorted(given & {"earlier_datasets", "few_shot", "max_evaluation_rows"}) if spec.skip_evaluation else []
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
    if spec.objective == jobs_pb2.OBJECTIVE_UNSPECIFIED:
        spec.objective = jobs_pb2.OBJECTIVE_COMPLETION
    if spec.objective not in _OBJECTIVES:
        mistakes.append(("objective", f"expected COMPLETION, ALL_TOKENS or CLASSIFICATION, found {spec.objective}"))
    copies = {kind: getattr(spec.augmentation, kind) for kind in _MAX_COPIES}
    mistakes += [
        (f"augmentation.{kind}", f"expected 0 to {_MAX_COPIES[kind]}, found {count}")
        for kind, count in copies.items()
        if not 0 <= count <= _MAX_COPIES[kind]
    ]
    mistakes += [(field, "refused beside skip_evaluation, which measures nothing") for field in unused]
    if spec.HasField("patience") and not spec.validation_fraction:
        mistakes.append(("patience", "needs validation rows; expected a validation_fraction above 0"))
    raise_mistakes("job.tune", mistakes)
    optional = {
        field: getattr(spec, field) if spec.HasField(field) else None  # pyright: ignore[reportArgumentType] - as above
        for field, (default, *_) in _TUNE_NUMBERS.items()
        if default is None
    }
    numbers = {field: getattr(spec, field) for field in (*_TUNE_NUMBERS, "alpha")}
    return (
        numbers
        | optional
        | {
            "base_precision": _PRECISIONS[spec.base_precision],
            "objective": _OBJECTIVES[spec.objective],
            "augmentation": {kind: count for kind, count in copies.items() if count},
        }
    )


def require_learnable(spec: jobs_pb2.TuneSpec, data: Mapping[str, Any], architecture: str) -> None:
    """Raises InvalidInput if the model cannot learn the objective of a complete `spec` from the data set, or something
    is asked for that would change nothing.

    Args:
        data: facts of the data set.
        architecture: of the model.
    """
    classifies = spec.objective == jobs_pb2.OBJECTIVE_CLASSIFICATION
    encoder = f"{spec.model} is an encoder ({architecture}), which writes no text"
    mistakes: list[tuple[str, str]] = []
    if classifies and data["task"] != "classify":
        what = f"{spec.dataset} has no labels to learn (its rows are of the shape {data['shape']})"
        mistakes.append(("objective", f"{what}; CLASSIFICATION needs a data set with a label column"))
    if spec.objective == jobs_pb2.OBJECTIVE_ALL_TOKENS and data["shape"] == "preference":
        what = f"the preference pairs of {spec.dataset} say what to reply, not what to ask"
        mistakes.append(("objective", f"{what}; expected COMPLETION, which learns the chosen replies"))
    if classifies and spec.earlier_datasets:
        mistakes.append(("earlier_datasets", "refused beside CLASSIFICATION: a head answers for its own labels alone"))
    if architecture in ENCODERS:
        if not classifies:
            mistakes.append(("objective", f"{encoder}; expected CLASSIFICATION"))
        if spec.HasField("few_shot"):
            mistakes.append(("few_shot", f"refused: {encoder}, so it cannot be asked before it is tuned"))
        if spec.augmentation.paraphrase:
            mistakes.append(("augmentation.paraphrase", f"refused: {encoder}; take the other kinds of copies"))
    raise_mistakes("job.tune", mistakes)


def complete_evaluate(spec: jobs_pb2.EvaluateSpec, slice_columns: Sequence[str]) -> dict[str, Any]:
    """Fills the defaults into `spec` and returns the settings as EvaluateWork takes them.

    Args:
        slice_columns: those that the data set has.

    Raises:
        InvalidInput: a value is out of range, unknown or given twice; `violations` lists all of them.
    """
    mistakes = [
        ("shots", f"expected 0 to {_MAX_SHOTS}, found {count}") for count in spec.shots if not 0 <= count <= _MAX_SHOTS
    ]
    mistakes += [("shots", f"{count} is given twice") for count in repeated(spec.shots)]
    mistakes += [
        (
            "slice_columns",
            f"{column[:80]!r} is none of the data set's: {', '.join(slice_columns)[:500] or 'it has none'}",
        )
        for column in spec.slice_columns
        if column not in slice_columns
    ]
    mistakes += [("slice_columns", f"{column[:80]!r} is given twice") for column in repeated(spec.slice_columns)]
    if not spec.slice_columns:
        spec.slice_columns.extend(slice_columns)
    if spec.shot_choice == jobs_pb2.SHOT_CHOICE_UNSPECIFIED:
        spec.shot_choice = jobs_pb2.SHOT_CHOICE_PER_LABEL
    if spec.shot_choice not in _SHOT_CHOICES:
        mistakes.append(("shot_choice", f"expected PER_LABEL or SIMILAR, found {spec.shot_choice}"))
    mistakes += range_mistakes(spec, "max_rows", 1, _MAX_ROWS)
    if not spec.HasField("seed"):
        spec.seed = 0
    mistakes += range_mistakes(spec, "seed", 0, MAX_SEED)
    raise_mistakes("job.evaluate", mistakes)
    return {
        "shots": list(spec.shots),
        "shot_choice": _SHOT_CHOICES[spec.shot_choice],
        "slice_columns": list(spec.slice_columns),
        "max_rows": spec.max_rows if spec.HasField("max_rows") else None,
        "seed": spec.seed,
    }


def require_used(spec: jobs_pb2.EvaluateSpec, *, takes_shots: bool, forgets: bool) -> None:
    """Raises InvalidInput if something is asked for that would change nothing.

    Args:
        takes_shots: whether rows of the data set are asked with worked examples.
        forgets: whether there is an adapter among the subjects that still answers other questions than its own.
    """
    collections = {subject.partition("/")[0] for subject in spec.subjects}
    mistakes: list[tuple[str, str]] = []
    similar = spec.shot_choice == jobs_pb2.SHOT_CHOICE_SIMILAR
    for field, given in (("shots", bool(spec.shots)), ("shot_choice", similar)):
        if given and "models" not in collections:
            mistakes.append((field, "refused without a model among the subjects: only a base is shown worked examples"))
        elif given and not takes_shots:
            mistakes.append((field, "refused: rows of this data set are read, not asked with worked examples"))
    if spec.earlier_datasets and not forgets:
        what = "refused without an adapter that writes text among the subjects: nothing else forgets"
        mistakes.append(("earlier_datasets", what))
    raise_mistakes("job.evaluate", mistakes)


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


def raise_mistakes(where: str, mistakes: Sequence[tuple[str, str]]) -> None:
    """Raises InvalidInput if there is a mistake; `violations` names each by its field below `where`."""
    if mistakes:
        raise InvalidInput(
            "; ".join(f"{field}: {what}" for field, what in mistakes),
            reason="FIELD_INVALID",
            violations=tuple((f"{where}.{field}", what) for field, what in mistakes),
        )

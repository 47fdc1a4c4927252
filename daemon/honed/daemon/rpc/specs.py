"""Specs of CreateJob: every field checked, every default filled in. Pure; the defaults are those of jobs.proto."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from google.protobuf.message import Message
from honed.architectures import ENCODERS
from honed.daemon.rpc.methods import (
    METHODS,
    OPTIONS,
    default_alpha,
    default_precision,
    option_mistakes,
    precision_mistakes,
)
from honed.daemon.rpc.names import repeated
from honed.errors import InvalidInput
from honed.v1 import jobs_pb2

EPOCHS = 3.0  # default of TuneSpec
MAX_SEED = 2**63 - 1
_MAX_SHOTS = 64
MAX_ROWS = 10_000_000
MAX_RANK = 512
_MAX_PATTERNS = 100
_MAX_PATTERN_CHARACTERS = 200

# field: (default, low, high, low itself allowed)
_TUNE_NUMBERS: dict[str, tuple[float | None, float, float, bool]] = {
    "rank": (16, 1, MAX_RANK, True),
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
    "micro_batch_tokens": (None, 1, 1_000_000, True),
    "few_shot": (None, 0, _MAX_SHOTS, True),
    "max_evaluation_rows": (500, 1, MAX_ROWS, True),
    "replay_fraction": (None, 0, 0.9, True),
    "virtual_tokens": (20, 1, 4096, True),
    "block_size": (32, 2, 1024, True),
    "width": (64, 1, 16384, True),
}
_REPLAY_FRACTION = 0.2
_TAKEN_OVER = (
    "model",
    "base_precision",
    "method",
    "rank",
    "alpha",
)  # by a tuning from the adapter that it goes on from
_MAX_COPIES = {"typos": 10, "casing": 10, "punctuation": 10, "word_dropout": 10, "paraphrase": 4}
_PRECISIONS = {jobs_pb2.BASE_PRECISION_NF4: "nf4", jobs_pb2.BASE_PRECISION_BF16: "bf16"}
_OBJECTIVES: dict[int, Literal["completion", "all_tokens", "classification"]] = {
    jobs_pb2.OBJECTIVE_COMPLETION: "completion",
    jobs_pb2.OBJECTIVE_ALL_TOKENS: "all_tokens",
    jobs_pb2.OBJECTIVE_CLASSIFICATION: "classification",
}
_OPTIMIZERS = {
    jobs_pb2.OPTIMIZER_ADAMW: "adamw",
    jobs_pb2.OPTIMIZER_ADAMW_8BIT: "adamw_8bit",
    jobs_pb2.OPTIMIZER_PAGED_ADAMW_8BIT: "paged_adamw_8bit",
}
_SHOT_CHOICES: dict[int, Literal["per_label", "similar"]] = {
    jobs_pb2.SHOT_CHOICE_PER_LABEL: "per_label",
    jobs_pb2.SHOT_CHOICE_SIMILAR: "similar",
}
_STRATEGIES: dict[int, Literal["grid", "random", "halving"]] = {
    jobs_pb2.SWEEP_STRATEGY_GRID: "grid",
    jobs_pb2.SWEEP_STRATEGY_RANDOM: "random",
    jobs_pb2.SWEEP_STRATEGY_HALVING: "halving",
}
_SEARCHED = {"learning_rate": "learning_rates", "rank": "ranks", "epochs": "epochs"}  # TuneSpec: SweepSpec
_SWEPT = (jobs_pb2.METHOD_LORA, jobs_pb2.METHOD_DORA, jobs_pb2.METHOD_PISSA, jobs_pb2.METHOD_LOFTQ)
_MAX_TRIALS = 1000
_DEFAULT_TRIALS = 20
_MAX_TIME_LIMIT_S = 365 * 24 * 3600
_FORMATS: dict[int, Literal["onnx-int8", "onnx-fp32"]] = {
    jobs_pb2.EXPORT_FORMAT_ONNX_INT8: "onnx-int8",
    jobs_pb2.EXPORT_FORMAT_ONNX_FP32: "onnx-fp32",
}


def take_over(spec: jobs_pb2.TuneSpec, earlier: jobs_pb2.TuneSpec) -> None:
    """Fills into `spec` what the adapter that it goes on from, tuned by `earlier`, settles.

    Raises:
        InvalidInput: something else was given; `violations` lists all of it.
    """
    mistakes: list[tuple[str, str]] = []
    given = {field.name for field, _ in spec.ListFields()}
    for field in _TAKEN_OVER:
        found, expected = getattr(spec, field), getattr(earlier, field)
        if field not in given:
            setattr(spec, field, expected)
        elif found != expected:
            if field == "base_precision":
                found, expected = (_PRECISIONS.get(each, each) for each in (found, expected))
            if field == "method":
                found, expected = (METHODS[each].word if each in METHODS else each for each in (found, expected))
            mistakes.append((field, f"expected {expected}, that of {spec.adapter}, found {found}; leave it out"))
    if list(spec.target_modules) not in ([], list(earlier.target_modules)):
        mistakes.append(("target_modules", f"expected those of {spec.adapter}; leave it out"))
    spec.target_modules[:] = earlier.target_modules
    raise_mistakes("job.tune", mistakes)


def complete_tune(spec: jobs_pb2.TuneSpec) -> dict[str, Any]:
    """Fills the defaults into `spec` and returns the settings as TuneWork takes them.

    Raises:
        InvalidInput: a value is out of range; `violations` lists all of them.
    """
    mistakes: list[tuple[str, str]] = []
    given = {field.name for field, _ in spec.ListFields()}
    unused = sorted(given & {"earlier_datasets", "few_shot", "max_evaluation_rows"}) if spec.skip_evaluation else []
    if spec.method == jobs_pb2.METHOD_UNSPECIFIED:
        spec.method = jobs_pb2.METHOD_LORA
    method = METHODS.get(spec.method)
    if method is None:
        known = ", ".join(name.removeprefix("METHOD_") for name in jobs_pb2.Method.keys()[1:])
        mistakes.append(("method", f"expected one of {known}, found {spec.method}"))
        foreign = OPTIONS  # whose option is whose cannot be said
    else:
        mistakes += option_mistakes(spec, method)
        foreign = OPTIONS - method.options
        if not spec.HasField("learning_rate"):
            spec.learning_rate = method.learning_rate
    for field, (default, low, high, closed) in _TUNE_NUMBERS.items():
        if field in foreign:
            continue
        if not spec.HasField(field) and default is not None:  # pyright: ignore[reportArgumentType] - names of the table
            setattr(spec, field, default)
        mistakes += range_mistakes(spec, field, low, high, closed)
    if spec.HasField("alpha"):
        mistakes += range_mistakes(spec, "alpha", 0, 1e4, closed=False)
    elif "alpha" not in foreign:
        spec.alpha = default_alpha(spec)
    mistakes += _pattern_mistakes(spec.target_modules)
    if spec.base_precision == jobs_pb2.BASE_PRECISION_UNSPECIFIED:
        spec.base_precision = default_precision(spec)
    if spec.base_precision not in _PRECISIONS:
        mistakes.append(("base_precision", f"expected NF4 or BF16, found {spec.base_precision}"))
    if spec.objective == jobs_pb2.OBJECTIVE_UNSPECIFIED:
        spec.objective = jobs_pb2.OBJECTIVE_COMPLETION
    if spec.objective not in _OBJECTIVES:
        mistakes.append(("objective", f"expected COMPLETION, ALL_TOKENS or CLASSIFICATION, found {spec.objective}"))
    if spec.objective == jobs_pb2.OBJECTIVE_CLASSIFICATION:
        mistakes += _head_mistakes(spec)
    if spec.optimizer == jobs_pb2.OPTIMIZER_UNSPECIFIED:
        spec.optimizer = jobs_pb2.OPTIMIZER_ADAMW
    if spec.optimizer not in _OPTIMIZERS:
        mistakes.append(("optimizer", f"expected ADAMW, ADAMW_8BIT or PAGED_ADAMW_8BIT, found {spec.optimizer}"))
    mistakes += precision_mistakes(spec)
    if spec.gradient_checkpointing and method is not None and "virtual_tokens" in method.options:
        mistakes.append(("gradient_checkpointing", f"refused with {method.word}, whose virtual tokens are in a cache"))
    if spec.gradient_checkpointing and spec.compile:
        mistakes.append(("compile", "refused beside gradient_checkpointing; leave one of them out"))
    copies = {kind: getattr(spec.augmentation, kind) for kind in _MAX_COPIES}
    mistakes += [
        (f"augmentation.{kind}", f"expected 0 to {_MAX_COPIES[kind]}, found {count}")
        for kind, count in copies.items()
        if not 0 <= count <= _MAX_COPIES[kind]
    ]
    mistakes += [(field, "refused beside skip_evaluation, which measures nothing") for field in unused]
    if spec.HasField("patience") and not spec.validation_fraction:
        mistakes.append(("patience", "needs validation rows; expected a validation_fraction above 0"))
    if spec.HasField("replay_fraction") and not spec.replay_datasets:
        mistakes.append(("replay_fraction", "refused without replay_datasets: there is nothing to replay"))
    if spec.replay_datasets and not spec.HasField("replay_fraction"):
        spec.replay_fraction = _REPLAY_FRACTION
    raise_mistakes("job.tune", mistakes)
    assert method is not None
    numbers = {
        field: getattr(spec, field) if spec.HasField(field) else None  # pyright: ignore[reportArgumentType] - as above
        for field in (*_TUNE_NUMBERS, "alpha")
    }
    return numbers | {
        "method": method.word,
        "target_modules": list(spec.target_modules),
        "base_precision": _PRECISIONS[spec.base_precision],
        "objective": _OBJECTIVES[spec.objective],
        "optimizer": _OPTIMIZERS[spec.optimizer],
        "gradient_checkpointing": spec.gradient_checkpointing if spec.HasField("gradient_checkpointing") else None,
        "compile": spec.compile if spec.HasField("compile") else None,
        "augmentation": {kind: count for kind, count in copies.items() if count},
    }


def _head_mistakes(spec: jobs_pb2.TuneSpec) -> list[tuple[str, str]]:
    """What cannot stand beside a classification head."""
    mistakes: list[tuple[str, str]] = []
    if spec.method != jobs_pb2.METHOD_LORA:
        word = METHODS[spec.method].word if spec.method in METHODS else spec.method
        mistakes.append(("method", f"expected lora beside CLASSIFICATION, found {word}"))
    if spec.adapter:
        mistakes.append(("adapter", "refused beside CLASSIFICATION: a head is trained with fresh adapters"))
    what = "refused beside CLASSIFICATION: a head answers for its own labels alone"
    return mistakes + [(field, what) for field in ("earlier_datasets", "replay_datasets") if getattr(spec, field)]


def _pattern_mistakes(patterns: Sequence[str]) -> list[tuple[str, str]]:
    mistakes = [
        ("target_modules", f"expected patterns of 1 to {_MAX_PATTERN_CHARACTERS} characters, found {pattern[:20]!r}")
        for pattern in patterns
        if not 1 <= len(pattern) <= _MAX_PATTERN_CHARACTERS
    ]
    if len(patterns) > _MAX_PATTERNS:
        mistakes.append(("target_modules", f"expected at most {_MAX_PATTERNS} patterns, found {len(patterns)}"))
    return mistakes


def complete_sweep(spec: jobs_pb2.SweepSpec) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fills the defaults into `spec`, and returns the settings of its TuneWork and the rest of what SweepWork takes.

    Raises:
        InvalidInput: a value is out of range, or what is asked for is no search; `violations` lists all of them.
    """
    tune, searched = spec.tune, {field: getattr(spec, values) for field, values in _SEARCHED.items()}
    if spec.strategy == jobs_pb2.SWEEP_STRATEGY_UNSPECIFIED:
        spec.strategy = jobs_pb2.SWEEP_STRATEGY_GRID
    if not spec.HasField("max_trials"):
        spec.max_trials = _DEFAULT_TRIALS
    limit_s = spec.time_limit.seconds + spec.time_limit.nanos / 1e9 if spec.HasField("time_limit") else None
    mistakes = _search_mistakes(spec)
    if limit_s is not None and not 0 < limit_s <= _MAX_TIME_LIMIT_S:
        mistakes.append(("time_limit", f"expected above 0 to {_MAX_TIME_LIMIT_S} s, found {limit_s:g} s"))
    alpha = tune.alpha if tune.HasField("alpha") else None
    settings: dict[str, Any] = {}
    try:
        settings = complete_tune(tune)
    except InvalidInput as error:
        mistakes += [(name.removeprefix("job."), what) for name, what in error.violations]
    if tune.adapter:
        mistakes.append(("tune.adapter", "refused: every trial of a sweep begins with fresh adapters"))
    if tune.method not in _SWEPT:
        known = ", ".join(METHODS[method].word for method in _SWEPT)
        mistakes.append(("tune.method", f"expected one of {known}"))
    if tune.objective == jobs_pb2.OBJECTIVE_CLASSIFICATION:
        mistakes.append(
            ("tune.objective", "refused in a sweep, which does not search for heads yet; tune it by itself")
        )
    if not tune.validation_fraction:
        mistakes.append(("tune.validation_fraction", "expected above 0: trials are compared on validation rows"))
    if spec.strategy == jobs_pb2.SWEEP_STRATEGY_HALVING and max(spec.epochs or [tune.epochs]) <= 1:
        mistakes.append(("epochs", "expected more than 1 for HALVING, which gives trials up after an epoch"))
    raise_mistakes("job.sweep", mistakes)
    for field, values in searched.items():
        if values:  # each trial's own
            tune.ClearField(field)  # pyright: ignore[reportArgumentType] - names of the table
    if alpha is None and spec.ranks:
        tune.ClearField("alpha")
    return settings, {
        **{_SEARCHED[field]: list(values) or [settings[field]] for field, values in searched.items()},
        "alpha": alpha,
        "strategy": _STRATEGIES[spec.strategy],
        "trials": spec.max_trials,
        "time_limit_s": limit_s,
    }


def _search_mistakes(spec: jobs_pb2.SweepSpec) -> list[tuple[str, str]]:
    """What is wrong with the values to try, their number, and how they are tried."""
    mistakes: list[tuple[str, str]] = []
    counts: list[int] = []
    for field, name in _SEARCHED.items():
        values: Sequence[Any] = getattr(spec, name)
        counts.append(max(1, len(values)))
        if values and spec.tune.HasField(field):  # pyright: ignore[reportArgumentType] - names of the table
            mistakes.append((f"tune.{field}", f"refused beside {name}, which gives the values to try"))
        _, low, high, closed = _TUNE_NUMBERS[field]
        for value in values:
            one: dict[str, Any] = {field: value}
            mistakes += [(name, what) for _, what in range_mistakes(jobs_pb2.TuneSpec(**one), field, low, high, closed)]
        mistakes += [(name, f"{value:g} is given twice") for value in repeated(values)]
    if max(counts) < 2:
        mistakes.append(("learning_rates", "expected two or more, or two or more ranks or epochs, to search among"))
    if spec.strategy not in _STRATEGIES:
        mistakes.append(("strategy", f"expected GRID, RANDOM or HALVING, found {spec.strategy}"))
    mistakes += range_mistakes(spec, "max_trials", 1, _MAX_TRIALS)
    combinations = math.prod(counts)
    if spec.strategy == jobs_pb2.SWEEP_STRATEGY_GRID and combinations > spec.max_trials:
        grid = " x ".join(map(str, counts))
        mistakes.append(
            ("max_trials", f"expected {combinations} or more for a grid of {grid} trials, found {spec.max_trials}")
        )
    return mistakes


def require_learnable(spec: jobs_pb2.TuneSpec, data: Mapping[str, Any], architecture: str, where: str) -> None:
    """Raises InvalidInput if the model cannot learn the objective of a complete `spec` from the data set, or something
    is asked for that would change nothing.

    Args:
        data: facts of the data set.
        architecture: of the model.
        where: the field that the spec is.
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
    if architecture in ENCODERS:
        if not classifies:
            mistakes.append(("objective", f"{encoder}; expected CLASSIFICATION"))
        if spec.HasField("few_shot"):
            mistakes.append(("few_shot", f"refused: {encoder}, so it cannot be asked before it is tuned"))
        if spec.augmentation.paraphrase:
            mistakes.append(("augmentation.paraphrase", f"refused: {encoder}; take the other kinds of copies"))
    raise_mistakes(where, mistakes)


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
    mistakes += range_mistakes(spec, "max_rows", 1, MAX_ROWS)
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

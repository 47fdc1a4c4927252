"""What the control plane and a worker say to each other: specs, events and failures, as JSON on disk.

A job folder holds `spec.json` (written once by the control plane), `events.jsonl` (appended by the worker, one event a
line, numbered from 1) and `output/` (what the worker made; published by the control plane, never by the worker). They
are new at each attempt. `checkpoints/` stays until the job has ended, and if it failed until it is deleted: a worker of
a `resumable` kind keeps there what the next attempt goes on from, each checkpoint in a folder. SIGTERM tells such a
worker to finish its step, write a checkpoint and exit with status 0, without a result or a failure; it may come more
than once.
Standard library only.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

SPEC_FILE = "spec.json"
EVENTS_FILE = "events.jsonl"
OUTPUT_FOLDER = "output"
CHECKPOINTS_FOLDER = "checkpoints"
STDERR_FILE = "stderr.log"


@dataclass(frozen=True)
class Limits:
    """What a worker that parses untrusted bytes may use; None means no limit."""

    cpu_s: int | None = None
    memory_bytes: int | None = None
    wall_s: float | None = None


@dataclass(frozen=True)
class Work:
    """Base of all specs; `kind` selects the handler.

    Attributes:
        resumable: whether a later attempt goes on from the checkpoints of an earlier one.
        awaited: whether somebody waits for it within a call; other work gives way to it, and to what is served.
    """

    kind: ClassVar[str]
    awaited: ClassVar[bool] = False
    resumable: ClassVar[bool] = False


@dataclass(frozen=True)
class IngestWork(Work):
    """Parse, check and split an uploaded table.

    Its result: digest, size_bytes and facts {format, shape, task, template (JSON or None), columns, parameters,
    train_rows, test_rows, labels, slice_columns, report}; enums by their lower-case names, `report` as JSON of
    honed.v1.DataReport.
    """

    kind: ClassVar[str] = "ingest"
    awaited: ClassVar[bool] = True
    train_file: str
    test_file: str | None
    format: str | None
    shape: str | None
    template: dict[str, Any] | None
    columns: dict[str, list[str]]
    parameters: dict[str, str]
    verbalizer: dict[str, str]
    instruction: str
    test_fraction: float
    seed: int
    group_column: str
    id_column: str | None
    model: str | None
    model_name: str
    long_rows: Literal["refuse", "drop", "split"]


@dataclass(frozen=True)
class PreviewWork(Work):
    """Render the first training rows for one model.

    Its result: rows [{row, tokens [{id, text, trained}]}], lengths (JSON of honed.v1.Distribution), trained_tokens.
    """

    kind: ClassVar[str] = "preview"
    awaited: ClassVar[bool] = True
    dataset: str
    model: str
    rows: int


@dataclass(frozen=True)
class CheckTemplateWork(Work):
    """Check a template that a user wrote; its result: digest, and the template in canonical JSON."""

    kind: ClassVar[str] = "check_template"
    awaited: ClassVar[bool] = True
    template: dict[str, Any]


@dataclass(frozen=True)
class ImportWork(Work):
    """Check a model folder or GGUF file, convert it, and build the base's serving graph.

    Of an encoder, which has none, its result holds the model alone. `serving_export` is the graph's name.
    """

    kind: ClassVar[str] = "import_model"
    source: str
    serving_export: str
    expected_sha256: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class TuneWork(Work):
    """Fine-tune; every setting is final, the defaults filled in. What belongs to another method is None.

    `micro_batch_tokens`, `gradient_checkpointing` and `compile` are chosen by the worker where they are None;
    `memory_bytes` is what it may use at most, None for what is there.
    `earlier` and `replay`: {name, folder} of data sets on which forgetting is measured, and of which rows are mixed in.
    `adapter`: folder of the adapter to go on from, if any.
    """

    kind: ClassVar[str] = "tune"
    resumable: ClassVar[bool] = True
    model: str
    dataset: str
    base_precision: Literal["nf4", "bf16"]
    method: str
    rank: int | None
    alpha: float | None
    dropout: float | None
    target_modules: list[str]
    virtual_tokens: int | None
    block_size: int | None
    width: int | None
    learning_rate: float
    epochs: float
    max_steps: int | None
    batch_size: int
    warmup_fraction: float
    max_gradient_norm: float
    weight_decay: float
    seed: int
    validation_fraction: float
    label_smoothing: float
    noise_alpha: float
    patience: int | None
    objective: Literal["completion", "all_tokens", "classification"]
    few_shot: int | None
    evaluate: bool
    model_name: str
    dataset_name: str
    adapter_name: str
    max_evaluation_rows: int
    checkpoint_every_s: float
    optimizer: Literal["adamw", "adamw_8bit", "paged_adamw_8bit"]
    micro_batch_tokens: int | None
    gradient_checkpointing: bool | None
    compile: bool | None
    memory_bytes: int | None
    earlier: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    augmentation: dict[str, int] = field(default_factory=dict[str, int])
    adapter: str | None = None
    replay: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    replay_fraction: float | None = None


@dataclass(frozen=True)
class PlanWork(Work):
    """What a tuning would do. `tune` holds the fields of its TuneWork.

    Its result: the fields of honed.v1.JobPlan, `duration_s` in seconds.
    """

    kind: ClassVar[str] = "plan"
    tune: dict[str, Any]


@dataclass(frozen=True)
class SweepWork(Work):
    """Fine-tune with several settings and keep the best; its result is that of TuneWork.

    The adapter's facts have two more: `searched`, the settings that won, by their field in honed.v1.TuneSpec, and
    `trials`, each as in its event.

    Attributes:
        tune: fields of a TuneWork; learning_rate, rank, epochs and alpha are each trial's own.
        alpha: of every trial; None: twice its rank.
        trials: how many are drawn; a grid has as many as it has combinations.
    """

    kind: ClassVar[str] = "sweep"
    resumable: ClassVar[bool] = True
    tune: dict[str, Any]
    learning_rates: list[float]
    ranks: list[int]
    epochs: list[float]
    alpha: float | None
    strategy: Literal["grid", "random", "halving"]
    trials: int
    time_limit_s: float | None


@dataclass(frozen=True)
class EvaluateWork(Work):
    """Evaluate bases, adapters and exports on the same test rows; makes output/report.

    `subjects`: {name, model, adapter, export}, folders but for the name, adapter and export empty where there is none.
    `earlier`: {name, folder} of data sets on which forgetting is measured.
    """

    kind: ClassVar[str] = "evaluate"
    dataset: str
    dataset_name: str
    subjects: list[dict[str, str]]
    shots: list[int]
    shot_choice: Literal["per_label", "similar"]
    slice_columns: list[str]
    earlier: list[dict[str, str]]
    max_rows: int | None
    seed: int


@dataclass(frozen=True)
class ExportWork(Work):
    """Merge an adapter (or take the bare base), build the graph, and measure its parity."""

    kind: ClassVar[str] = "export"
    model: str
    adapter: str | None
    dataset: str | None
    dataset_name: str
    format: Literal["onnx-int8", "onnx-fp32"]


@dataclass(frozen=True)
class CombineWork(Work):
    """Combine adapters of one contract into a new one, and evaluate it; makes output/adapter.

    `sources`: {name, folder} of the adapters; `weights` theirs, in the same order. `rank`: that of the new adapter.
    With a data set there is output/report too; `earlier`: as in EvaluateWork.
    """

    kind: ClassVar[str] = "combine"
    model: str
    sources: list[dict[str, str]]
    weights: list[float]
    method: Literal["linear", "cat", "svd", "ties", "dare_linear", "dare_ties"]
    rank: int
    density: float | None
    seed: int
    adapter_name: str
    dataset: str | None
    dataset_name: str
    max_evaluation_rows: int
    earlier: list[dict[str, str]]
    target_modules: list[str]


WORKS: dict[str, type[Work]] = {
    work.kind: work
    for work in (
        IngestWork,
        PreviewWork,
        CheckTemplateWork,
        ImportWork,
        TuneWork,
        PlanWork,
        SweepWork,
        CombineWork,
        EvaluateWork,
        ExportWork,
    )
}


def write_spec(folder: Path, work: Work, limits: Limits | None = None) -> None:
    """Writes spec.json."""
    spec = {"kind": work.kind, "work": asdict(work), "limits": asdict(limits or Limits())}
    (folder / SPEC_FILE).write_text(json.dumps(spec, indent=1), "utf-8")


def read_spec(folder: Path) -> tuple[Work, Limits]:
    """Reads spec.json."""
    spec = json.loads((folder / SPEC_FILE).read_text("utf-8"))
    return WORKS[spec["kind"]](**spec["work"]), Limits(**spec["limits"])


@dataclass(frozen=True)
class Event:
    """One line of events.jsonl.

    `data` by kind: phase {"phase"}; progress: the fields of honed.v1.Progress, `eta_s` in seconds; log {"text"};
    evaluation: the fields of honed.v1.Evaluation; trial: the fields of honed.v1.Trial, `state` in lower case and
    `seconds` for its duration; result: facts of what was made; failure: a `honed.errors.Failure`.
    The control plane adds state {"state"}.
    """

    sequence: int
    time: str
    kind: Literal["phase", "progress", "log", "evaluation", "trial", "result", "failure", "state"]
    data: dict[str, Any]

    def to_line(self) -> bytes:
        return json.dumps(asdict(self), ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Self:
        return cls(**json.loads(line))


def now() -> str:
    """The time as RFC 3339, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def read_events(path: Path, after_bytes: int) -> Iterator[tuple[Event, int]]:
    """Whole events from a byte offset on, each with the offset behind it. A line still being written is left."""
    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(after_bytes)
        for line in file:
            if not line.endswith(b"\n"):
                return
            after_bytes += len(line)
            yield Event.from_line(line), after_bytes

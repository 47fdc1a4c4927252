import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from honed.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BasePrecision(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    BASE_PRECISION_UNSPECIFIED: _ClassVar[BasePrecision]
    BASE_PRECISION_NF4: _ClassVar[BasePrecision]
    BASE_PRECISION_BF16: _ClassVar[BasePrecision]

class Objective(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OBJECTIVE_UNSPECIFIED: _ClassVar[Objective]
    OBJECTIVE_COMPLETION: _ClassVar[Objective]
    OBJECTIVE_ALL_TOKENS: _ClassVar[Objective]
    OBJECTIVE_CLASSIFICATION: _ClassVar[Objective]

class Method(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    METHOD_UNSPECIFIED: _ClassVar[Method]
    METHOD_LORA: _ClassVar[Method]
    METHOD_RSLORA: _ClassVar[Method]
    METHOD_DORA: _ClassVar[Method]
    METHOD_PISSA: _ClassVar[Method]
    METHOD_LOFTQ: _ClassVar[Method]
    METHOD_IA3: _ClassVar[Method]
    METHOD_OFT: _ClassVar[Method]
    METHOD_PREFIX: _ClassVar[Method]
    METHOD_PROMPT: _ClassVar[Method]
    METHOD_BOTTLENECK: _ClassVar[Method]
    METHOD_FULL: _ClassVar[Method]

class Optimizer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OPTIMIZER_UNSPECIFIED: _ClassVar[Optimizer]
    OPTIMIZER_ADAMW: _ClassVar[Optimizer]
    OPTIMIZER_ADAMW_8BIT: _ClassVar[Optimizer]
    OPTIMIZER_PAGED_ADAMW_8BIT: _ClassVar[Optimizer]

class SweepStrategy(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SWEEP_STRATEGY_UNSPECIFIED: _ClassVar[SweepStrategy]
    SWEEP_STRATEGY_GRID: _ClassVar[SweepStrategy]
    SWEEP_STRATEGY_RANDOM: _ClassVar[SweepStrategy]
    SWEEP_STRATEGY_HALVING: _ClassVar[SweepStrategy]

class ShotChoice(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SHOT_CHOICE_UNSPECIFIED: _ClassVar[ShotChoice]
    SHOT_CHOICE_PER_LABEL: _ClassVar[ShotChoice]
    SHOT_CHOICE_SIMILAR: _ClassVar[ShotChoice]

class CombineMethod(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COMBINE_METHOD_UNSPECIFIED: _ClassVar[CombineMethod]
    COMBINE_METHOD_LINEAR: _ClassVar[CombineMethod]
    COMBINE_METHOD_CAT: _ClassVar[CombineMethod]
    COMBINE_METHOD_SVD: _ClassVar[CombineMethod]
    COMBINE_METHOD_TIES: _ClassVar[CombineMethod]
    COMBINE_METHOD_DARE_LINEAR: _ClassVar[CombineMethod]
    COMBINE_METHOD_DARE_TIES: _ClassVar[CombineMethod]

class ExportFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EXPORT_FORMAT_UNSPECIFIED: _ClassVar[ExportFormat]
    EXPORT_FORMAT_ONNX_INT8: _ClassVar[ExportFormat]
    EXPORT_FORMAT_ONNX_FP32: _ClassVar[ExportFormat]
BASE_PRECISION_UNSPECIFIED: BasePrecision
BASE_PRECISION_NF4: BasePrecision
BASE_PRECISION_BF16: BasePrecision
OBJECTIVE_UNSPECIFIED: Objective
OBJECTIVE_COMPLETION: Objective
OBJECTIVE_ALL_TOKENS: Objective
OBJECTIVE_CLASSIFICATION: Objective
METHOD_UNSPECIFIED: Method
METHOD_LORA: Method
METHOD_RSLORA: Method
METHOD_DORA: Method
METHOD_PISSA: Method
METHOD_LOFTQ: Method
METHOD_IA3: Method
METHOD_OFT: Method
METHOD_PREFIX: Method
METHOD_PROMPT: Method
METHOD_BOTTLENECK: Method
METHOD_FULL: Method
OPTIMIZER_UNSPECIFIED: Optimizer
OPTIMIZER_ADAMW: Optimizer
OPTIMIZER_ADAMW_8BIT: Optimizer
OPTIMIZER_PAGED_ADAMW_8BIT: Optimizer
SWEEP_STRATEGY_UNSPECIFIED: SweepStrategy
SWEEP_STRATEGY_GRID: SweepStrategy
SWEEP_STRATEGY_RANDOM: SweepStrategy
SWEEP_STRATEGY_HALVING: SweepStrategy
SHOT_CHOICE_UNSPECIFIED: ShotChoice
SHOT_CHOICE_PER_LABEL: ShotChoice
SHOT_CHOICE_SIMILAR: ShotChoice
COMBINE_METHOD_UNSPECIFIED: CombineMethod
COMBINE_METHOD_LINEAR: CombineMethod
COMBINE_METHOD_CAT: CombineMethod
COMBINE_METHOD_SVD: CombineMethod
COMBINE_METHOD_TIES: CombineMethod
COMBINE_METHOD_DARE_LINEAR: CombineMethod
COMBINE_METHOD_DARE_TIES: CombineMethod
EXPORT_FORMAT_UNSPECIFIED: ExportFormat
EXPORT_FORMAT_ONNX_INT8: ExportFormat
EXPORT_FORMAT_ONNX_FP32: ExportFormat

class Job(_message.Message):
    __slots__ = ("name", "owner", "state", "phase", "create_time", "start_time", "end_time", "attempt", "import_model", "tune", "evaluate", "export", "sweep", "combine", "progress", "error", "result", "evaluations", "plan", "trials")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Job.State]
        STATE_QUEUED: _ClassVar[Job.State]
        STATE_RUNNING: _ClassVar[Job.State]
        STATE_SUCCEEDED: _ClassVar[Job.State]
        STATE_FAILED: _ClassVar[Job.State]
        STATE_CANCELLED: _ClassVar[Job.State]
        STATE_PAUSED: _ClassVar[Job.State]
    STATE_UNSPECIFIED: Job.State
    STATE_QUEUED: Job.State
    STATE_RUNNING: Job.State
    STATE_SUCCEEDED: Job.State
    STATE_FAILED: Job.State
    STATE_CANCELLED: Job.State
    STATE_PAUSED: Job.State
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    IMPORT_MODEL_FIELD_NUMBER: _ClassVar[int]
    TUNE_FIELD_NUMBER: _ClassVar[int]
    EVALUATE_FIELD_NUMBER: _ClassVar[int]
    EXPORT_FIELD_NUMBER: _ClassVar[int]
    SWEEP_FIELD_NUMBER: _ClassVar[int]
    COMBINE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    name: str
    owner: str
    state: Job.State
    phase: str
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    attempt: int
    import_model: ImportModelSpec
    tune: TuneSpec
    evaluate: EvaluateSpec
    export: ExportSpec
    sweep: SweepSpec
    combine: CombineSpec
    progress: _types_pb2.Progress
    error: JobError
    result: str
    evaluations: _containers.RepeatedCompositeFieldContainer[_types_pb2.Evaluation]
    plan: JobPlan
    trials: _containers.RepeatedCompositeFieldContainer[Trial]
    def __init__(self, name: _Optional[str] = ..., owner: _Optional[str] = ..., state: _Optional[_Union[Job.State, str]] = ..., phase: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., attempt: _Optional[int] = ..., import_model: _Optional[_Union[ImportModelSpec, _Mapping]] = ..., tune: _Optional[_Union[TuneSpec, _Mapping]] = ..., evaluate: _Optional[_Union[EvaluateSpec, _Mapping]] = ..., export: _Optional[_Union[ExportSpec, _Mapping]] = ..., sweep: _Optional[_Union[SweepSpec, _Mapping]] = ..., combine: _Optional[_Union[CombineSpec, _Mapping]] = ..., progress: _Optional[_Union[_types_pb2.Progress, _Mapping]] = ..., error: _Optional[_Union[JobError, _Mapping]] = ..., result: _Optional[str] = ..., evaluations: _Optional[_Iterable[_Union[_types_pb2.Evaluation, _Mapping]]] = ..., plan: _Optional[_Union[JobPlan, _Mapping]] = ..., trials: _Optional[_Iterable[_Union[Trial, _Mapping]]] = ...) -> None: ...

class JobError(_message.Message):
    __slots__ = ("code", "reason", "message", "metadata")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: str
    message: str
    metadata: _containers.ScalarMap[str, str]
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ...) -> None: ...

class ImportModelSpec(_message.Message):
    __slots__ = ("model_id", "source")
    MODEL_ID_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    model_id: str
    source: str
    def __init__(self, model_id: _Optional[str] = ..., source: _Optional[str] = ...) -> None: ...

class TuneSpec(_message.Message):
    __slots__ = ("model", "dataset", "adapter_id", "base_precision", "rank", "alpha", "dropout", "learning_rate", "epochs", "max_steps", "batch_size", "warmup_fraction", "max_gradient_norm", "weight_decay", "seed", "validation_fraction", "few_shot", "skip_evaluation", "max_evaluation_rows", "earlier_datasets", "augmentation", "label_smoothing", "noise_alpha", "patience", "method", "target_modules", "virtual_tokens", "block_size", "width", "objective", "adapter", "replay_datasets", "replay_fraction", "micro_batch_tokens", "gradient_checkpointing", "optimizer", "compile")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_ID_FIELD_NUMBER: _ClassVar[int]
    BASE_PRECISION_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    ALPHA_FIELD_NUMBER: _ClassVar[int]
    DROPOUT_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    WARMUP_FRACTION_FIELD_NUMBER: _ClassVar[int]
    MAX_GRADIENT_NORM_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_DECAY_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_FRACTION_FIELD_NUMBER: _ClassVar[int]
    FEW_SHOT_FIELD_NUMBER: _ClassVar[int]
    SKIP_EVALUATION_FIELD_NUMBER: _ClassVar[int]
    MAX_EVALUATION_ROWS_FIELD_NUMBER: _ClassVar[int]
    EARLIER_DATASETS_FIELD_NUMBER: _ClassVar[int]
    AUGMENTATION_FIELD_NUMBER: _ClassVar[int]
    LABEL_SMOOTHING_FIELD_NUMBER: _ClassVar[int]
    NOISE_ALPHA_FIELD_NUMBER: _ClassVar[int]
    PATIENCE_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    TARGET_MODULES_FIELD_NUMBER: _ClassVar[int]
    VIRTUAL_TOKENS_FIELD_NUMBER: _ClassVar[int]
    BLOCK_SIZE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    OBJECTIVE_FIELD_NUMBER: _ClassVar[int]
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    REPLAY_DATASETS_FIELD_NUMBER: _ClassVar[int]
    REPLAY_FRACTION_FIELD_NUMBER: _ClassVar[int]
    MICRO_BATCH_TOKENS_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_CHECKPOINTING_FIELD_NUMBER: _ClassVar[int]
    OPTIMIZER_FIELD_NUMBER: _ClassVar[int]
    COMPILE_FIELD_NUMBER: _ClassVar[int]
    model: str
    dataset: str
    adapter_id: str
    base_precision: BasePrecision
    rank: int
    alpha: float
    dropout: float
    learning_rate: float
    epochs: float
    max_steps: int
    batch_size: int
    warmup_fraction: float
    max_gradient_norm: float
    weight_decay: float
    seed: int
    validation_fraction: float
    few_shot: int
    skip_evaluation: bool
    max_evaluation_rows: int
    earlier_datasets: _containers.RepeatedScalarFieldContainer[str]
    augmentation: Augmentation
    label_smoothing: float
    noise_alpha: float
    patience: int
    method: Method
    target_modules: _containers.RepeatedScalarFieldContainer[str]
    virtual_tokens: int
    block_size: int
    width: int
    objective: Objective
    adapter: str
    replay_datasets: _containers.RepeatedScalarFieldContainer[str]
    replay_fraction: float
    micro_batch_tokens: int
    gradient_checkpointing: bool
    optimizer: Optimizer
    compile: bool
    def __init__(self, model: _Optional[str] = ..., dataset: _Optional[str] = ..., adapter_id: _Optional[str] = ..., base_precision: _Optional[_Union[BasePrecision, str]] = ..., rank: _Optional[int] = ..., alpha: _Optional[float] = ..., dropout: _Optional[float] = ..., learning_rate: _Optional[float] = ..., epochs: _Optional[float] = ..., max_steps: _Optional[int] = ..., batch_size: _Optional[int] = ..., warmup_fraction: _Optional[float] = ..., max_gradient_norm: _Optional[float] = ..., weight_decay: _Optional[float] = ..., seed: _Optional[int] = ..., validation_fraction: _Optional[float] = ..., few_shot: _Optional[int] = ..., skip_evaluation: _Optional[bool] = ..., max_evaluation_rows: _Optional[int] = ..., earlier_datasets: _Optional[_Iterable[str]] = ..., augmentation: _Optional[_Union[Augmentation, _Mapping]] = ..., label_smoothing: _Optional[float] = ..., noise_alpha: _Optional[float] = ..., patience: _Optional[int] = ..., method: _Optional[_Union[Method, str]] = ..., target_modules: _Optional[_Iterable[str]] = ..., virtual_tokens: _Optional[int] = ..., block_size: _Optional[int] = ..., width: _Optional[int] = ..., objective: _Optional[_Union[Objective, str]] = ..., adapter: _Optional[str] = ..., replay_datasets: _Optional[_Iterable[str]] = ..., replay_fraction: _Optional[float] = ..., micro_batch_tokens: _Optional[int] = ..., gradient_checkpointing: _Optional[bool] = ..., optimizer: _Optional[_Union[Optimizer, str]] = ..., compile: _Optional[bool] = ...) -> None: ...

class JobPlan(_message.Message):
    __slots__ = ("train_rows", "validation_rows", "epoch_tokens", "longest_row_tokens", "steps", "trainable_parameters", "needed_bytes", "device_bytes", "micro_batch_tokens", "gradient_checkpointing", "compute_dtype", "duration", "compiled")
    TRAIN_ROWS_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_ROWS_FIELD_NUMBER: _ClassVar[int]
    EPOCH_TOKENS_FIELD_NUMBER: _ClassVar[int]
    LONGEST_ROW_TOKENS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    NEEDED_BYTES_FIELD_NUMBER: _ClassVar[int]
    DEVICE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MICRO_BATCH_TOKENS_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_CHECKPOINTING_FIELD_NUMBER: _ClassVar[int]
    COMPUTE_DTYPE_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    COMPILED_FIELD_NUMBER: _ClassVar[int]
    train_rows: int
    validation_rows: int
    epoch_tokens: int
    longest_row_tokens: int
    steps: int
    trainable_parameters: int
    needed_bytes: int
    device_bytes: int
    micro_batch_tokens: int
    gradient_checkpointing: bool
    compute_dtype: str
    duration: _duration_pb2.Duration
    compiled: bool
    def __init__(self, train_rows: _Optional[int] = ..., validation_rows: _Optional[int] = ..., epoch_tokens: _Optional[int] = ..., longest_row_tokens: _Optional[int] = ..., steps: _Optional[int] = ..., trainable_parameters: _Optional[int] = ..., needed_bytes: _Optional[int] = ..., device_bytes: _Optional[int] = ..., micro_batch_tokens: _Optional[int] = ..., gradient_checkpointing: _Optional[bool] = ..., compute_dtype: _Optional[str] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., compiled: _Optional[bool] = ...) -> None: ...

class Augmentation(_message.Message):
    __slots__ = ("typos", "casing", "punctuation", "word_dropout", "paraphrase")
    TYPOS_FIELD_NUMBER: _ClassVar[int]
    CASING_FIELD_NUMBER: _ClassVar[int]
    PUNCTUATION_FIELD_NUMBER: _ClassVar[int]
    WORD_DROPOUT_FIELD_NUMBER: _ClassVar[int]
    PARAPHRASE_FIELD_NUMBER: _ClassVar[int]
    typos: int
    casing: int
    punctuation: int
    word_dropout: int
    paraphrase: int
    def __init__(self, typos: _Optional[int] = ..., casing: _Optional[int] = ..., punctuation: _Optional[int] = ..., word_dropout: _Optional[int] = ..., paraphrase: _Optional[int] = ...) -> None: ...

class SweepSpec(_message.Message):
    __slots__ = ("tune", "learning_rates", "ranks", "epochs", "strategy", "max_trials", "time_limit")
    TUNE_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATES_FIELD_NUMBER: _ClassVar[int]
    RANKS_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    MAX_TRIALS_FIELD_NUMBER: _ClassVar[int]
    TIME_LIMIT_FIELD_NUMBER: _ClassVar[int]
    tune: TuneSpec
    learning_rates: _containers.RepeatedScalarFieldContainer[float]
    ranks: _containers.RepeatedScalarFieldContainer[int]
    epochs: _containers.RepeatedScalarFieldContainer[float]
    strategy: SweepStrategy
    max_trials: int
    time_limit: _duration_pb2.Duration
    def __init__(self, tune: _Optional[_Union[TuneSpec, _Mapping]] = ..., learning_rates: _Optional[_Iterable[float]] = ..., ranks: _Optional[_Iterable[int]] = ..., epochs: _Optional[_Iterable[float]] = ..., strategy: _Optional[_Union[SweepStrategy, str]] = ..., max_trials: _Optional[int] = ..., time_limit: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Trial(_message.Message):
    __slots__ = ("number", "learning_rate", "rank", "epochs", "state", "validation_loss", "steps", "duration", "message")
    class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATE_UNSPECIFIED: _ClassVar[Trial.State]
        STATE_COMPLETE: _ClassVar[Trial.State]
        STATE_PRUNED: _ClassVar[Trial.State]
        STATE_FAILED: _ClassVar[Trial.State]
    STATE_UNSPECIFIED: Trial.State
    STATE_COMPLETE: Trial.State
    STATE_PRUNED: Trial.State
    STATE_FAILED: Trial.State
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    EPOCHS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_LOSS_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    number: int
    learning_rate: float
    rank: int
    epochs: float
    state: Trial.State
    validation_loss: float
    steps: int
    duration: _duration_pb2.Duration
    message: str
    def __init__(self, number: _Optional[int] = ..., learning_rate: _Optional[float] = ..., rank: _Optional[int] = ..., epochs: _Optional[float] = ..., state: _Optional[_Union[Trial.State, str]] = ..., validation_loss: _Optional[float] = ..., steps: _Optional[int] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., message: _Optional[str] = ...) -> None: ...

class EvaluateSpec(_message.Message):
    __slots__ = ("subjects", "dataset", "shots", "shot_choice", "slice_columns", "earlier_datasets", "max_rows", "seed")
    SUBJECTS_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    SHOTS_FIELD_NUMBER: _ClassVar[int]
    SHOT_CHOICE_FIELD_NUMBER: _ClassVar[int]
    SLICE_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    EARLIER_DATASETS_FIELD_NUMBER: _ClassVar[int]
    MAX_ROWS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    subjects: _containers.RepeatedScalarFieldContainer[str]
    dataset: str
    shots: _containers.RepeatedScalarFieldContainer[int]
    shot_choice: ShotChoice
    slice_columns: _containers.RepeatedScalarFieldContainer[str]
    earlier_datasets: _containers.RepeatedScalarFieldContainer[str]
    max_rows: int
    seed: int
    def __init__(self, subjects: _Optional[_Iterable[str]] = ..., dataset: _Optional[str] = ..., shots: _Optional[_Iterable[int]] = ..., shot_choice: _Optional[_Union[ShotChoice, str]] = ..., slice_columns: _Optional[_Iterable[str]] = ..., earlier_datasets: _Optional[_Iterable[str]] = ..., max_rows: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class WeightedAdapter(_message.Message):
    __slots__ = ("adapter", "weight")
    ADAPTER_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    adapter: str
    weight: float
    def __init__(self, adapter: _Optional[str] = ..., weight: _Optional[float] = ...) -> None: ...

class CombineSpec(_message.Message):
    __slots__ = ("adapter_id", "adapters", "method", "rank", "density", "seed", "dataset", "skip_evaluation", "max_evaluation_rows")
    ADAPTER_ID_FIELD_NUMBER: _ClassVar[int]
    ADAPTERS_FIELD_NUMBER: _ClassVar[int]
    METHOD_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    DENSITY_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    SKIP_EVALUATION_FIELD_NUMBER: _ClassVar[int]
    MAX_EVALUATION_ROWS_FIELD_NUMBER: _ClassVar[int]
    adapter_id: str
    adapters: _containers.RepeatedCompositeFieldContainer[WeightedAdapter]
    method: CombineMethod
    rank: int
    density: float
    seed: int
    dataset: str
    skip_evaluation: bool
    max_evaluation_rows: int
    def __init__(self, adapter_id: _Optional[str] = ..., adapters: _Optional[_Iterable[_Union[WeightedAdapter, _Mapping]]] = ..., method: _Optional[_Union[CombineMethod, str]] = ..., rank: _Optional[int] = ..., density: _Optional[float] = ..., seed: _Optional[int] = ..., dataset: _Optional[str] = ..., skip_evaluation: _Optional[bool] = ..., max_evaluation_rows: _Optional[int] = ...) -> None: ...

class ExportSpec(_message.Message):
    __slots__ = ("source", "export_id", "format", "dataset")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    EXPORT_ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    source: str
    export_id: str
    format: ExportFormat
    dataset: str
    def __init__(self, source: _Optional[str] = ..., export_id: _Optional[str] = ..., format: _Optional[_Union[ExportFormat, str]] = ..., dataset: _Optional[str] = ...) -> None: ...

class CreateJobRequest(_message.Message):
    __slots__ = ("job", "request_id", "validate_only")
    JOB_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    job: Job
    request_id: str
    validate_only: bool
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ..., request_id: _Optional[str] = ..., validate_only: _Optional[bool] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchJobRequest(_message.Message):
    __slots__ = ("name", "after_sequence")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    after_sequence: int
    def __init__(self, name: _Optional[str] = ..., after_sequence: _Optional[int] = ...) -> None: ...

class WatchJobResponse(_message.Message):
    __slots__ = ("event",)
    EVENT_FIELD_NUMBER: _ClassVar[int]
    event: JobEvent
    def __init__(self, event: _Optional[_Union[JobEvent, _Mapping]] = ...) -> None: ...

class JobEvent(_message.Message):
    __slots__ = ("sequence", "time", "state", "phase", "progress", "log", "evaluation", "trial")
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PHASE_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    LOG_FIELD_NUMBER: _ClassVar[int]
    EVALUATION_FIELD_NUMBER: _ClassVar[int]
    TRIAL_FIELD_NUMBER: _ClassVar[int]
    sequence: int
    time: _timestamp_pb2.Timestamp
    state: Job.State
    phase: str
    progress: _types_pb2.Progress
    log: str
    evaluation: _types_pb2.Evaluation
    trial: Trial
    def __init__(self, sequence: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[Job.State, str]] = ..., phase: _Optional[str] = ..., progress: _Optional[_Union[_types_pb2.Progress, _Mapping]] = ..., log: _Optional[str] = ..., evaluation: _Optional[_Union[_types_pb2.Evaluation, _Mapping]] = ..., trial: _Optional[_Union[Trial, _Mapping]] = ...) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class PauseJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ResumeJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

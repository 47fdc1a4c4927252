import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class AnswerMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ANSWER_MODE_UNSPECIFIED: _ClassVar[AnswerMode]
    ANSWER_MODE_FREE: _ClassVar[AnswerMode]
    ANSWER_MODE_LIKELIHOOD: _ClassVar[AnswerMode]
ANSWER_MODE_UNSPECIFIED: AnswerMode
ANSWER_MODE_FREE: AnswerMode
ANSWER_MODE_LIKELIHOOD: AnswerMode

class Evaluation(_message.Message):
    __slots__ = ("subject", "mode", "correct", "total", "accuracy", "metrics")
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    CORRECT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    METRICS_FIELD_NUMBER: _ClassVar[int]
    subject: str
    mode: AnswerMode
    correct: int
    total: int
    accuracy: float
    metrics: _containers.RepeatedCompositeFieldContainer[Metric]
    def __init__(self, subject: _Optional[str] = ..., mode: _Optional[_Union[AnswerMode, str]] = ..., correct: _Optional[int] = ..., total: _Optional[int] = ..., accuracy: _Optional[float] = ..., metrics: _Optional[_Iterable[_Union[Metric, _Mapping]]] = ...) -> None: ...

class Metric(_message.Message):
    __slots__ = ("name", "value", "low", "high")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: float
    low: float
    high: float
    def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ..., low: _Optional[float] = ..., high: _Optional[float] = ...) -> None: ...

class Parity(_message.Message):
    __slots__ = ("rows", "tokens", "top1_agreement", "near_ties", "near_tie_nats", "mean_kl", "max_kl", "reference_accuracy", "accuracy", "source", "onnxruntime_version")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    TOP1_AGREEMENT_FIELD_NUMBER: _ClassVar[int]
    NEAR_TIES_FIELD_NUMBER: _ClassVar[int]
    NEAR_TIE_NATS_FIELD_NUMBER: _ClassVar[int]
    MEAN_KL_FIELD_NUMBER: _ClassVar[int]
    MAX_KL_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_ACCURACY_FIELD_NUMBER: _ClassVar[int]
    ACCURACY_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    ONNXRUNTIME_VERSION_FIELD_NUMBER: _ClassVar[int]
    rows: int
    tokens: int
    top1_agreement: float
    near_ties: int
    near_tie_nats: float
    mean_kl: float
    max_kl: float
    reference_accuracy: float
    accuracy: float
    source: str
    onnxruntime_version: str
    def __init__(self, rows: _Optional[int] = ..., tokens: _Optional[int] = ..., top1_agreement: _Optional[float] = ..., near_ties: _Optional[int] = ..., near_tie_nats: _Optional[float] = ..., mean_kl: _Optional[float] = ..., max_kl: _Optional[float] = ..., reference_accuracy: _Optional[float] = ..., accuracy: _Optional[float] = ..., source: _Optional[str] = ..., onnxruntime_version: _Optional[str] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("step", "total_steps", "loss", "validation_loss", "learning_rate", "gradient_norm", "tokens_per_s", "eta", "memory_bytes", "tokens")
    STEP_FIELD_NUMBER: _ClassVar[int]
    TOTAL_STEPS_FIELD_NUMBER: _ClassVar[int]
    LOSS_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_LOSS_FIELD_NUMBER: _ClassVar[int]
    LEARNING_RATE_FIELD_NUMBER: _ClassVar[int]
    GRADIENT_NORM_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_S_FIELD_NUMBER: _ClassVar[int]
    ETA_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    step: int
    total_steps: int
    loss: float
    validation_loss: float
    learning_rate: float
    gradient_norm: float
    tokens_per_s: float
    eta: _duration_pb2.Duration
    memory_bytes: int
    tokens: int
    def __init__(self, step: _Optional[int] = ..., total_steps: _Optional[int] = ..., loss: _Optional[float] = ..., validation_loss: _Optional[float] = ..., learning_rate: _Optional[float] = ..., gradient_norm: _Optional[float] = ..., tokens_per_s: _Optional[float] = ..., eta: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., memory_bytes: _Optional[int] = ..., tokens: _Optional[int] = ...) -> None: ...

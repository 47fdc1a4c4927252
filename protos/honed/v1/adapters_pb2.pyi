import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from honed.v1 import jobs_pb2 as _jobs_pb2
from honed.v1 import types_pb2 as _types_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Adapter(_message.Message):
    __slots__ = ("name", "owner", "create_time", "job", "model", "dataset", "spec", "digest", "size_bytes", "contract", "training", "evaluations", "report", "augmented_rows", "sources", "combine", "replayed_rows", "labels", "trials")
    class AugmentedRowsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ReplayedRowsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    JOB_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    DATASET_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONTRACT_FIELD_NUMBER: _ClassVar[int]
    TRAINING_FIELD_NUMBER: _ClassVar[int]
    EVALUATIONS_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    AUGMENTED_ROWS_FIELD_NUMBER: _ClassVar[int]
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    COMBINE_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_ROWS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TRIALS_FIELD_NUMBER: _ClassVar[int]
    name: str
    owner: str
    create_time: _timestamp_pb2.Timestamp
    job: str
    model: str
    dataset: str
    spec: _jobs_pb2.TuneSpec
    digest: str
    size_bytes: int
    contract: Contract
    training: TrainingSummary
    evaluations: _containers.RepeatedCompositeFieldContainer[_types_pb2.Evaluation]
    report: str
    augmented_rows: _containers.ScalarMap[str, int]
    sources: _containers.RepeatedScalarFieldContainer[str]
    combine: _jobs_pb2.CombineSpec
    replayed_rows: _containers.ScalarMap[str, int]
    labels: _containers.RepeatedScalarFieldContainer[str]
    trials: _containers.RepeatedCompositeFieldContainer[_jobs_pb2.Trial]
    def __init__(self, name: _Optional[str] = ..., owner: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., job: _Optional[str] = ..., model: _Optional[str] = ..., dataset: _Optional[str] = ..., spec: _Optional[_Union[_jobs_pb2.TuneSpec, _Mapping]] = ..., digest: _Optional[str] = ..., size_bytes: _Optional[int] = ..., contract: _Optional[_Union[Contract, _Mapping]] = ..., training: _Optional[_Union[TrainingSummary, _Mapping]] = ..., evaluations: _Optional[_Iterable[_Union[_types_pb2.Evaluation, _Mapping]]] = ..., report: _Optional[str] = ..., augmented_rows: _Optional[_Mapping[str, int]] = ..., sources: _Optional[_Iterable[str]] = ..., combine: _Optional[_Union[_jobs_pb2.CombineSpec, _Mapping]] = ..., replayed_rows: _Optional[_Mapping[str, int]] = ..., labels: _Optional[_Iterable[str]] = ..., trials: _Optional[_Iterable[_Union[_jobs_pb2.Trial, _Mapping]]] = ...) -> None: ...

class Contract(_message.Message):
    __slots__ = ("weights", "quantised_weights", "tokenizer", "chat_template", "mask_rule")
    WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    QUANTISED_WEIGHTS_FIELD_NUMBER: _ClassVar[int]
    TOKENIZER_FIELD_NUMBER: _ClassVar[int]
    CHAT_TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    MASK_RULE_FIELD_NUMBER: _ClassVar[int]
    weights: str
    quantised_weights: str
    tokenizer: str
    chat_template: str
    mask_rule: str
    def __init__(self, weights: _Optional[str] = ..., quantised_weights: _Optional[str] = ..., tokenizer: _Optional[str] = ..., chat_template: _Optional[str] = ..., mask_rule: _Optional[str] = ...) -> None: ...

class TrainingSummary(_message.Message):
    __slots__ = ("steps", "tokens", "duration", "tokens_per_s", "peak_rss_bytes", "trainable_parameters", "final_loss", "validation_loss", "model_parameters")
    STEPS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    DURATION_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_S_FIELD_NUMBER: _ClassVar[int]
    PEAK_RSS_BYTES_FIELD_NUMBER: _ClassVar[int]
    TRAINABLE_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    FINAL_LOSS_FIELD_NUMBER: _ClassVar[int]
    VALIDATION_LOSS_FIELD_NUMBER: _ClassVar[int]
    MODEL_PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    steps: int
    tokens: int
    duration: _duration_pb2.Duration
    tokens_per_s: float
    peak_rss_bytes: int
    trainable_parameters: int
    final_loss: float
    validation_loss: float
    model_parameters: int
    def __init__(self, steps: _Optional[int] = ..., tokens: _Optional[int] = ..., duration: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., tokens_per_s: _Optional[float] = ..., peak_rss_bytes: _Optional[int] = ..., trainable_parameters: _Optional[int] = ..., final_loss: _Optional[float] = ..., validation_loss: _Optional[float] = ..., model_parameters: _Optional[int] = ...) -> None: ...

class GetAdapterRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListAdaptersRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAdaptersResponse(_message.Message):
    __slots__ = ("adapters", "next_page_token")
    ADAPTERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    adapters: _containers.RepeatedCompositeFieldContainer[Adapter]
    next_page_token: str
    def __init__(self, adapters: _Optional[_Iterable[_Union[Adapter, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteAdapterRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

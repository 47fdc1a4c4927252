import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from honed.v1 import templates_pb2 as _templates_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Shape(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SHAPE_UNSPECIFIED: _ClassVar[Shape]
    SHAPE_TABLE: _ClassVar[Shape]
    SHAPE_PROMPT_COMPLETION: _ClassVar[Shape]
    SHAPE_ALPACA: _ClassVar[Shape]
    SHAPE_SHAREGPT: _ClassVar[Shape]
    SHAPE_MESSAGES: _ClassVar[Shape]
    SHAPE_TEXT: _ClassVar[Shape]
    SHAPE_PREFERENCE: _ClassVar[Shape]

class Task(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_UNSPECIFIED: _ClassVar[Task]
    TASK_CLASSIFY: _ClassVar[Task]
    TASK_EXTRACT: _ClassVar[Task]
    TASK_GENERATE: _ClassVar[Task]
    TASK_TEXT: _ClassVar[Task]

class FileFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_FORMAT_UNSPECIFIED: _ClassVar[FileFormat]
    FILE_FORMAT_CSV: _ClassVar[FileFormat]
    FILE_FORMAT_JSONL: _ClassVar[FileFormat]
    FILE_FORMAT_TSV: _ClassVar[FileFormat]
    FILE_FORMAT_JSON: _ClassVar[FileFormat]
    FILE_FORMAT_PARQUET: _ClassVar[FileFormat]

class LongRows(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LONG_ROWS_UNSPECIFIED: _ClassVar[LongRows]
    LONG_ROWS_REFUSE: _ClassVar[LongRows]
    LONG_ROWS_DROP: _ClassVar[LongRows]
    LONG_ROWS_SPLIT: _ClassVar[LongRows]
SHAPE_UNSPECIFIED: Shape
SHAPE_TABLE: Shape
SHAPE_PROMPT_COMPLETION: Shape
SHAPE_ALPACA: Shape
SHAPE_SHAREGPT: Shape
SHAPE_MESSAGES: Shape
SHAPE_TEXT: Shape
SHAPE_PREFERENCE: Shape
TASK_UNSPECIFIED: Task
TASK_CLASSIFY: Task
TASK_EXTRACT: Task
TASK_GENERATE: Task
TASK_TEXT: Task
FILE_FORMAT_UNSPECIFIED: FileFormat
FILE_FORMAT_CSV: FileFormat
FILE_FORMAT_JSONL: FileFormat
FILE_FORMAT_TSV: FileFormat
FILE_FORMAT_JSON: FileFormat
FILE_FORMAT_PARQUET: FileFormat
LONG_ROWS_UNSPECIFIED: LongRows
LONG_ROWS_REFUSE: LongRows
LONG_ROWS_DROP: LongRows
LONG_ROWS_SPLIT: LongRows

class Dataset(_message.Message):
    __slots__ = ("name", "owner", "create_time", "digest", "format", "shape", "task", "template", "columns", "parameters", "train_rows", "test_rows", "labels", "slice_columns", "size_bytes", "report", "instruction", "verbalizer", "test_fraction", "seed", "group_column")
    class ColumnsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Columns
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Columns, _Mapping]] = ...) -> None: ...
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class VerbalizerEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    TASK_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    TRAIN_ROWS_FIELD_NUMBER: _ClassVar[int]
    TEST_ROWS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SLICE_COLUMNS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    VERBALIZER_FIELD_NUMBER: _ClassVar[int]
    TEST_FRACTION_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    GROUP_COLUMN_FIELD_NUMBER: _ClassVar[int]
    name: str
    owner: str
    create_time: _timestamp_pb2.Timestamp
    digest: str
    format: FileFormat
    shape: Shape
    task: Task
    template: _templates_pb2.Template
    columns: _containers.MessageMap[str, Columns]
    parameters: _containers.ScalarMap[str, str]
    train_rows: int
    test_rows: int
    labels: _containers.RepeatedScalarFieldContainer[str]
    slice_columns: _containers.RepeatedScalarFieldContainer[str]
    size_bytes: int
    report: DataReport
    instruction: str
    verbalizer: _containers.ScalarMap[str, str]
    test_fraction: float
    seed: int
    group_column: str
    def __init__(self, name: _Optional[str] = ..., owner: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., digest: _Optional[str] = ..., format: _Optional[_Union[FileFormat, str]] = ..., shape: _Optional[_Union[Shape, str]] = ..., task: _Optional[_Union[Task, str]] = ..., template: _Optional[_Union[_templates_pb2.Template, _Mapping]] = ..., columns: _Optional[_Mapping[str, Columns]] = ..., parameters: _Optional[_Mapping[str, str]] = ..., train_rows: _Optional[int] = ..., test_rows: _Optional[int] = ..., labels: _Optional[_Iterable[str]] = ..., slice_columns: _Optional[_Iterable[str]] = ..., size_bytes: _Optional[int] = ..., report: _Optional[_Union[DataReport, _Mapping]] = ..., instruction: _Optional[str] = ..., verbalizer: _Optional[_Mapping[str, str]] = ..., test_fraction: _Optional[float] = ..., seed: _Optional[int] = ..., group_column: _Optional[str] = ...) -> None: ...

class Columns(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class DataReport(_message.Message):
    __slots__ = ("rows", "findings", "labels", "tokens", "characters")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    findings: _containers.RepeatedCompositeFieldContainer[Finding]
    labels: _containers.RepeatedCompositeFieldContainer[LabelCount]
    tokens: TokenStatistics
    characters: Distribution
    def __init__(self, rows: _Optional[int] = ..., findings: _Optional[_Iterable[_Union[Finding, _Mapping]]] = ..., labels: _Optional[_Iterable[_Union[LabelCount, _Mapping]]] = ..., tokens: _Optional[_Union[TokenStatistics, _Mapping]] = ..., characters: _Optional[_Union[Distribution, _Mapping]] = ...) -> None: ...

class Finding(_message.Message):
    __slots__ = ("severity", "code", "message", "column", "count", "rows")
    class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SEVERITY_UNSPECIFIED: _ClassVar[Finding.Severity]
        SEVERITY_INFO: _ClassVar[Finding.Severity]
        SEVERITY_WARNING: _ClassVar[Finding.Severity]
        SEVERITY_ERROR: _ClassVar[Finding.Severity]
    SEVERITY_UNSPECIFIED: Finding.Severity
    SEVERITY_INFO: Finding.Severity
    SEVERITY_WARNING: Finding.Severity
    SEVERITY_ERROR: Finding.Severity
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    severity: Finding.Severity
    code: str
    message: str
    column: str
    count: int
    rows: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, severity: _Optional[_Union[Finding.Severity, str]] = ..., code: _Optional[str] = ..., message: _Optional[str] = ..., column: _Optional[str] = ..., count: _Optional[int] = ..., rows: _Optional[_Iterable[str]] = ...) -> None: ...

class LabelCount(_message.Message):
    __slots__ = ("label", "train", "test")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    TRAIN_FIELD_NUMBER: _ClassVar[int]
    TEST_FIELD_NUMBER: _ClassVar[int]
    label: str
    train: int
    test: int
    def __init__(self, label: _Optional[str] = ..., train: _Optional[int] = ..., test: _Optional[int] = ...) -> None: ...

class TokenStatistics(_message.Message):
    __slots__ = ("model", "context_length", "row", "trained", "too_long", "tuning_time", "tuning_time_basis")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_LENGTH_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    TRAINED_FIELD_NUMBER: _ClassVar[int]
    TOO_LONG_FIELD_NUMBER: _ClassVar[int]
    TUNING_TIME_FIELD_NUMBER: _ClassVar[int]
    TUNING_TIME_BASIS_FIELD_NUMBER: _ClassVar[int]
    model: str
    context_length: int
    row: Distribution
    trained: int
    too_long: int
    tuning_time: _duration_pb2.Duration
    tuning_time_basis: str
    def __init__(self, model: _Optional[str] = ..., context_length: _Optional[int] = ..., row: _Optional[_Union[Distribution, _Mapping]] = ..., trained: _Optional[int] = ..., too_long: _Optional[int] = ..., tuning_time: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., tuning_time_basis: _Optional[str] = ...) -> None: ...

class Distribution(_message.Message):
    __slots__ = ("total", "median", "p95", "longest", "bin_ends", "bin_counts")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MEDIAN_FIELD_NUMBER: _ClassVar[int]
    P95_FIELD_NUMBER: _ClassVar[int]
    LONGEST_FIELD_NUMBER: _ClassVar[int]
    BIN_ENDS_FIELD_NUMBER: _ClassVar[int]
    BIN_COUNTS_FIELD_NUMBER: _ClassVar[int]
    total: int
    median: int
    p95: int
    longest: int
    bin_ends: _containers.RepeatedScalarFieldContainer[int]
    bin_counts: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, total: _Optional[int] = ..., median: _Optional[int] = ..., p95: _Optional[int] = ..., longest: _Optional[int] = ..., bin_ends: _Optional[_Iterable[int]] = ..., bin_counts: _Optional[_Iterable[int]] = ...) -> None: ...

class UploadDatasetRequest(_message.Message):
    __slots__ = ("header", "train_data", "test_data")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    TRAIN_DATA_FIELD_NUMBER: _ClassVar[int]
    TEST_DATA_FIELD_NUMBER: _ClassVar[int]
    header: UploadDatasetHeader
    train_data: bytes
    test_data: bytes
    def __init__(self, header: _Optional[_Union[UploadDatasetHeader, _Mapping]] = ..., train_data: _Optional[bytes] = ..., test_data: _Optional[bytes] = ...) -> None: ...

class UploadDatasetHeader(_message.Message):
    __slots__ = ("dataset_id", "format", "shape", "test_fraction", "seed", "template", "columns", "parameters", "verbalizer", "instruction", "group_column", "model", "long_rows", "id_column", "total_bytes")
    class ColumnsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Columns
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Columns, _Mapping]] = ...) -> None: ...
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class VerbalizerEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    TEST_FRACTION_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    TEMPLATE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    VERBALIZER_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    GROUP_COLUMN_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LONG_ROWS_FIELD_NUMBER: _ClassVar[int]
    ID_COLUMN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    dataset_id: str
    format: FileFormat
    shape: Shape
    test_fraction: float
    seed: int
    template: str
    columns: _containers.MessageMap[str, Columns]
    parameters: _containers.ScalarMap[str, str]
    verbalizer: _containers.ScalarMap[str, str]
    instruction: str
    group_column: str
    model: str
    long_rows: LongRows
    id_column: str
    total_bytes: int
    def __init__(self, dataset_id: _Optional[str] = ..., format: _Optional[_Union[FileFormat, str]] = ..., shape: _Optional[_Union[Shape, str]] = ..., test_fraction: _Optional[float] = ..., seed: _Optional[int] = ..., template: _Optional[str] = ..., columns: _Optional[_Mapping[str, Columns]] = ..., parameters: _Optional[_Mapping[str, str]] = ..., verbalizer: _Optional[_Mapping[str, str]] = ..., instruction: _Optional[str] = ..., group_column: _Optional[str] = ..., model: _Optional[str] = ..., long_rows: _Optional[_Union[LongRows, str]] = ..., id_column: _Optional[str] = ..., total_bytes: _Optional[int] = ...) -> None: ...

class GetDatasetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class ListDatasetsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDatasetsResponse(_message.Message):
    __slots__ = ("datasets", "next_page_token")
    DATASETS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    datasets: _containers.RepeatedCompositeFieldContainer[Dataset]
    next_page_token: str
    def __init__(self, datasets: _Optional[_Iterable[_Union[Dataset, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteDatasetRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class PreviewDatasetRequest(_message.Message):
    __slots__ = ("name", "model", "rows")
    NAME_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    name: str
    model: str
    rows: int
    def __init__(self, name: _Optional[str] = ..., model: _Optional[str] = ..., rows: _Optional[int] = ...) -> None: ...

class PreviewDatasetResponse(_message.Message):
    __slots__ = ("rows", "lengths", "trained_tokens")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    LENGTHS_FIELD_NUMBER: _ClassVar[int]
    TRAINED_TOKENS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[PreviewRow]
    lengths: Distribution
    trained_tokens: int
    def __init__(self, rows: _Optional[_Iterable[_Union[PreviewRow, _Mapping]]] = ..., lengths: _Optional[_Union[Distribution, _Mapping]] = ..., trained_tokens: _Optional[int] = ...) -> None: ...

class PreviewRow(_message.Message):
    __slots__ = ("row", "tokens")
    ROW_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    row: str
    tokens: _containers.RepeatedCompositeFieldContainer[PreviewToken]
    def __init__(self, row: _Optional[str] = ..., tokens: _Optional[_Iterable[_Union[PreviewToken, _Mapping]]] = ...) -> None: ...

class PreviewToken(_message.Message):
    __slots__ = ("id", "text", "trained")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TRAINED_FIELD_NUMBER: _ClassVar[int]
    id: int
    text: str
    trained: bool
    def __init__(self, id: _Optional[int] = ..., text: _Optional[str] = ..., trained: _Optional[bool] = ...) -> None: ...

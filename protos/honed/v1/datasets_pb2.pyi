import datetime

from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FileFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILE_FORMAT_UNSPECIFIED: _ClassVar[FileFormat]
    FILE_FORMAT_CSV: _ClassVar[FileFormat]
    FILE_FORMAT_JSONL: _ClassVar[FileFormat]
FILE_FORMAT_UNSPECIFIED: FileFormat
FILE_FORMAT_CSV: FileFormat
FILE_FORMAT_JSONL: FileFormat

class Dataset(_message.Message):
    __slots__ = ("name", "owner", "create_time", "digest", "shape", "train_rows", "test_rows", "labels", "size_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    TRAIN_ROWS_FIELD_NUMBER: _ClassVar[int]
    TEST_ROWS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    owner: str
    create_time: _timestamp_pb2.Timestamp
    digest: str
    shape: DatasetShape
    train_rows: int
    test_rows: int
    labels: _containers.RepeatedScalarFieldContainer[str]
    size_bytes: int
    def __init__(self, name: _Optional[str] = ..., owner: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., digest: _Optional[str] = ..., shape: _Optional[_Union[DatasetShape, _Mapping]] = ..., train_rows: _Optional[int] = ..., test_rows: _Optional[int] = ..., labels: _Optional[_Iterable[str]] = ..., size_bytes: _Optional[int] = ...) -> None: ...

class DatasetShape(_message.Message):
    __slots__ = ("labelled", "prompt_completion")
    LABELLED_FIELD_NUMBER: _ClassVar[int]
    PROMPT_COMPLETION_FIELD_NUMBER: _ClassVar[int]
    labelled: LabelledTable
    prompt_completion: PromptCompletion
    def __init__(self, labelled: _Optional[_Union[LabelledTable, _Mapping]] = ..., prompt_completion: _Optional[_Union[PromptCompletion, _Mapping]] = ...) -> None: ...

class LabelledTable(_message.Message):
    __slots__ = ("text_column", "label_column", "instruction")
    TEXT_COLUMN_FIELD_NUMBER: _ClassVar[int]
    LABEL_COLUMN_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    text_column: str
    label_column: str
    instruction: str
    def __init__(self, text_column: _Optional[str] = ..., label_column: _Optional[str] = ..., instruction: _Optional[str] = ...) -> None: ...

class PromptCompletion(_message.Message):
    __slots__ = ("prompt_column", "completion_column", "instruction")
    PROMPT_COLUMN_FIELD_NUMBER: _ClassVar[int]
    COMPLETION_COLUMN_FIELD_NUMBER: _ClassVar[int]
    INSTRUCTION_FIELD_NUMBER: _ClassVar[int]
    prompt_column: str
    completion_column: str
    instruction: str
    def __init__(self, prompt_column: _Optional[str] = ..., completion_column: _Optional[str] = ..., instruction: _Optional[str] = ...) -> None: ...

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
    __slots__ = ("dataset_id", "format", "shape", "test_fraction", "seed")
    DATASET_ID_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SHAPE_FIELD_NUMBER: _ClassVar[int]
    TEST_FRACTION_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    dataset_id: str
    format: FileFormat
    shape: DatasetShape
    test_fraction: float
    seed: int
    def __init__(self, dataset_id: _Optional[str] = ..., format: _Optional[_Union[FileFormat, str]] = ..., shape: _Optional[_Union[DatasetShape, _Mapping]] = ..., test_fraction: _Optional[float] = ..., seed: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("rows", "longest_tokens", "total_tokens")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    LONGEST_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_TOKENS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[PreviewRow]
    longest_tokens: int
    total_tokens: int
    def __init__(self, rows: _Optional[_Iterable[_Union[PreviewRow, _Mapping]]] = ..., longest_tokens: _Optional[int] = ..., total_tokens: _Optional[int] = ...) -> None: ...

class PreviewRow(_message.Message):
    __slots__ = ("row", "tokens")
    ROW_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    row: int
    tokens: _containers.RepeatedCompositeFieldContainer[PreviewToken]
    def __init__(self, row: _Optional[int] = ..., tokens: _Optional[_Iterable[_Union[PreviewToken, _Mapping]]] = ...) -> None: ...

class PreviewToken(_message.Message):
    __slots__ = ("id", "text", "trained")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TRAINED_FIELD_NUMBER: _ClassVar[int]
    id: int
    text: str
    trained: bool
    def __init__(self, id: _Optional[int] = ..., text: _Optional[str] = ..., trained: _Optional[bool] = ...) -> None: ...

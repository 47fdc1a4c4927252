"""Plain Python values -> request messages, shared by the sync and the asyncio client.

Only what needs more than a field name is here. Ranges are the server's to check: it is the one place that knows them.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, TypedDict

from honed.client.errors import InvalidArgument
from honed.v1.datasets_pb2 import (
    FILE_FORMAT_CSV,
    FILE_FORMAT_JSONL,
    DatasetShape,
    FileFormat,
    LabelledTable,
    PromptCompletion,
    UploadDatasetHeader,
)
from honed.v1.generation_pb2 import Chat, ChatMessage, GenerateRequest
from honed.v1.jobs_pb2 import (
    EXPORT_FORMAT_ONNX_FP32,
    EXPORT_FORMAT_ONNX_INT8,
    EvaluateSpec,
    ExportFormat,
    ExportSpec,
    Job,
    TuneSpec,
)

TableFormat = Literal["csv", "jsonl"]
GraphFormat = Literal["onnx-int8", "onnx-fp32"]
Messages = Iterable[ChatMessage | Mapping[str, str]]

_TABLE_FORMATS: Final[Mapping[str, FileFormat]] = {"csv": FILE_FORMAT_CSV, "jsonl": FILE_FORMAT_JSONL}
_GRAPH_FORMATS: Final[Mapping[str, ExportFormat]] = {
    "onnx-int8": EXPORT_FORMAT_ONNX_INT8,
    "onnx-fp32": EXPORT_FORMAT_ONNX_FP32,
}


class TableOptions(TypedDict, total=False):
    """How a table is read and split. None everywhere means the server's default, see datasets.proto."""

    format: TableFormat | None  # of both files; unset: from the training file's suffix
    text_column: str | None  # labelled rows: goes with label_column
    label_column: str | None
    prompt_column: str | None  # prompt/completion rows, which is also what no column at all means
    completion_column: str | None
    instruction: str | None  # system message put before every row
    test_fraction: float | None  # share of the rows held out, 0 to 0.9; not beside a test file
    seed: int | None  # of the split


class Sampling(TypedDict, total=False):
    """How a reply is drawn. None everywhere means the server's default, see generation.proto."""

    max_tokens: int | None
    temperature: float | None  # 0 is greedy
    top_p: float | None
    top_k: int | None
    seed: int | None
    stop: Sequence[str]  # strings that end the reply and are not part of it


def full_name(name: str, *collections: str) -> str:
    """The resource's full name: "models/smollm2" for "smollm2" where only models make sense.

    Raises:
        InvalidArgument: The name belongs elsewhere, or is bare where several collections are possible.
    """
    collection, slash, _ = name.partition("/")
    if slash and collection in collections:
        return name
    if not slash and name and len(collections) == 1:
        return f"{collections[0]}/{name}"
    expected = " or ".join(f"{collection}/ID" for collection in collections)
    raise InvalidArgument(f"the name must be {expected}, found {name!r}")


def dataset_header(dataset_id: str, train: str | os.PathLike[str], options: TableOptions) -> UploadDatasetHeader:
    """The first message of UploadDataset.

    Raises:
        InvalidArgument: The format is unknown, or the columns name both shapes or half of one.
    """
    return UploadDatasetHeader(
        dataset_id=dataset_id,
        format=_table_format(options.get("format") or Path(train).suffix.removeprefix(".").lower()),
        shape=_shape(options),
        test_fraction=options.get("test_fraction"),
        seed=options.get("seed"),
    )


def _table_format(name: str) -> FileFormat:
    try:
        return _TABLE_FORMATS[name]
    except KeyError:
        raise InvalidArgument(f"the table's format must be {' or '.join(_TABLE_FORMATS)}, found {name!r}") from None


def _shape(options: TableOptions) -> DatasetShape:
    text, label = options.get("text_column"), options.get("label_column")
    prompt, completion = options.get("prompt_column"), options.get("completion_column")
    instruction = options.get("instruction")
    if text is None and label is None:
        return DatasetShape(
            prompt_completion=PromptCompletion(
                prompt_column=prompt, completion_column=completion, instruction=instruction
            )
        )
    if text is None or label is None:
        raise InvalidArgument("labelled rows need both a text column and a label column")
    if prompt is not None or completion is not None:
        raise InvalidArgument("rows are either labelled (text, label) or prompt and completion, not both")
    return DatasetShape(labelled=LabelledTable(text_column=text, label_column=label, instruction=instruction))


def tune_job(spec: TuneSpec) -> Job:
    """A tuning job; bare names in the spec are completed.

    Raises:
        InvalidArgument: A name in the spec belongs elsewhere.
    """
    job = Job(tune=spec)
    job.tune.model = full_name(spec.model, "models")
    job.tune.dataset = full_name(spec.dataset, "datasets")
    return job


def evaluate_job(subject: str, dataset: str, few_shot: int | None) -> Job:
    """An evaluation job.

    Raises:
        InvalidArgument: The subject's name does not say what it is, or a name belongs elsewhere.
    """
    return Job(
        evaluate=EvaluateSpec(
            subject=full_name(subject, "models", "adapters", "exports"),
            dataset=full_name(dataset, "datasets"),
            few_shot=few_shot,
        )
    )


def export_job(export_id: str, source: str, graph_format: GraphFormat, dataset: str | None) -> Job:
    """An export job.

    Raises:
        InvalidArgument: The format is unknown, the source's name does not say what it is, or a name belongs elsewhere.
    """
    if graph_format not in _GRAPH_FORMATS:
        raise InvalidArgument(f"the export's format must be {' or '.join(_GRAPH_FORMATS)}, found {graph_format!r}")
    return Job(
        export=ExportSpec(
            export_id=export_id,
            source=full_name(source, "adapters", "models"),
            format=_GRAPH_FORMATS[graph_format],
            dataset=None if dataset is None else full_name(dataset, "datasets"),
        )
    )


def generate_request(model: str, messages: Messages | None, prompt: str | None, sampling: Sampling) -> GenerateRequest:
    """A request for a reply.

    Raises:
        InvalidArgument: There is not exactly one of messages and prompt, or the model's name does not say what it is.
    """
    if (messages is None) == (prompt is None):
        raise InvalidArgument("a reply needs either messages or a prompt")
    return GenerateRequest(
        model=full_name(model, "exports", "adapters", "models"),
        chat=None if messages is None else Chat(messages=messages),
        prompt=prompt,
        **sampling,
    )

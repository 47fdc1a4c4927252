"""Plain Python values -> request messages, shared by the sync and the asyncio client.

Only what needs more than a field name is here. Ranges are the server's to check: it is the one place that knows them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypedDict, get_args

from honed.client.errors import InvalidArgument
from honed.v1.datasets_pb2 import Columns, UploadDatasetHeader
from honed.v1.generation_pb2 import Chat, ChatMessage, GenerateRequest, Row
from honed.v1.jobs_pb2 import CombineSpec, EvaluateSpec, ExportSpec, Job, SweepSpec, TuneSpec, WeightedAdapter
from honed.v1.reports_pb2 import DownloadReportRequest
from honed.v1.templates_pb2 import CreateTemplateRequest, Template

TableFormat = Literal["csv", "tsv", "jsonl", "json", "parquet"]
TableShape = Literal["table", "prompt_completion", "alpaca", "sharegpt", "messages", "text", "preference"]
LongRows = Literal["refuse", "drop", "split"]
ShotChoice = Literal["per_label", "similar"]
ReportFormat = Literal["html", "json"]
CombineMethod = Literal["linear", "cat", "svd", "ties", "dare-linear", "dare-ties"]
GraphFormat = Literal["onnx-int8", "onnx-fp32"]
Messages = Iterable[ChatMessage | Mapping[str, str]]


class TableOptions(TypedDict, total=False):
    """How a table is read, checked and split. None everywhere means the server's default, see datasets.proto."""

    format: TableFormat | None  # of both files; unset: each is detected from its bytes
    shape: TableShape | None  # what a row is; unset: detected from the columns
    template: str | None  # ID or templates/ID; how columns become a prompt and a reply
    columns: Mapping[str, str | Sequence[str]] | None  # by slot of the template; several for a slot that takes many
    text_column: str | None  # short for columns={"text": …}, and so on
    label_column: str | None
    prompt_column: str | None
    completion_column: str | None
    parameters: Mapping[str, str] | None  # of the template
    verbalizer: Mapping[str, str] | None  # words that the model writes for a label, by label
    instruction: str | None  # system message in place of the template's
    test_fraction: float | None  # share of the rows held out, 0 to 0.9; not beside a test file
    seed: int | None  # of the split
    group_column: str | None  # rows with one value here are never on both sides of the split
    id_column: str | None  # two rows with one value here are refused; unset: the column "id", if any; "": none
    model: str | None  # ID or models/ID; whose tokens and context length the report counts with
    long_rows: LongRows | None  # what becomes of rows that are too long for the model


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


def dataset_header(dataset_id: str, options: TableOptions) -> UploadDatasetHeader:
    """The first message of UploadDataset.

    Raises:
        InvalidArgument: A word is unknown, a slot is given twice, or a name belongs elsewhere.
    """
    template, model = options.get("template"), options.get("model")
    return UploadDatasetHeader(
        dataset_id=dataset_id,
        format=_enum_name("FILE_FORMAT", "table's format", get_args(TableFormat), options.get("format")),
        shape=_enum_name("SHAPE", "shape", get_args(TableShape), options.get("shape")),
        test_fraction=options.get("test_fraction"),
        seed=options.get("seed"),
        template=None if template is None else full_name(template, "templates"),
        columns=_columns(options),
        parameters=options.get("parameters"),
        verbalizer=options.get("verbalizer"),
        instruction=options.get("instruction"),
        group_column=options.get("group_column"),
        id_column=options.get("id_column"),
        model=None if model is None else full_name(model, "models"),
        long_rows=_enum_name("LONG_ROWS", "treatment of long rows", get_args(LongRows), options.get("long_rows")),
    )


def _columns(options: TableOptions) -> dict[str, Columns]:
    slots = {
        slot: Columns(names=[names] if isinstance(names, str) else names)
        for slot, names in (options.get("columns") or {}).items()
    }
    shorthands = {
        "text": options.get("text_column"),
        "label": options.get("label_column"),
        "prompt": options.get("prompt_column"),
        "completion": options.get("completion_column"),
    }
    for slot, column in shorthands.items():
        if column is None:
            continue
        if slot in slots:
            raise InvalidArgument(f"the slot {slot} is given twice: by the {slot} column and in the columns by slot")
        slots[slot] = Columns(names=[column])
    return slots


def _enum_name(prefix: str, what: str, words: Sequence[str], word: str | None) -> str | None:
    """The name in the contract's enum of one of `words`, which are those names without their prefix; None for None."""
    if word is None:
        return None
    if word not in words:
        raise InvalidArgument(f"the {what} must be {' or '.join(words)}, found {word!r}")
    return f"{prefix}_{word.upper().replace('-', '_')}"


def template_request(template: Template) -> CreateTemplateRequest:
    """A new template, or a new version of one; a bare name is completed.

    Raises:
        InvalidArgument: The name is missing or belongs elsewhere.
    """
    request = CreateTemplateRequest(template=template)
    request.template.name = full_name(template.name, "templates")
    return request


def tune_job(spec: TuneSpec) -> Job:
    """A tuning job; bare names in the spec are completed.

    Raises:
        InvalidArgument: A name in the spec belongs elsewhere.
    """
    job = Job(tune=spec)
    _complete_names(job.tune)
    return job


def sweep_job(spec: SweepSpec) -> Job:
    """A sweep; bare names in its `tune` are completed.

    Raises:
        InvalidArgument: A name in the spec belongs elsewhere.
    """
    job = Job(sweep=spec)
    _complete_names(job.sweep.tune)
    return job


def _complete_names(spec: TuneSpec) -> None:
    if spec.adapter:
        spec.adapter = full_name(spec.adapter, "adapters")
    if spec.model or not spec.adapter:
        spec.model = full_name(spec.model, "models")
    spec.dataset = full_name(spec.dataset, "datasets")
    spec.earlier_datasets[:] = [full_name(name, "datasets") for name in spec.earlier_datasets]
    spec.replay_datasets[:] = [full_name(name, "datasets") for name in spec.replay_datasets]


def evaluate_job(
    subjects: str | Sequence[str],
    dataset: str,
    *,
    shots: Sequence[int],
    shot_choice: ShotChoice,
    slice_columns: Sequence[str],
    earlier_datasets: Sequence[str],
    max_rows: int | None,
    seed: int | None,
) -> Job:
    """An evaluation job.

    Raises:
        InvalidArgument: A subject's name does not say what it is, a name belongs elsewhere, or a word is unknown.
    """
    subjects = [subjects] if isinstance(subjects, str) else subjects
    return Job(
        evaluate=EvaluateSpec(
            subjects=[full_name(subject, "models", "adapters", "exports") for subject in subjects],
            dataset=full_name(dataset, "datasets"),
            shots=shots,
            shot_choice=_enum_name("SHOT_CHOICE", "choice of shots", get_args(ShotChoice), shot_choice),
            slice_columns=slice_columns,
            earlier_datasets=[full_name(name, "datasets") for name in earlier_datasets],
            max_rows=max_rows,
            seed=seed,
        )
    )


def export_job(export_id: str, source: str, graph_format: GraphFormat, dataset: str | None) -> Job:
    """An export job.

    Raises:
        InvalidArgument: The format is unknown, the source's name does not say what it is, or a name belongs elsewhere.
    """
    return Job(
        export=ExportSpec(
            export_id=export_id,
            source=full_name(source, "adapters", "models"),
            format=_enum_name("EXPORT_FORMAT", "export's format", get_args(GraphFormat), graph_format),
            dataset=None if dataset is None else full_name(dataset, "datasets"),
        )
    )


def combine_job(
    adapter_id: str,
    adapters: Mapping[str, float],
    *,
    method: CombineMethod,
    rank: int | None,
    density: float | None,
    seed: int | None,
    dataset: str | None,
    skip_evaluation: bool,
    max_evaluation_rows: int | None,
) -> Job:
    """A job that combines adapters.

    Raises:
        InvalidArgument: The method is unknown, or a name belongs elsewhere.
    """
    return Job(
        combine=CombineSpec(
            adapter_id=adapter_id,
            adapters=[
                WeightedAdapter(adapter=full_name(name, "adapters"), weight=weight) for name, weight in adapters.items()
            ],
            method=_enum_name("COMBINE_METHOD", "method", get_args(CombineMethod), method),
            rank=rank,
            density=density,
            seed=seed,
            dataset=None if dataset is None else full_name(dataset, "datasets"),
            skip_evaluation=skip_evaluation,
            max_evaluation_rows=max_evaluation_rows,
        )
    )


def report_request(name: str, report_format: ReportFormat) -> DownloadReportRequest:
    """A request for a report's file.

    Raises:
        InvalidArgument: The format is unknown, or the name belongs elsewhere.
    """
    return DownloadReportRequest(
        name=full_name(name, "reports"),
        format=_enum_name("REPORT_FORMAT", "report's format", get_args(ReportFormat), report_format),
    )


def generate_request(
    model: str,
    messages: Messages | None,
    prompt: str | None,
    row: Mapping[str, str] | None,
    sampling: Sampling,
) -> GenerateRequest:
    """A request for a reply.

    Raises:
        InvalidArgument: There is not exactly one of messages, prompt and row, or the model's name does not say what it
            is.
    """
    if [messages, prompt, row].count(None) != 2:
        raise InvalidArgument("a reply needs exactly one of messages, a prompt and a row")
    return GenerateRequest(
        model=full_name(model, "exports", "adapters", "models"),
        chat=None if messages is None else Chat(messages=messages),
        prompt=prompt,
        row=None if row is None else Row(values=row),
        **sampling,
    )

"""DatasetService: tables in, shown, previewed, deleted. The bytes are parsed in a short-lived worker."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

from google.protobuf import empty_pb2
from grpc.aio import ServicerContext
from honed.daemon.core import Core
from honed.daemon.rpc import convert
from honed.daemon.rpc.names import check_name, new_name, next_token, page_bounds
from honed.daemon.rpc.receive import Receiver
from honed.daemon.rpc.specs import range_mistakes
from honed.daemon.store import NewResource
from honed.errors import InvalidInput
from honed.rpc_edge import principal
from honed.v1 import datasets_pb2, datasets_pb2_grpc
from honed.worker.contract import OUTPUT_FOLDER, IngestWork, Limits, PreviewWork

Context = ServicerContext[Any, Any]
_FORMATS: dict[int, Literal["csv", "jsonl"]] = {
    datasets_pb2.FILE_FORMAT_CSV: "csv",
    datasets_pb2.FILE_FORMAT_JSONL: "jsonl",
}
_DEFAULT_TEST_FRACTION = 0.2
_DEFAULT_INSTRUCTION = "Classify the message."
_MAX_INSTRUCTION = 2000
_MAX_PREVIEW_ROWS = 100


class DatasetService(datasets_pb2_grpc.DatasetServiceServicer):
    """See datasets.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def UploadDataset(
        self, request_iterator: AsyncIterator[datasets_pb2.UploadDatasetRequest], context: Context
    ) -> datasets_pb2.Dataset:
        first = await anext(request_iterator, None)
        if first is None or first.WhichOneof("payload") != "header":
            raise InvalidInput.of_field("header", "expected as the first message of the stream")
        header = first.header
        core = self._core
        name = new_name("datasets", header.dataset_id, "header.dataset_id")
        core.resources.require_free(name)
        template = _template(header.shape)
        table_format = _FORMATS.get(header.format)
        if table_format is None:
            raise InvalidInput.of_field("header.format", "expected CSV or JSONL")
        for mistake in (
            *range_mistakes(header, "test_fraction", 0, 0.9),
            *range_mistakes(header, "seed", 0, 2**63 - 1),
        ):
            raise InvalidInput.of_field(f"header.{mistake[0]}", mistake[1])
        folder = core.state.new_upload()
        try:
            await self._receive(request_iterator, folder)
            test_file = folder / "test"
            if test_file.exists() and header.HasField("test_fraction"):
                raise InvalidInput.of_field("header.test_fraction", "refused beside a separate test table")
            work = IngestWork(
                train_file=str(folder / "train"),
                test_file=str(test_file) if test_file.exists() else None,
                format=table_format,
                template=template,
                test_fraction=header.test_fraction if header.HasField("test_fraction") else _DEFAULT_TEST_FRACTION,
                seed=header.seed,
            )
            result = await core.supervisor.run_once(work, self._limits(), folder)
            core.resources.require_free(name)
            place = f"datasets/{folder.name}"
            await asyncio.to_thread(core.state.publish, folder / OUTPUT_FOLDER / "dataset", place)
            core.resources.publish(
                NewResource(
                    name=name,
                    owner=principal.get(),
                    job="",
                    digest=result["digest"],
                    size_bytes=result["size_bytes"],
                    folder=place,
                    facts=result["facts"],
                )
            )
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return convert.dataset(core.resources.get(name))

    async def GetDataset(self, request: datasets_pb2.GetDatasetRequest, context: Context) -> datasets_pb2.Dataset:
        return convert.dataset(self._core.resources.get(check_name(request.name, "name", "datasets")))

    async def ListDatasets(
        self, request: datasets_pb2.ListDatasetsRequest, context: Context
    ) -> datasets_pb2.ListDatasetsResponse:
        before, limit = page_bounds(request.page_size, request.page_token)
        page = self._core.resources.page("datasets", before, limit)
        return datasets_pb2.ListDatasetsResponse(
            datasets=[convert.dataset(each) for each in page],
            next_page_token=next_token([each.number for each in page], limit),
        )

    async def DeleteDataset(self, request: datasets_pb2.DeleteDatasetRequest, context: Context) -> empty_pb2.Empty:
        await self._core.delete(check_name(request.name, "name", "datasets"))
        return empty_pb2.Empty()

    async def PreviewDataset(
        self, request: datasets_pb2.PreviewDatasetRequest, context: Context
    ) -> datasets_pb2.PreviewDatasetResponse:
        check_name(request.name, "name", "datasets")
        check_name(request.model, "model", "models")
        if not 0 <= request.rows <= _MAX_PREVIEW_ROWS:
            raise InvalidInput.of_field("rows", f"expected 0 to {_MAX_PREVIEW_ROWS}, found {request.rows}")
        core = self._core
        work = PreviewWork(core.folder(request.name), core.folder(request.model), request.rows or 3)
        folder = core.state.new_upload()
        try:
            result = await core.supervisor.run_once(work, self._limits(), folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        rows = [
            datasets_pb2.PreviewRow(row=number, tokens=[datasets_pb2.PreviewToken(**token) for token in tokens])
            for number, tokens in enumerate(result["rows"], 1)
        ]
        return datasets_pb2.PreviewDatasetResponse(
            rows=rows, longest_tokens=result["longest_tokens"], total_tokens=result["total_tokens"]
        )

    async def _receive(self, requests: AsyncIterator[datasets_pb2.UploadDatasetRequest], folder: Path) -> None:
        core = self._core
        receiver = Receiver(folder, core.state, core.config.max_dataset_bytes, "max_dataset_bytes")
        try:
            receiver.write("train", b"")  # an empty table is the ingest worker's to report
            async for request in requests:
                part = request.WhichOneof("payload")
                if part == "train_data":
                    receiver.write("train", request.train_data)
                elif part == "test_data":
                    receiver.write("test", request.test_data)
                else:
                    raise InvalidInput.of_field("payload", "expected train_data or test_data after the header")
        finally:
            receiver.close()

    def _limits(self) -> Limits:
        config = self._core.config
        return Limits(config.ingest_timeout_s, config.ingest_memory_bytes, config.ingest_timeout_s)


def _template(shape: datasets_pb2.DatasetShape) -> dict[str, Any]:
    """The shape as `honed.data.templates.Template` takes it.

    Raises:
        InvalidInput: no shape is given, a column is missing, or the instruction is too long.
    """
    kind = shape.WhichOneof("shape")
    if kind == "labelled":
        labelled = shape.labelled
        for field in ("text_column", "label_column"):
            if not getattr(labelled, field):
                raise InvalidInput.of_field(f"header.shape.labelled.{field}", "expected a column's name")
        columns = (labelled.text_column, labelled.label_column)
        instruction = labelled.instruction or _DEFAULT_INSTRUCTION
    elif kind == "prompt_completion":
        pairs = shape.prompt_completion
        columns = (pairs.prompt_column or "prompt", pairs.completion_column or "completion")
        instruction = pairs.instruction
    else:
        raise InvalidInput.of_field("header.shape", "expected labelled or prompt_completion")
    if len(instruction) > _MAX_INSTRUCTION:
        raise InvalidInput.of_field(
            f"header.shape.{kind}.instruction",
            f"expected {_MAX_INSTRUCTION} characters at most, found {len(instruction)}",
        )
    return {
        "prompt_column": columns[0],
        "reply_column": columns[1],
        "instruction": instruction,
        "labelled": kind == "labelled",
    }

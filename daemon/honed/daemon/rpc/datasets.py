"""DatasetService: tables in, shown, previewed, deleted. The bytes are parsed in a short-lived worker."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from google.protobuf import empty_pb2
from grpc.aio import ServicerContext
from honed.daemon.core import Core
from honed.daemon.rpc import convert
from honed.daemon.rpc.headers import complete_header, require_drawn_alone, require_labels, upload_facts
from honed.daemon.rpc.names import check_name, new_name
from honed.daemon.rpc.paging import page_bounds, page_of
from honed.daemon.rpc.receive import Receiver
from honed.daemon.rpc.specs import EPOCHS
from honed.daemon.store import NewResource
from honed.errors import InvalidInput
from honed.rpc_edge import principal
from honed.v1 import datasets_pb2, datasets_pb2_grpc
from honed.worker.contract import OUTPUT_FOLDER, IngestWork, PreviewWork

Context = ServicerContext[Any, Any]
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
        settings = complete_header(header)
        template = core.templates.get(header.template).template if header.template else None
        if template:
            require_labels(header, template)
        if header.model:
            core.resources.get(header.model)
        folder = core.state.new_upload()
        try:
            await self._receive(request_iterator, header, folder)
            test_file = folder / "test"
            with core.resources.held(header.model):
                work = IngestWork(
                    train_file=str(folder / "train"),
                    test_file=str(test_file) if test_file.exists() else None,
                    template=template,
                    model=core.folder(header.model) if header.model else None,
                    **settings,
                )
                result = await core.supervisor.run_once(work, core.ingest_limits, folder)
            if tokens := result["facts"]["report"].get("tokens"):
                tokens |= _tuning_time(core, header.model, tokens["row"]["total"])
            await self._publish(
                folder / OUTPUT_FOLDER / "dataset",
                NewResource(
                    name=name,
                    owner=principal.get(),
                    job="",
                    digest=result["digest"],
                    size_bytes=result["size_bytes"],
                    folder=f"datasets/{folder.name}",
                    facts=result["facts"] | {"upload": upload_facts(header, drawn=not test_file.exists())},
                ),
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
        stored = self._core.resources.page("datasets", before, limit)
        datasets, token = page_of(((each.number, convert.dataset(each, report=False)) for each in stored), limit)
        return datasets_pb2.ListDatasetsResponse(datasets=datasets, next_page_token=token)

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
        with core.resources.held(request.name, request.model):
            work = PreviewWork(core.folder(request.name), core.folder(request.model), request.rows or 3)
            return convert.preview(await core.ask(work))

    async def _receive(
        self,
        requests: AsyncIterator[datasets_pb2.UploadDatasetRequest],
        header: datasets_pb2.UploadDatasetHeader,
        folder: Path,
    ) -> None:
        core = self._core
        receiver = Receiver(folder, core.state, core.config.max_dataset_bytes, "max_dataset_bytes")
        try:
            receiver.write("train", b"")  # an empty table is the ingest worker's to report
            async for request in requests:
                part = request.WhichOneof("payload")
                if part == "train_data" and (folder / "test").exists():
                    raise InvalidInput.of_field("train_data", "expected before all of the test data, found after it")
                if part == "train_data":
                    receiver.write("train", request.train_data)
                elif part == "test_data":
                    require_drawn_alone(header)
                    receiver.write("test", request.test_data)
                else:
                    raise InvalidInput.of_field("payload", "expected train_data or test_data after the header")
            await receiver.finish(header.total_bytes if header.HasField("total_bytes") else None)
        finally:
            receiver.close()

    async def _publish(self, made: Path, new: NewResource) -> None:
        """Moves a data set to its place and records it, both or neither: its id may have been taken meanwhile."""
        core = self._core
        core.resources.require_free(new.name)
        await asyncio.to_thread(core.state.publish, made, new.folder)
        try:
            core.resources.publish(new)
        except BaseException:  # a client that goes away now cancels the call
            await asyncio.to_thread(shutil.rmtree, core.state.path / new.folder, ignore_errors=True)
            raise


def _tuning_time(core: Core, model: str, tokens: int) -> dict[str, str]:
    """How long so many tokens would be tuned with the defaults, by the newest tuning of the model on this machine."""
    adapter = core.resources.newest_adapter_of(model)
    if adapter is None:
        return {"tuning_time_basis": "nothing was tuned here yet that it could be told from"}
    tokens_per_s: float = adapter.facts["training"]["tokens_per_s"]
    return {
        "tuning_time": f"{tokens * EPOCHS / tokens_per_s:.0f}s",
        "tuning_time_basis": f"{adapter.name} was tuned here at {tokens_per_s:.0f} tokens/s; {EPOCHS:g} epochs",
    }

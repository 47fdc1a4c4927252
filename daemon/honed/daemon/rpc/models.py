"""ModelService: base models in, shown, deleted."""

import asyncio
import os
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from google.protobuf import empty_pb2
from grpc.aio import ServicerContext
from honed.daemon.core import Core
from honed.daemon.rpc import convert
from honed.daemon.rpc.names import check_name, new_name
from honed.daemon.rpc.paging import page_bounds, page_of
from honed.daemon.rpc.receive import Receiver
from honed.daemon.store import Makes, NewJob
from honed.errors import InvalidInput
from honed.rpc_edge import principal
from honed.v1 import jobs_pb2, models_pb2, models_pb2_grpc
from honed.worker.contract import ImportWork

Context = ServicerContext[Any, Any]
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ModelService(models_pb2_grpc.ModelServiceServicer):
    """See models.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def ImportModel(self, request: models_pb2.ImportModelRequest, context: Context) -> jobs_pb2.Job:
        if earlier := self._core.jobs.of_request(request.request_id):
            return convert.job(earlier, [], [])
        path = self._allowed_path(request.path)
        return self._enqueue(request.model_id, str(path), str(path), request.request_id or None)

    async def UploadModel(
        self, request_iterator: AsyncIterator[models_pb2.UploadModelRequest], context: Context
    ) -> jobs_pb2.Job:
        first = await anext(request_iterator, None)
        if first is None or first.WhichOneof("payload") != "header":
            raise InvalidInput.of_field("header", "expected as the first message of the stream")
        header = first.header
        self._check_free(header.model_id)
        for name, digest in header.expected_sha256.items():
            if not _SHA256.fullmatch(digest):
                raise InvalidInput.of_field(f"header.expected_sha256[{name[:80]}]", "expected 64 hexadecimal digits")
        core = self._core
        folder = core.state.new_upload()
        try:
            receiver = Receiver(folder, core.state, core.config.max_model_bytes, "max_model_bytes")
            try:
                async for request in request_iterator:
                    if request.WhichOneof("payload") != "chunk":
                        raise InvalidInput.of_field("chunk", "expected in every message after the first")
                    receiver.write(request.chunk.file_name, request.chunk.data)
                await receiver.finish(header.total_bytes if header.HasField("total_bytes") else None)
            finally:
                receiver.close()
            if not receiver.received:
                raise InvalidInput.of_field("chunk", "the stream holds no bytes of any file")
            return self._enqueue(header.model_id, str(folder), "upload", None, dict(header.expected_sha256))
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise

    async def GetModel(self, request: models_pb2.GetModelRequest, context: Context) -> models_pb2.Model:
        return convert.model(self._core.resources.get(check_name(request.name, "name", "models")))

    async def ListModels(
        self, request: models_pb2.ListModelsRequest, context: Context
    ) -> models_pb2.ListModelsResponse:
        before, limit = page_bounds(request.page_size, request.page_token)
        stored = self._core.resources.page("models", before, limit)
        models, token = page_of(((each.number, convert.model(each)) for each in stored), limit)
        return models_pb2.ListModelsResponse(models=models, next_page_token=token)

    async def DeleteModel(self, request: models_pb2.DeleteModelRequest, context: Context) -> empty_pb2.Empty:
        name = check_name(request.name, "name", "models")
        model = self._core.resources.get(name)
        export = self._core.resources.find(model.facts["serving_export"])
        also = [export.name] if export and export.job == model.job else []  # it may have been deleted before
        await self._core.delete(name, *also)
        return empty_pb2.Empty()

    def _enqueue(
        self,
        model_id: str,
        path: str,
        source: str,
        request_id: str | None,
        expected_sha256: dict[str, str] | None = None,
    ) -> jobs_pb2.Job:
        model, export = self._check_free(model_id)
        work = ImportWork(path, export, expected_sha256 or {})
        spec = jobs_pb2.Job(import_model=jobs_pb2.ImportModelSpec(model_id=model_id, source=source))
        job = self._core.enqueue(
            NewJob(
                owner=principal.get(),
                kind=work.kind,
                request=spec.SerializeToString(),
                work=asdict(work),
                inputs=(),
                makes={
                    "model": Makes(model, (), {}),
                    "export": Makes(export, (model,), {"source": model, "model": model}),
                },
                request_id=request_id,
            )
        )
        return convert.job(job, [], [])

    def _check_free(self, model_id: str) -> tuple[str, str]:
        """Names of a new model and of its serving export."""
        model = new_name("models", model_id, "model_id")
        export = new_name("exports", f"{model_id[:58]}-base", "model_id")
        self._core.resources.require_free(model)
        self._core.resources.require_free(export)
        return model, export

    def _allowed_path(self, text: str) -> Path:
        roots = [Path(root).resolve() for root in self._core.config.import_roots]
        path = Path(text)
        if not path.is_absolute() or "\0" in text:
            raise InvalidInput.of_field("path", "expected an absolute path on the server")
        path = Path(os.path.realpath(path))
        if not any(path.is_relative_to(root) for root in roots):
            allowed = ", ".join(map(str, roots)) or "none is configured (import_roots)"
            raise InvalidInput.of_field(
                "path", f"not below an import root ({allowed}); upload the model instead, or configure the root"
            )
        if not path.exists():
            raise InvalidInput.of_field("path", "there is nothing at this path")
        return path

"""ExportService: exports shown and deleted."""

from typing import Any

from google.protobuf import empty_pb2
from grpc.aio import ServicerContext
from honed.daemon.core import Core
from honed.daemon.rpc import convert
from honed.daemon.rpc.names import check_name
from honed.daemon.rpc.paging import page_bounds, page_of
from honed.v1 import exports_pb2, exports_pb2_grpc

Context = ServicerContext[Any, Any]


class ExportService(exports_pb2_grpc.ExportServiceServicer):
    """See exports.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetExport(self, request: exports_pb2.GetExportRequest, context: Context) -> exports_pb2.Export:
        return convert.export(self._core.resources.get(check_name(request.name, "name", "exports")))

    async def ListExports(
        self, request: exports_pb2.ListExportsRequest, context: Context
    ) -> exports_pb2.ListExportsResponse:
        before, limit = page_bounds(request.page_size, request.page_token)
        stored = self._core.resources.page("exports", before, limit)
        exports, token = page_of(((each.number, convert.export(each)) for each in stored), limit)
        return exports_pb2.ListExportsResponse(exports=exports, next_page_token=token)

    async def DeleteExport(self, request: exports_pb2.DeleteExportRequest, context: Context) -> empty_pb2.Empty:
        await self._core.delete(check_name(request.name, "name", "exports"))
        return empty_pb2.Empty()

"""AdapterService: adapters shown and deleted."""

from typing import Any

from google.protobuf import empty_pb2
from grpc.aio import ServicerContext
from honed.daemon.core import Core
from honed.daemon.rpc import convert
from honed.daemon.rpc.names import check_name
from honed.daemon.rpc.paging import page_bounds, page_of
from honed.v1 import adapters_pb2, adapters_pb2_grpc

Context = ServicerContext[Any, Any]


class AdapterService(adapters_pb2_grpc.AdapterServiceServicer):
    """See adapters.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetAdapter(self, request: adapters_pb2.GetAdapterRequest, context: Context) -> adapters_pb2.Adapter:
        return convert.adapter(self._core.resources.get(check_name(request.name, "name", "adapters")))

    async def ListAdapters(
        self, request: adapters_pb2.ListAdaptersRequest, context: Context
    ) -> adapters_pb2.ListAdaptersResponse:
        before, limit = page_bounds(request.page_size, request.page_token)
        stored = self._core.resources.page("adapters", before, limit)
        adapters, token = page_of(((each.number, convert.adapter(each)) for each in stored), limit)
        return adapters_pb2.ListAdaptersResponse(adapters=adapters, next_page_token=token)

    async def DeleteAdapter(self, request: adapters_pb2.DeleteAdapterRequest, context: Context) -> empty_pb2.Empty:
        await self._core.delete(check_name(request.name, "name", "adapters"))
        return empty_pb2.Empty()

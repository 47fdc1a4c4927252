"""ReportService: reports shown, sent and deleted. What is in them is the worker's matter."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from google.protobuf import empty_pb2
from grpc.aio import ServicerContext
from honed.daemon.core import Core
from honed.daemon.rpc import convert
from honed.daemon.rpc.names import check_name
from honed.daemon.rpc.paging import page_bounds, page_of
from honed.errors import InvalidInput
from honed.v1 import reports_pb2, reports_pb2_grpc

Context = ServicerContext[Any, Any]
_FILES: dict[int, str] = {
    reports_pb2.REPORT_FORMAT_UNSPECIFIED: "report.html",
    reports_pb2.REPORT_FORMAT_HTML: "report.html",
    reports_pb2.REPORT_FORMAT_JSON: "report.json",
}
_PIECE_BYTES = 1 << 20


class ReportService(reports_pb2_grpc.ReportServiceServicer):
    """See reports.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetReport(self, request: reports_pb2.GetReportRequest, context: Context) -> reports_pb2.Report:
        return convert.report(self._core.resources.get(check_name(request.name, "name", "reports")))

    async def ListReports(
        self, request: reports_pb2.ListReportsRequest, context: Context
    ) -> reports_pb2.ListReportsResponse:
        before, limit = page_bounds(request.page_size, request.page_token)
        stored = self._core.resources.page("reports", before, limit)
        reports, token = page_of(((each.number, convert.report(each)) for each in stored), limit)
        return reports_pb2.ListReportsResponse(reports=reports, next_page_token=token)

    async def DeleteReport(self, request: reports_pb2.DeleteReportRequest, context: Context) -> empty_pb2.Empty:
        await self._core.delete(check_name(request.name, "name", "reports"))
        return empty_pb2.Empty()

    async def DownloadReport(
        self, request: reports_pb2.DownloadReportRequest, context: Context
    ) -> AsyncIterator[reports_pb2.DownloadReportResponse]:
        report = self._core.resources.get(check_name(request.name, "name", "reports"))
        name = _FILES.get(request.format)
        if name is None:
            raise InvalidInput.of_field("format", f"expected HTML or JSON, found {request.format}")
        with (self._core.state.path / report.folder / name).open("rb") as file:
            while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
                yield reports_pb2.DownloadReportResponse(data=piece)

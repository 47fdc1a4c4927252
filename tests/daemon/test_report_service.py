import pytest
from honed.daemon.rpc.reports import ReportService
from honed.errors import InvalidInput, NotFound
from honed.v1.reports_pb2 import (
    REPORT_FORMAT_HTML,
    REPORT_FORMAT_JSON,
    DeleteReportRequest,
    DownloadReportRequest,
    GetReportRequest,
    ListReportsRequest,
)

FACTS = {"dataset": "datasets/d", "subjects": ["models/m"], "headline": "Better."}


@pytest.fixture
def service(core):
    return ReportService(core)


@pytest.fixture
def pieces(service):
    async def pieces(**values):
        request = DownloadReportRequest(name="reports/r", **values)
        return [response.data async for response in service.DownloadReport(request, None)]

    return pieces


async def test_reports_are_shown_the_newest_first_and_deleted_with_their_files(core, service, publish):
    folders = [publish(f"reports/{name}", **FACTS) for name in "abc"]
    page = await service.ListReports(ListReportsRequest(page_size=2), None)
    assert [report.name for report in page.reports] == ["reports/c", "reports/b"]
    rest = await service.ListReports(ListReportsRequest(page_token=page.next_page_token), None)
    assert [report.name for report in rest.reports] == ["reports/a"]
    assert await service.GetReport(GetReportRequest(name="reports/a"), None) == rest.reports[0]
    assert rest.reports[0].headline == "Better."
    await service.DeleteReport(DeleteReportRequest(name="reports/b"), None)
    assert [folder.exists() for folder in folders] == [True, False, True]
    with pytest.raises(NotFound):
        await service.GetReport(GetReportRequest(name="reports/b"), None)


async def test_a_reports_files_come_in_pieces_of_one_mebibyte(publish, pieces):
    folder = publish("reports/r", **FACTS)
    page = bytes(range(256)) * 10_000
    (folder / "report.html").write_bytes(page)
    (folder / "report.json").write_bytes(b"{}")
    got = await pieces()
    assert [len(piece) for piece in got] == [1 << 20, 1 << 20, len(page) - (2 << 20)]
    assert b"".join(got) == page
    assert await pieces(format=REPORT_FORMAT_HTML) == got
    assert await pieces(format=REPORT_FORMAT_JSON) == [b"{}"]


async def test_a_file_or_report_that_is_not_known_is_refused(publish, pieces):
    with pytest.raises(NotFound) as caught:
        await pieces()
    assert caught.value.reason == "REPORT_NOT_FOUND"
    publish("reports/r", **FACTS)
    with pytest.raises(InvalidInput) as refused:
        await pieces(format=9)
    assert [field for field, _ in refused.value.violations] == ["format"]

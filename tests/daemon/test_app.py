import shutil
import tempfile
from importlib import import_module, resources
from pathlib import Path

import pytest
from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from honed.daemon.app import running
from honed.daemon.config import Config
from honed.template_library import BUILT_IN
from honed.v1.reports_pb2 import ListReportsRequest
from honed.v1.reports_pb2_grpc import ReportServiceStub
from honed.v1.templates_pb2 import ListTemplatesRequest
from honed.v1.templates_pb2_grpc import TemplateServiceStub


@pytest.fixture
def folder():
    """A folder with a path short enough for a socket."""
    path = Path(tempfile.mkdtemp(prefix="hd-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


def contract():
    """Names of all services of the .proto files."""
    files = [file.name for file in resources.files("honed.v1").iterdir() if file.name.endswith("_pb2.py")]
    modules = [import_module(f"honed.v1.{name.removesuffix('.py')}") for name in files]
    return {service.full_name for module in modules for service in module.DESCRIPTOR.services_by_name.values()}


async def test_every_service_of_the_contract_is_served(folder):
    listen = f"unix:{folder / 'sock'}"
    assert {"honed.v1.TemplateService", "honed.v1.ReportService"} <= contract()
    async with running(Config(state_dir=str(folder / "s"), listen=(listen,))) as core:
        token = (("authorization", f"Bearer {core.state.token()}"),)
        async with aio.insecure_channel(listen) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            for service in contract():
                answer = await health.Check(health_pb2.HealthCheckRequest(service=service), metadata=token)
                assert answer.status == health_pb2.HealthCheckResponse.SERVING
            templates, reports = TemplateServiceStub(channel), ReportServiceStub(channel)
            found = await templates.ListTemplates(ListTemplatesRequest(), metadata=token)
            assert len(found.templates) == len(BUILT_IN)
            assert not (await reports.ListReports(ListReportsRequest(), metadata=token)).reports

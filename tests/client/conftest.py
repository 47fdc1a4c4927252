"""The client and its command line against a twin of the daemon: the wire is real, the work behind it is not."""

import asyncio
import inspect
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from helpers.twin import Bookkeeper, Twin
from honed.client import AsyncClient, Client
from honed.client.cli.app import app
from honed.v1 import (
    adapters_pb2_grpc,
    datasets_pb2_grpc,
    exports_pb2_grpc,
    generation_pb2_grpc,
    jobs_pb2_grpc,
    models_pb2_grpc,
    reports_pb2_grpc,
    system_pb2_grpc,
    templates_pb2_grpc,
)
from typer.testing import CliRunner


@contextmanager
def serving(twin, bookkeeper, address):
    """A server with the twin behind it. Leaving it breaks off all calls, as a daemon does that is stopped."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        server = grpc.server(pool, interceptors=[bookkeeper])
        adapters_pb2_grpc.add_AdapterServiceServicer_to_server(twin, server)
        datasets_pb2_grpc.add_DatasetServiceServicer_to_server(twin, server)
        exports_pb2_grpc.add_ExportServiceServicer_to_server(twin, server)
        generation_pb2_grpc.add_GenerationServiceServicer_to_server(twin, server)
        jobs_pb2_grpc.add_JobServiceServicer_to_server(twin, server)
        models_pb2_grpc.add_ModelServiceServicer_to_server(twin, server)
        reports_pb2_grpc.add_ReportServiceServicer_to_server(twin, server)
        system_pb2_grpc.add_SystemServiceServicer_to_server(twin, server)
        templates_pb2_grpc.add_TemplateServiceServicer_to_server(twin, server)
        server.add_insecure_port(address)
        server.start()
        yield
        server.stop(grace=None).wait()


@pytest.fixture
def bookkeeper():
    return Bookkeeper()


@pytest.fixture
def twin():
    return Twin()


@pytest.fixture
def socket_address(monkeypatch) -> Iterator[str]:
    """The address of a socket that nobody serves yet; HONED_ADDRESS names it too."""
    with tempfile.TemporaryDirectory() as folder:  # tmp_path may be longer than a socket's path can be
        address = f"unix:{Path(folder) / 'honed.sock'}"
        monkeypatch.setenv("HONED_ADDRESS", address)
        monkeypatch.delenv("HONED_TOKEN", raising=False)
        monkeypatch.delenv("HONED_TOKEN_FILE", raising=False)
        yield address


@pytest.fixture
def address(twin, bookkeeper, socket_address) -> Iterator[str]:
    """The same address, with the twin behind it."""
    with serving(twin, bookkeeper, socket_address):
        yield socket_address


@pytest.fixture
def serve(twin, bookkeeper, socket_address):
    """Serves the twin as long as a `with` lasts, as often as a test wants."""
    return lambda: serving(twin, bookkeeper, socket_address)


@pytest.fixture
def run_hone():
    """Runs a command in this process."""

    def run(*args, stdin=None):
        return CliRunner().invoke(app, [str(arg) for arg in args], input=stdin, catch_exceptions=False)

    return run


@pytest.fixture
def hone(address, run_hone):
    """Runs a command against the twin."""
    return run_hone


class Driver:
    """Runs a client's methods to their end, so that one test holds for both: streams become lists."""

    def __init__(self, client, run):
        self._client = client
        self._run = run

    def __getattr__(self, name):
        return lambda *args, **options: self._run(getattr(self._client, name)(*args, **options))


def run_sync(result):
    return list(result) if inspect.isgenerator(result) else result


async def run_async(result):
    return [item async for item in result] if inspect.isasyncgen(result) else await result


@pytest.fixture(params=["Client", "AsyncClient"])
def client(request, address):
    """Each client in turn, behind a driver."""
    if request.param == "Client":
        with Client(address, token="secret") as sync_client:
            yield Driver(sync_client, run_sync)
        return

    async def make():
        return AsyncClient(address, token="secret")

    with asyncio.Runner() as runner:
        async_client = runner.run(make())
        yield Driver(async_client, lambda result: runner.run(run_async(result)))
        runner.run(async_client.close())

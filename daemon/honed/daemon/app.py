"""The composition root: the only place that constructs the daemon's parts; they stop in the reverse order."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from grpc import aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH_SERVICE
from grpc_health.v1.health import aio as health_aio  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType] - missing in its stub
from grpc_reflection.v1alpha import reflection
from honed.daemon.auth import TokenAuthenticator, needs_no_token
from honed.daemon.config import Config
from honed.daemon.core import Core
from honed.daemon.engines import Engines
from honed.daemon.publisher import Publisher
from honed.daemon.rpc.adapters import AdapterService
from honed.daemon.rpc.datasets import DatasetService
from honed.daemon.rpc.exports import ExportService
from honed.daemon.rpc.generation import SERVICE as GENERATION_SERVICE
from honed.daemon.rpc.generation import generation_handler
from honed.daemon.rpc.jobs import JobService
from honed.daemon.rpc.models import ModelService
from honed.daemon.rpc.reports import ReportService
from honed.daemon.rpc.system import SystemService
from honed.daemon.rpc.templates import TemplateService
from honed.daemon.state import StateFolder
from honed.daemon.store import Database, JobStore, ResourceStore, TemplateStore
from honed.daemon.supervisor import Supervisor
from honed.errors import Unavailable
from honed.rpc_edge import Edge
from honed.v1 import (
    adapters_pb2_grpc,
    datasets_pb2_grpc,
    exports_pb2_grpc,
    jobs_pb2_grpc,
    models_pb2_grpc,
    reports_pb2_grpc,
    system_pb2_grpc,
    templates_pb2_grpc,
)

_log = logging.getLogger(__name__)
MAX_MESSAGE_BYTES = 4 << 20
_NOUNS = ("Job", "Model", "Dataset", "Template", "Adapter", "Export", "Report", "System")
_GRACE_S = 2.0


async def serve(config: Config) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        AlreadyExists: another daemon owns the state folder.
        Unavailable: an address cannot be listened on.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with running(config):
        await stop.wait()
        _log.info("stopping")


@asynccontextmanager
async def running(config: Config) -> AsyncGenerator[Core]:
    """A daemon that serves for as long as the block runs."""
    state = StateFolder(Path(config.state_dir), config.min_free_bytes)
    try:
        database = Database(state.database)
        try:
            resources, templates, jobs = ResourceStore(database), TemplateStore(database), JobStore(database)
            live = jobs.live()
            uploads = {str(job.work.get("source", "")) for job in live}
            state.remove_unknown(resources.folders(), uploads, {job.id for job in live}, jobs.failed())
            publisher = Publisher(state, resources)
            supervisor = Supervisor(state, jobs, publisher, config.cpu_threads)
            supervisor.recover()
            engines = Engines(state, config)
            core = Core(config, state, jobs, resources, templates, supervisor, engines, datetime.now(UTC))
            server = await _start_server(core)
            tasks = [asyncio.create_task(supervisor.run()), asyncio.create_task(engines.reap())]
            try:
                _log.info("serving on %s, state in %s", ", ".join(config.listen), state.path)
                yield core
            finally:
                await server.stop(_GRACE_S)
                for task in tasks:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
                await engines.stop_all()
        finally:
            database.close()
    finally:
        state.close()


async def _start_server(core: Core) -> aio.Server:
    server = aio.server(
        interceptors=[Edge(TokenAuthenticator(core.state.token()), needs_no_token)],
        options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)],
    )
    jobs_pb2_grpc.add_JobServiceServicer_to_server(JobService(core), server)
    models_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(core), server)
    datasets_pb2_grpc.add_DatasetServiceServicer_to_server(DatasetService(core), server)
    adapters_pb2_grpc.add_AdapterServiceServicer_to_server(AdapterService(core), server)
    exports_pb2_grpc.add_ExportServiceServicer_to_server(ExportService(core), server)
    templates_pb2_grpc.add_TemplateServiceServicer_to_server(TemplateService(core), server)
    reports_pb2_grpc.add_ReportServiceServicer_to_server(ReportService(core), server)
    system_pb2_grpc.add_SystemServiceServicer_to_server(SystemService(core), server)
    server.add_generic_rpc_handlers((generation_handler(core),))
    services = [
        *(f"honed.v1.{noun}Service" for noun in _NOUNS),
        GENERATION_SERVICE,
    ]
    checks: Any = cast("Any", health_aio).HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)  # pyright: ignore[reportUnknownMemberType] - as above
    for service in ("", *services):
        await checks.set(service, health_pb2.HealthCheckResponse.SERVING)
    reflection.enable_server_reflection((*services, HEALTH_SERVICE, reflection.SERVICE_NAME), server)
    for address in core.config.listen:
        _bind(server, address)
    await server.start()
    return server


def _bind(server: aio.Server, address: str) -> None:
    if address.startswith("unix:") and _answers(address.removeprefix("unix:")):
        raise Unavailable(f"Cannot listen on {address}: another process serves there.", reason="ADDRESS_IN_USE")
    before = os.umask(0o177)  # a UNIX socket is the owner's alone
    try:
        server.add_insecure_port(address)
    except RuntimeError as error:
        raise Unavailable(f"Cannot listen on {address}: {error}", reason="ADDRESS_IN_USE") from None
    finally:
        os.umask(before)


def _answers(path: str) -> bool:
    """Whether somebody listens on a UNIX socket; gRPC would take a living one away from its owner."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True

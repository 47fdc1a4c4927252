"""SystemService: how the daemon is."""

from importlib import metadata
from pathlib import Path
from typing import Any

from grpc.aio import ServicerContext
from honed.daemon.core import Core
from honed.daemon.rpc.convert import timestamp
from honed.v1 import system_pb2, system_pb2_grpc


class SystemService(system_pb2_grpc.SystemServiceServicer):
    """See system.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetStatus(
        self, request: system_pb2.GetStatusRequest, context: ServicerContext[Any, Any]
    ) -> system_pb2.Status:
        core = self._core
        live = core.jobs.live()
        return system_pb2.Status(
            version=metadata.version("honed"),
            start_time=timestamp(core.start_time),
            daemon_rss_bytes=_rss_bytes("self"),
            disk_free_bytes=core.state.free_bytes(),
            running_job=next((job.name for job in live if job.state == "RUNNING"), ""),
            queued_jobs=sum(job.state == "QUEUED" for job in live),
            engines=[
                system_pb2.EngineStatus(
                    export=engine.export, rss_bytes=_rss_bytes(engine.process.pid), active_requests=engine.active
                )
                for engine in core.engines.running()
            ],
        )


def _rss_bytes(pid: int | str) -> int:
    """Resident memory of a process; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)

"""What the services share: the one object that `app` constructs and hands to every service."""

import asyncio
import shutil
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from honed.daemon.config import Config
from honed.daemon.engines import Engines
from honed.daemon.scheduler import require_place
from honed.daemon.state import StateFolder
from honed.daemon.store import Job, JobStore, NewJob, ResourceStore, TemplateStore
from honed.daemon.supervisor import Supervisor
from honed.worker.contract import Limits, Work


@dataclass(frozen=True)
class Core:
    """The parts of a running daemon."""

    config: Config
    state: StateFolder
    jobs: JobStore
    resources: ResourceStore
    templates: TemplateStore
    supervisor: Supervisor
    engines: Engines
    start_time: datetime

    def enqueue(self, new: NewJob) -> Job:
        """Puts a job into the queue.

        Raises:
            NoRoom: the disk is nearly full.
            Busy: the queue is full.
            AlreadyExists: what it would make exists, or is being made.
        """
        for made in new.makes.values():
            self.resources.require_free(made.name)
        self.state.require_room()
        require_place(self.jobs.live(), self.config.max_queued_jobs)
        job = self.jobs.create(new)
        self.supervisor.wake()
        return job

    async def delete(self, name: str, *also: str) -> None:
        """Deletes resources with their files; an engine that serves one of them ends first.

        Raises:
            NotFound: there is none of this name.
            WrongState: it is in use.
        """
        for resource in self.resources.delete(name, *also):
            await self.engines.stop(resource.name)
            await asyncio.to_thread(shutil.rmtree, self.state.path / resource.folder, ignore_errors=True)

    @property
    def ingest_limits(self) -> Limits:
        """What a short-lived worker that parses what came from outside may use."""
        config = self.config
        cpu_s = config.ingest_timeout_s * config.cpu_threads
        return Limits(cpu_s, config.ingest_memory_bytes, config.ingest_timeout_s)

    async def ask(self, work: Work, limits: Limits | None = None) -> dict[str, Any]:
        """The result of work that leaves no files, from a short-lived worker under the ingest limits or others.

        Raises:
            HonedError: what the worker found, or how it died.
        """
        folder = self.state.new_upload()
        try:
            return await self.supervisor.run_once(work, limits or self.ingest_limits, folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)

    def folder(self, name: str) -> str:
        """Path of a resource's files.

        Raises:
            NotFound: there is none of this name.
        """
        return str(self.state.path / self.resources.get(name).folder)

"""Runs jobs, one at a time, each in a worker process: starts it, takes over its events, publishes what it made.

The worker's events.jsonl is the only channel from it; a worker that dies costs its job and nothing else.
"""

import asyncio
import logging
import shutil
import signal
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any

from honed.daemon import children
from honed.daemon.publisher import Publisher
from honed.daemon.scheduler import next_job
from honed.daemon.state import StateFolder
from honed.daemon.store import LIVE, Job, JobStore
from honed.errors import Failure, HonedError, Internal, NoRoom
from honed.worker.contract import EVENTS_FILE, STDERR_FILE, WORKS, Event, Limits, Work, now, read_events, write_spec

_log = logging.getLogger(__name__)
_POLL_S = 0.1
_RUST_OUT_OF_MEMORY = "memory allocation of"  # Rust's last words: it aborts where Python would raise MemoryError
_GRACE_S = 3.0
# Every thread that allocates reserves 64 MiB (glibc's arenas) of the address space that Limits.memory_bytes bounds.
_MAX_LIMITED_THREADS = 8
# Short-lived workers at once; each may use up to its limits, so all may use no more than this many times as much.
_MAX_SHORT_LIVED = 4


class Supervisor:
    """Owns the workers."""

    def __init__(self, state: StateFolder, jobs: JobStore, publisher: Publisher, threads: int) -> None:
        self._state = state
        self._jobs = jobs
        self._publisher = publisher
        self._threads = threads
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._running: tuple[int, Process] | None = None
        self._cancelled: set[int] = set()
        self._short_lived = asyncio.Semaphore(_MAX_SHORT_LIVED)

    async def run(self) -> None:
        """Runs the queue until cancelled; then the running worker ends and its job goes back into the queue."""
        for job in self._jobs.live():
            if job.state == "RUNNING":  # an earlier daemon was interrupted
                self._requeue(job)
        while True:
            self._wake.clear()
            job = next_job(self._jobs.live())
            if job is None:
                await self._wake.wait()
            else:
                await self._run(job)

    def wake(self) -> None:
        """Says that the queue has changed."""
        self._wake.set()
        self._announce()

    async def changed(self, timeout_s: float) -> bool:
        """Waits until any job has changed; False after `timeout_s` without a change."""
        try:
            await asyncio.wait_for(self._changed.wait(), timeout_s)
        except TimeoutError:
            return False
        return True

    async def cancel(self, job: Job) -> Job:
        """Cancels a live job; a running one is killed, and the call returns when its worker is gone."""
        if job.state != "RUNNING":
            job = self._jobs.set_state(job, "CANCELLED")
            self._publisher.discard_inputs(job)
            self.wake()
        else:
            self._cancelled.add(job.number)  # its worker may still be about to start
            if self._running and self._running[0] == job.number:
                children.signal_group(self._running[1], signal.SIGKILL)
            while (job := self._jobs.get(job.id)).state == "RUNNING":
                await self.changed(1)
        return job

    async def run_once(self, work: Work, limits: Limits, folder: Path) -> dict[str, Any]:
        """Runs a short-lived worker outside the queue, beside few others, and returns its result.

        Its output lies in folder/output.

        Raises:
            HonedError: what the worker found, or how it died.
        """
        write_spec(folder, work, limits)
        threads = min(self._threads, _MAX_LIMITED_THREADS)
        async with self._short_lived:
            process = await children.spawn("honed.worker", str(folder), stderr=folder / STDERR_FILE, threads=threads)
            try:
                await asyncio.wait_for(process.wait(), limits.wall_s)
            except TimeoutError:
                raise NoRoom(
                    f"The work took longer than {limits.wall_s:g} s and was stopped.",
                    reason="TIME_LIMIT",
                    limit_s=limits.wall_s,
                ) from None
            finally:
                await children.end(process, 0)
        result: dict[str, Any] | None = None
        for event, _ in read_events(folder / EVENTS_FILE, 0):
            if event.kind == "failure":
                raise Failure.from_json(event.data).to_error()
            if event.kind == "result":
                result = event.data
        if result is None:
            if limits.memory_bytes is not None and _RUST_OUT_OF_MEMORY in children.tail(folder / STDERR_FILE):
                raise NoRoom(
                    f"Parsing took more than the {limits.memory_bytes:,} bytes that it may use (ingest_memory_bytes). "
                    "Split the table, or raise the limit.",
                    reason="MEMORY_EXCEEDED",
                    device_bytes=limits.memory_bytes,
                )
            raise self._death(process, folder)
        return result

    async def _run(self, job: Job) -> None:
        folder = self._state.job_folder(job.id)
        job = self._jobs.set_state(job, "RUNNING")
        self._announce()
        try:
            self._state.require_room()
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            write_spec(folder, WORKS[job.kind](**job.work))
            process = await children.spawn(
                "honed.worker", str(folder), stderr=folder / STDERR_FILE, threads=self._threads
            )
            self._running = (job.number, process)
            if job.number in self._cancelled:
                children.signal_group(process, signal.SIGKILL)
            try:
                result, failure = await self._follow(job, process, folder)
            finally:
                self._running = None
                await asyncio.shield(children.end(process, _GRACE_S))
            if job.number in self._cancelled:
                self._end(job, "CANCELLED")
            elif failure is not None:
                self._end(job, "FAILED", failure)
            elif result is None:
                self._end(job, "FAILED", Failure.of(self._death(process, folder)))
            else:
                await asyncio.to_thread(self._publisher.place, job, folder)
                self._publisher.record(job, result)
                self._end(job, "SUCCEEDED")
        except asyncio.CancelledError:  # the daemon stops
            self._requeue(job)
            raise
        except HonedError as error:
            self._end(job, "FAILED", Failure.of(error))
        except OSError as error:
            self._end(job, "FAILED", Failure.of(NoRoom(f"The job's files: {error}", reason="DISK_FULL")))
        except Exception:  # noqa: BLE001 - a defect costs the job, not the queue
            _log.exception("%s", job.name)
            self._end(job, "FAILED", Failure.of(Internal("A defect of honed; see the log.", reason="INTERNAL")))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def _follow(self, job: Job, process: Process, folder: Path) -> tuple[dict[str, Any] | None, Failure | None]:
        """Takes over events until the worker has ended."""
        offset, result, failure = 0, None, None
        waiter = asyncio.create_task(process.wait())
        try:
            ended = False
            while not ended:
                ended = bool((await asyncio.wait({waiter}, timeout=_POLL_S))[0])
                for event, end in read_events(folder / EVENTS_FILE, offset):
                    offset = end
                    if event.kind == "result":
                        result = event.data
                    elif event.kind == "failure":
                        failure = Failure.from_json(event.data)
                    else:
                        self._jobs.record(job, event)
                        self._announce()
        finally:
            waiter.cancel()
        return result, failure

    def _end(self, job: Job, state: str, failure: Failure | None = None) -> None:
        if failure is not None:
            self._jobs.record(job, Event(0, now(), "log", {"text": f"{failure.reason}: {failure.message}"}))
        self._jobs.set_state(job, state, failure)
        self._cancelled.discard(job.number)
        self._publisher.discard_inputs(job)
        self._announce()

    def _requeue(self, job: Job) -> None:
        if self._jobs.get(job.id).state in LIVE:
            self._jobs.record(job, Event(0, now(), "log", {"text": "The daemon stopped; the job starts over."}))
            self._jobs.set_state(job, "QUEUED")

    def _death(self, process: Process, folder: Path) -> Internal:
        return Internal(
            f"The worker {children.how_it_ended(process)} without a result.",
            reason="WORKER_DIED",
            stderr=children.tail(folder / STDERR_FILE),
        )

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

"""Runs jobs, one at a time, each in a worker process: starts it, takes over its events, publishes what it made.

The worker's events.jsonl is the only channel from it. A worker that dies costs its job and nothing else; one of a
resumable kind costs no more than the steps since its last checkpoint.
"""

import asyncio
import logging
from asyncio.subprocess import Process
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from honed.daemon import children
from honed.daemon.publisher import Publisher
from honed.daemon.scheduler import give_up, next_job, place
from honed.daemon.state import StateFolder
from honed.daemon.store import LIVE, Job, JobStore
from honed.errors import Failure, HonedError, Internal, NoRoom, WrongState
from honed.worker.contract import (
    CHECKPOINTS_FOLDER,
    EVENTS_FILE,
    STDERR_FILE,
    WORKS,
    Event,
    Limits,
    Work,
    now,
    read_events,
    write_spec,
)

_log = logging.getLogger(__name__)
_POLL_S = 0.1
_RUST_OUT_OF_MEMORY = "memory allocation of"  # Rust's last words: it aborts where Python would raise MemoryError
_PAUSE_GRACE_S = 60.0  # for a step and a checkpoint
_STOP_GRACE_S = 20.0  # the same when the daemon stops; systemd's TimeoutStopSec allows it
_GRACE_S = 3.0  # for a worker that keeps no checkpoints
# Every thread that allocates reserves 64 MiB (glibc's arenas) of the address space that Limits.memory_bytes bounds.
_MAX_LIMITED_THREADS = 8
# Short-lived workers at once; each may use up to its limits, so all may use no more than this many times as much.
_MAX_SHORT_LIVED = 4


@dataclass
class _Run:
    """The attempt at a job that is under way.

    Attributes:
        process: its worker, once there is one.
        wish: state that somebody asked for meanwhile.
        over: set when the job has left RUNNING and its folder is in order.
        taken_bytes: how far its events have been taken over.
    """

    job: Job
    folder: Path
    process: Process | None = None
    wish: Literal["PAUSED", "CANCELLED"] | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    taken_bytes: int = 0
    result: dict[str, Any] | None = None
    failure: Failure | None = None
    _kill: asyncio.TimerHandle | None = None

    def obey(self) -> None:
        """Signals what was asked for to the worker, if there is one; a paused one has a grace to write a checkpoint."""
        if self.process is None or self.process.returncode is not None:
            return
        if self.wish == "CANCELLED":
            children.kill_group(self.process)
        elif self.wish == "PAUSED" and self._kill is None:
            children.ask_to_end(self.process)
            loop = asyncio.get_running_loop()
            self._kill = loop.call_later(_PAUSE_GRACE_S, children.kill_group, self.process)

    async def end_worker(self) -> None:
        """Ends the worker, if it has not ended, and what is left of its process group."""
        if self.process is not None:
            resumable = WORKS[self.job.kind].resumable
            try:
                await asyncio.shield(children.end(self.process, _STOP_GRACE_S if resumable else _GRACE_S))
            finally:
                if self._kill is not None:
                    self._kill.cancel()


class Supervisor:
    """Owns the workers."""

    def __init__(self, state: StateFolder, jobs: JobStore, publisher: Publisher, threads: int) -> None:
        self._state = state
        self._jobs = jobs
        self._publisher = publisher
        self._threads = threads
        self._wake = asyncio.Event()
        self._changed = asyncio.Event()
        self._current: _Run | None = None  # while a job is RUNNING, and until its folder is in order
        self._short_lived = asyncio.Semaphore(_MAX_SHORT_LIVED)

    def recover(self) -> None:
        """Puts the job that ran when an earlier daemon was interrupted back into the queue; call it before `run`."""
        for job in self._jobs.live():
            if job.state == "RUNNING":
                self._requeue(job, "The daemon was interrupted")

    async def run(self) -> None:
        """Runs the queue until cancelled; then the running worker ends and its job goes back into the queue."""
        while True:
            self._wake.clear()
            job = next_job(self._jobs.live())
            if job is None:
                await self._wake.wait()
            else:
                await self._attempt(job)

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
        if job.state == "RUNNING":
            return await self._ask(job, "CANCELLED")
        job = self._jobs.set_state(job, "CANCELLED")
        self._publisher.discard_inputs(job)
        self.wake()
        if self._current and self._current.job.number == job.number:  # its worker has just died or been paused
            await self._current.over.wait()
        await asyncio.to_thread(self._state.remove_job_folder, job.id)
        return job

    async def pause(self, job: Job) -> Job:
        """Pauses a live job; the worker of a running one may write a checkpoint, and the call returns when it is gone.

        A job that ends meanwhile is returned as it ended.
        """
        if job.state == "RUNNING":
            return await self._ask(job, "PAUSED")
        if job.state == "QUEUED":
            job = self._jobs.set_state(job, "PAUSED")
            self.wake()
        return job

    def resume(self, job: Job) -> Job:
        """Puts a paused job back into the queue.

        Raises:
            WrongState: the job is not paused.
        """
        if job.state != "PAUSED":
            hint = " Create it again, with settings that do not fail so." if job.state == "FAILED" else ""
            raise WrongState(
                f"{job.name} is {job.state}; only a paused job can be resumed.{hint}",
                reason="JOB_NOT_PAUSED",
                resource=job.name,
            )
        job = self._jobs.set_state(job, "QUEUED")
        self.wake()
        return job

    async def _ask(self, job: Job, wish: Literal["PAUSED", "CANCELLED"]) -> Job:
        run = self._current
        assert run is not None
        assert run.job.number == job.number
        run.wish = run.wish if run.wish == "CANCELLED" else wish
        run.obey()  # a worker still about to start is told then
        await run.over.wait()
        return self._jobs.get(job.id)

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
            raise _death(process, folder)
        return result

    async def _attempt(self, job: Job) -> None:
        """Works on a job until it leaves RUNNING."""
        run = self._current = _Run(self._jobs.set_state(job, "RUNNING"), self._state.job_folder(job.id))
        self._announce()
        try:
            await self._work(run)
        except asyncio.CancelledError:  # the daemon stops
            self._interrupt(run)
            raise
        except HonedError as error:
            self._end(run, "FAILED", Failure.of(error))
        except OSError as error:
            self._end(run, "FAILED", Failure.of(NoRoom(f"The job's files: {error}", reason="DISK_FULL")))
        except Exception:  # noqa: BLE001 - a defect costs the job, not the queue
            _log.exception("%s", job.name)
            self._end(run, "FAILED", Failure.of(Internal("A defect of honed; see the log.", reason="INTERNAL")))
        finally:
            state = self._jobs.get(job.id).state
            tidy = self._state.clear_job_folder if state in LIVE else self._state.remove_job_folder
            if state == "FAILED":
                tidy = self._state.leave_checkpoints
            try:
                await asyncio.to_thread(tidy, job.id)
            except OSError:
                _log.exception("the folder of %s", job.name)
            finally:
                self._current = None
                run.over.set()
                self._announce()

    async def _work(self, run: _Run) -> None:
        job, folder = run.job, run.folder
        self._state.require_room()
        await asyncio.to_thread(self._state.clear_job_folder, job.id)
        write_spec(folder, WORKS[job.kind](**job.work))
        try:
            run.process = await children.spawn(
                "honed.worker", str(folder), stderr=folder / STDERR_FILE, threads=self._threads
            )
            run.obey()
            await self._follow(run, run.process)
        finally:
            await run.end_worker()
        self._take(run)
        if run.wish == "CANCELLED":
            self._end(run, "CANCELLED")
        elif run.failure is not None:
            self._end(run, "FAILED", run.failure)
        elif run.result is not None:
            await asyncio.to_thread(self._publisher.place, job, folder, run.result)
            self._publisher.record(job, run.result)
            self._end(run, "SUCCEEDED")
        elif run.wish == "PAUSED":
            self._pause(run)
        else:
            self._die(run, run.process)

    async def _follow(self, run: _Run, process: Process) -> None:
        """Takes over events until the worker has ended."""
        waiter = asyncio.create_task(process.wait())
        try:
            while not (await asyncio.wait({waiter}, timeout=_POLL_S))[0]:
                self._take(run)
        finally:
            waiter.cancel()

    def _take(self, run: _Run) -> None:
        """Takes over the events that the worker has written since the last time."""
        for event, end in read_events(run.folder / EVENTS_FILE, run.taken_bytes):
            run.taken_bytes = end
            if event.kind == "result":
                run.result = event.data
            elif event.kind == "failure":
                run.failure = Failure.from_json(event.data)
            else:
                self._jobs.record(run.job, event)
                self._announce()

    def _end(self, run: _Run, state: str, failure: Failure | None = None) -> None:
        if failure is not None:
            self._say(run.job, f"{failure.reason}: {failure.message}")
        self._jobs.set_state(run.job, state, failure)
        self._publisher.discard_inputs(run.job)

    def _pause(self, run: _Run) -> None:
        if run.process is None or run.process.returncode:
            self._say(run.job, f"No checkpoint was written; when it is resumed, the job {self._goes_on(run.job)}.")
        self._jobs.set_state(run.job, "PAUSED")

    def _interrupt(self, run: _Run) -> None:
        """The daemon stops while the job is under way."""
        try:
            self._take(run)
        except Exception:  # noqa: BLE001 - the daemon stops whatever a worker wrote
            _log.exception("%s", run.job.name)
        if run.wish == "CANCELLED":
            self._end(run, "CANCELLED")
        elif run.wish == "PAUSED":
            self._pause(run)
        else:
            self._requeue(run.job, "The daemon stopped")

    def _die(self, run: _Run, process: Process) -> None:
        """The worker has died: of itself, of memory, of somebody's signal."""
        why = ""
        if WORKS[run.job.kind].resumable:
            deaths = self._jobs.record_death(run.job).deaths
            why = give_up(deaths)
            if not why:
                self._requeue(run.job, f"The worker {children.how_it_ended(process)} {place(deaths[-1])}")
                return
        self._end(run, "FAILED", Failure.of(_death(process, run.folder, why)))

    def _requeue(self, job: Job, why: str) -> None:
        self._say(job, f"{why}; the job {self._goes_on(job)}.")
        self._jobs.set_state(job, "QUEUED")

    def _goes_on(self, job: Job) -> str:
        """What the next attempt does, in words."""
        checkpoints = self._state.job_folder(job.id) / CHECKPOINTS_FOLDER
        kept = WORKS[job.kind].resumable and checkpoints.is_dir() and any(checkpoints.iterdir())
        return "goes on from what it kept" if kept else "starts over"

    def _say(self, job: Job, text: str) -> None:
        self._jobs.record(job, Event(0, now(), "log", {"text": text}))

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _death(process: Process, folder: Path, why_final: str = "") -> Internal:
    return Internal(
        f"The worker {children.how_it_ended(process)} without a result. {why_final}".strip(),
        reason="WORKER_DIED",
        stderr=children.tail(folder / STDERR_FILE),
    )

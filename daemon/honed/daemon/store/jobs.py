"""Jobs and their events in the database. Every change of state is also an event, in the same transaction."""

import json
import secrets
import sqlite3
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from honed.daemon.store.database import Database
from honed.errors import AlreadyExists, Failure, NotFound, WrongState
from honed.worker.contract import Event, now

LIVE = frozenset({"QUEUED", "RUNNING", "PAUSED"})  # has not ended


@dataclass(frozen=True)
class Makes:
    """What a folder of a job's output becomes.

    Attributes:
        name: name of the new resource; its collection is the part before the slash.
        parents: resources it is made from.
        facts: recorded beside those that the worker measures.
    """

    name: str
    parents: tuple[str, ...]
    facts: dict[str, str]


@dataclass(frozen=True)
class Job:
    """A row of the table `jobs`; `request` is the API's own serialised spec, opaque here.

    Attributes:
        deaths: for each of its workers that died, the last training step reported by then, None before the first.
    """

    number: int
    id: str
    owner: str
    kind: str
    request: bytes
    work: dict[str, Any]
    makes: dict[str, Makes]
    target: str
    state: str
    phase: str
    attempt: int
    deaths: tuple[int | None, ...]
    create_time: datetime
    start_time: datetime | None
    end_time: datetime | None
    progress: dict[str, Any] | None
    failure: Failure | None

    @property
    def name(self) -> str:
        return f"jobs/{self.id}"

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        return cls(
            number=row["number"],
            id=row["id"],
            owner=row["owner"],
            kind=row["kind"],
            request=row["request"],
            work=json.loads(row["work"]),
            makes={
                part: Makes(made["name"], tuple(made["parents"]), made["facts"])
                for part, made in json.loads(row["makes"]).items()
            },
            target=row["target"],
            state=row["state"],
            phase=row["phase"],
            attempt=row["attempt"],
            deaths=tuple(json.loads(row["deaths"])),
            create_time=datetime.fromisoformat(row["create_time"]),
            start_time=_time(row["start_time"]),
            end_time=_time(row["end_time"]),
            progress=json.loads(row["progress"]) if row["progress"] else None,
            failure=Failure.from_json(json.loads(row["failure"])) if row["failure"] else None,
        )


@dataclass(frozen=True)
class NewJob:
    """What creating a job takes.

    Attributes:
        inputs: names of the resources it reads; they cannot be deleted while it lives.
        makes: what it makes, by folder of its output, the main thing first; no two live jobs make the same.
    """

    owner: str
    kind: str
    request: bytes
    work: dict[str, Any]
    inputs: tuple[str, ...]
    makes: dict[str, Makes]
    request_id: str | None


class JobStore:
    """Creates, finds and changes jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, new: NewJob) -> Job:
        """Queues a job; a known request_id returns the job it made before.

        Raises:
            AlreadyExists: a live job makes the same target.
        """
        target = next(iter(new.makes.values())).name if new.makes else ""
        with self._database.transaction():
            if new.request_id and (row := self._database.row("job_by_request_id", request_id=new.request_id)):
                return Job.of(row)
            if target and (row := self._database.row("live_job_by_target", target=target)):
                raise AlreadyExists(
                    f"jobs/{row['id']} is already making {target}; wait for it, or choose another id.",
                    reason="TARGET_IN_PROGRESS",
                    resource=target,
                )
            row = self._database.row(
                "insert_job",
                id=secrets.token_hex(6),
                owner=new.owner,
                kind=new.kind,
                request=new.request,
                work=json.dumps(new.work),
                makes=json.dumps({part: asdict(made) for part, made in new.makes.items()}),
                target=target,
                request_id=new.request_id,
                create_time=now(),
            )
            assert row is not None
            for name in new.inputs:
                self._database.rows("insert_job_input", job=row["number"], resource=name)
            self._append(row["number"], "state", {"state": "QUEUED"})
        return Job.of(row)

    def get(self, job_id: str) -> Job:
        """One job.

        Raises:
            NotFound: there is none of this id.
        """
        row = self._database.row("job_by_id", id=job_id)
        if row is None:
            raise NotFound(f"There is no job jobs/{job_id}.", reason="JOB_NOT_FOUND", resource=f"jobs/{job_id}")
        return Job.of(row)

    def of_request(self, request_id: str) -> Job | None:
        """The job that an earlier request with this id made, if there is one."""
        row = self._database.row("job_by_request_id", request_id=request_id) if request_id else None
        return Job.of(row) if row else None

    def page(self, before: int, limit: int) -> list[Job]:
        """At most `limit` jobs numbered below `before`, the newest first."""
        return [Job.of(row) for row in self._database.rows("page_of_jobs", before=before, limit=limit)]

    def live(self) -> list[Job]:
        """Queued, running and paused jobs in the order of their creation."""
        return [Job.of(row) for row in self._database.rows("live_jobs")]

    def set_state(self, job: Job, state: str, failure: Failure | None = None) -> Job:
        """Moves a live job to a state.

        Raises:
            WrongState: the job has ended.
        """
        with self._database.transaction():
            current = self.get(job.id)
            if current.state not in LIVE:
                raise WrongState(
                    f"{job.name} has ended ({current.state}).", reason="JOB_NOT_RUNNING", resource=job.name
                )
            self._append(job.number, "state", {"state": state})
            row = self._database.row(
                "set_job_state",
                number=job.number,
                state=state,
                time=now(),
                failure=json.dumps(asdict(failure)) if failure else None,
            )
        assert row is not None
        return Job.of(row)

    def record_death(self, job: Job) -> Job:
        """Remembers that a worker of the job died, and after which step."""
        row = self._database.row("record_death", number=job.number)
        assert row is not None
        return Job.of(row)

    def record(self, job: Job, event: Event) -> None:
        """Takes over one event of the job's worker."""
        with self._database.transaction():
            if event.kind == "phase":
                self._database.rows("set_job_phase", number=job.number, phase=event.data["phase"])
            elif event.kind == "progress":
                self._database.rows("set_job_progress", number=job.number, progress=json.dumps(event.data))
            self._append(job.number, event.kind, event.data, event.time)

    def events(self, job: Job, after: int, limit: int = 500) -> list[Event]:
        """Events behind a sequence number, in order, at most `limit`."""
        rows = self._database.rows("events_after", job=job.number, after=after, limit=limit)
        return [Event(row["sequence"], row["time"], row["kind"], json.loads(row["data"])) for row in rows]

    def evaluations(self, job: Job) -> list[dict[str, Any]]:
        """What the current attempt has evaluated."""
        return self._told(job, "evaluation")

    def trials(self, job: Job) -> list[dict[str, Any]]:
        """The trials of a sweep that have ended, as the current attempt knows them."""
        return self._told(job, "trial")

    def delete(self, job: Job) -> None:
        """Forgets a finished job and its events.

        Raises:
            WrongState: the job has not ended.
        """
        if job.state in LIVE:
            raise WrongState(
                f"{job.name} is {job.state}; cancel it first.", reason="JOB_NOT_FINISHED", resource=job.name
            )
        self._database.rows("delete_job", number=job.number)

    def _told(self, job: Job, kind: str) -> list[dict[str, Any]]:
        rows = self._database.rows("events_of_kind", job=job.number, kind=kind)
        return [json.loads(row["data"]) for row in rows]

    def _append(self, number: int, kind: str, data: dict[str, Any], time: str | None = None) -> None:
        self._database.rows("append_event", job=number, time=time or now(), kind=kind, data=json.dumps(data))


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None

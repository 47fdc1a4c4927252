"""Models, data sets, adapters, exports and reports in the database: one table, since all of them are published, listed,
looked up and deleted by the same rules; what differs between them is in `facts`."""

import json
import sqlite3
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self

from honed.architectures import ENCODERS
from honed.daemon.store.database import Database
from honed.errors import AlreadyExists, NotFound, WrongState
from honed.worker.contract import now

Collection = Literal["models", "datasets", "adapters", "exports", "reports"]


@dataclass(frozen=True)
class Resource:
    """A row of the table `resources`.

    Attributes:
        folder: where its files are, relative to the state folder.
        facts: what its maker measured and recorded, by collection.
    """

    number: int
    name: str
    owner: str
    create_time: datetime
    job: str
    digest: str
    size_bytes: int
    folder: str
    facts: dict[str, Any]

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        return cls(
            number=row["number"],
            name=row["name"],
            owner=row["owner"],
            create_time=datetime.fromisoformat(row["create_time"]),
            job=row["job"],
            digest=row["digest"],
            size_bytes=row["size_bytes"],
            folder=row["folder"],
            facts=json.loads(row["facts"]),
        )


@dataclass(frozen=True)
class NewResource:
    """What publishing takes; `parents` are the resources it was made from."""

    name: str
    owner: str
    job: str
    digest: str
    size_bytes: int
    folder: str
    facts: dict[str, Any]
    parents: tuple[str, ...] = ()


class ResourceStore:
    """Publishes, finds and deletes resources."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: Counter[str] = Counter()

    @contextmanager
    def held(self, *names: str) -> Generator[None]:
        """Keeps resources, those of an empty name excepted, from being deleted meanwhile.

        Raises:
            NotFound: there is none of a name.
        """
        for name in filter(None, names):
            self.get(name)
        self._held.update(names)
        try:
            yield
        finally:
            self._held.subtract(names)

    def publish(self, *resources: NewResource) -> None:
        """Records resources whose folders are in place, all or none.

        Raises:
            AlreadyExists: a name is taken.
        """
        with self._database.transaction():
            for new in resources:
                self.require_free(new.name)
                row = self._database.row(
                    "insert_resource",
                    name=new.name,
                    collection=new.name.partition("/")[0],
                    owner=new.owner,
                    create_time=now(),
                    job=new.job,
                    digest=new.digest,
                    size_bytes=new.size_bytes,
                    folder=new.folder,
                    facts=json.dumps(new.facts),
                )
                assert row is not None
                for parent in new.parents:
                    self._database.rows("insert_parent", child=row["number"], parent=parent)

    def require_free(self, name: str) -> None:
        """Raises AlreadyExists if the name is taken."""
        if self._database.row("resource_by_name", name=name):
            raise AlreadyExists(
                f"{name} exists already; choose another id or delete it first.",
                reason=f"{_noun(name)}_EXISTS",
                resource=name,
            )

    def get(self, name: str) -> Resource:
        """One resource.

        Raises:
            NotFound: there is none of this name.
        """
        resource = self.find(name)
        if resource is None:
            raise NotFound(f"There is no {name}.", reason=f"{_noun(name)}_NOT_FOUND", resource=name)
        return resource

    def find(self, name: str) -> Resource | None:
        """One resource, if there is one of this name."""
        row = self._database.row("resource_by_name", name=name)
        return Resource.of(row) if row else None

    def page(self, collection: Collection, before: int, limit: int) -> list[Resource]:
        """At most `limit` resources numbered below `before`, the newest first."""
        rows = self._database.rows("page_of_resources", collection=collection, before=before, limit=limit)
        return [Resource.of(row) for row in rows]

    def newest_export_of(self, source: str) -> Resource | None:
        """The newest export made of a model or adapter."""
        row = self._database.row("newest_child", parent=source, collection="exports")
        return Resource.of(row) if row else None

    def newest_adapter_of(self, model: str) -> Resource | None:
        """The newest adapter tuned on a model."""
        row = self._database.row("newest_adapter", model=model)
        return Resource.of(row) if row else None

    def delete(self, name: str, *also: str) -> list[Resource]:
        """Forgets resources, `also` first, and returns them; their folders are the caller's to remove.

        Raises:
            NotFound: there is none of this name.
            WrongState: another resource was made from it, or a live job, an upload or a preview reads it.
        """
        with self._database.transaction():
            gone = [self.get(each) for each in (*also, name)]
            for resource in gone:
                if children := [row["name"] for row in self._database.rows("children", parent=resource.name)]:
                    raise _in_use(
                        resource, children, f"{', '.join(children[:10])} was made from it; delete that first."
                    )
                if user := self._database.row("live_job_using", resource=resource.name):
                    job = f"jobs/{user['id']}"
                    raise _in_use(resource, [job], f"{job} reads it; cancel it or wait for its end.")
                if self._held[resource.name]:
                    raise _in_use(resource, [], "an upload or a preview reads it; try again when that has ended.")
                self._database.rows("delete_resource", number=resource.number)
        return gone

    def folders(self) -> set[str]:
        """Folders of all resources."""
        return {row["folder"] for row in self._database.rows("all_folders")}


def cannot_generate(resource: Resource) -> str:
    """Why a model or adapter writes no text, as words that follow its name; empty if it does."""
    if resource.facts.get("labels") and resource.name.startswith("adapters/"):
        return "has a classification head, which writes no text"
    if resource.facts.get("architecture") in ENCODERS:
        return f"is an encoder ({resource.facts['architecture']}), which writes no text"
    return ""


def _in_use(resource: Resource, users: list[str], why: str) -> WrongState:
    return WrongState(
        f"{resource.name} is in use: {why}",
        reason=f"{_noun(resource.name)}_IN_USE",
        resource=resource.name,
        used_by=",".join(users[:100]),
    )


def _noun(name: str) -> str:
    return name.partition("/")[0].removesuffix("s").upper()

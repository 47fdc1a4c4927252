"""Templates: the built-in ones, and those that users wrote, whose versions are all kept until the template is deleted.

A template is JSON with the keys of `honed.template_library.BUILT_IN`; this module does not look inside.
"""

import json
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from honed.daemon.store.database import Database
from honed.errors import NotFound, WrongState
from honed.template_library import BUILT_IN, digest
from honed.worker.contract import now


@dataclass(frozen=True)
class TemplateVersion:
    """One version of a template; `template` is the whole of it, name and version included.

    Attributes:
        number: place in lists, which count down.
        create_time: None for a built-in template.
    """

    number: int
    name: str
    version: int
    owner: str
    create_time: datetime | None
    digest: str
    template: dict[str, Any]

    @classmethod
    def of(cls, row: sqlite3.Row) -> Self:
        name, version = f"templates/{row['id']}", row["version"]
        return cls(
            number=row["number"],
            name=name,
            version=version,
            owner=row["owner"],
            create_time=datetime.fromisoformat(row["create_time"]),
            digest=row["digest"],
            template={"name": name, "version": version} | json.loads(row["spec"]),
        )


# They stand before all others in lists, whose numbers count down from here.
_BUILT_IN = {
    built_in["name"]: TemplateVersion(
        10**18 - place, built_in["name"], built_in["version"], "honed", None, digest(built_in), built_in
    )
    for place, built_in in enumerate(BUILT_IN.values(), 1)
}


class TemplateStore:
    """Adds, finds and deletes templates."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, name: str, owner: str, digest: str, template: dict[str, Any]) -> TemplateVersion:
        """The next version of a template, or the newest one if that has the same digest.

        Raises:
            WrongState: the template is built in.
        """
        self.require_own(name)
        spec = {key: value for key, value in template.items() if key not in ("name", "version")}
        with self._database.transaction():
            newest = self._database.row("newest_template_version", id=_id(name))
            if newest and newest["digest"] == digest:
                return TemplateVersion.of(newest)
            row = self._database.row(
                "insert_template",
                id=_id(name),
                version=newest["version"] + 1 if newest else 1,
                owner=owner,
                create_time=now(),
                digest=digest,
                spec=json.dumps(spec),
            )
        assert row is not None
        return TemplateVersion.of(row)

    def get(self, name: str, version: int = 0) -> TemplateVersion:
        """One version of a template; 0 is the newest.

        Raises:
            NotFound: there is no such template, or no such version of it.
        """
        if built_in := _BUILT_IN.get(name):
            if version not in (0, built_in.version):
                raise _not_found(name, version)
            return built_in
        if version:
            row = self._database.row("template_version", id=_id(name), version=version)
        else:
            row = self._database.row("newest_template_version", id=_id(name))
        if row is None:
            raise _not_found(name, version)
        return TemplateVersion.of(row)

    def page(self, before: int, limit: int) -> list[TemplateVersion]:
        """The newest versions of at most `limit` templates numbered below `before`: the built-in ones, then the newest
        template first."""
        page = [built_in for built_in in _BUILT_IN.values() if built_in.number < before][:limit]
        rows = self._database.rows("page_of_templates", before=before, limit=limit - len(page))
        return page + [TemplateVersion.of(row) for row in rows]

    def delete(self, name: str) -> None:
        """Forgets a template with all its versions.

        Raises:
            NotFound: there is none of this name.
            WrongState: it is built in.
        """
        self.require_own(name)
        if not self._database.rows("delete_template", id=_id(name)):
            raise _not_found(name)

    def require_own(self, name: str) -> None:
        """Raises WrongState if a template is built in."""
        if name in _BUILT_IN:
            raise WrongState(
                f"{name} is a built-in template and stays as it is; choose another id.",
                reason="TEMPLATE_BUILT_IN",
                resource=name,
            )


def _not_found(name: str, version: int = 0) -> NotFound:
    """The error for a template, or a version of it, that does not exist."""
    what = f"version {version} of {name}" if version else name
    return NotFound(f"There is no {what}.", reason="TEMPLATE_NOT_FOUND", resource=name)


def _id(name: str) -> str:
    return name.removeprefix("templates/")

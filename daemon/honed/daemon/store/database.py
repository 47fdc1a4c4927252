"""The SQLite file: opening, migrating, transactions, and the statements of queries.sql by name.

One connection, used from the event loop's thread alone. Statements are short, and a commit is one fsync
(synchronous=FULL), so they run in place; nothing is awaited inside a transaction.
"""

import re
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from functools import cache
from importlib import resources
from pathlib import Path

from honed.errors import WrongState

_PACKAGE = resources.files("honed.daemon.store")


class Database:
    """An open database."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it, and brings its schema up to date.

        Raises:
            WrongState: the file is not one that this version of honed wrote or can migrate; it stays as it is.
        """
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        try:
            migrate(self._connection)
            for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 5000"):
                self._connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            self._connection.close()
            raise

    def rows(self, query: str, **parameters: object) -> list[sqlite3.Row]:
        """All rows of a named query."""
        return self._connection.execute(queries()[query], parameters).fetchall()

    def row(self, query: str, **parameters: object) -> sqlite3.Row | None:
        """The first row of a named query, if any."""
        found = self.rows(query, **parameters)
        return found[0] if found else None

    @contextmanager
    def transaction(self) -> Generator[None]:
        """All of the block or nothing of it."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


def migrate(connection: sqlite3.Connection) -> None:
    """Runs the numbered migrations that the file has not seen, each in a transaction of its own.

    Raises:
        WrongState: the file was written by a newer honed, or its schema is not what the migrations make.
    """
    try:
        seen = connection.execute("PRAGMA user_version").fetchone()[0]
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:
            raise
        raise _foreign("it is no SQLite database") from None
    scripts = sorted((file.name, file) for file in (_PACKAGE / "migrations").iterdir() if file.name.endswith(".sql"))
    if seen > len(scripts):
        raise WrongState(
            f"The database has schema {seen}, this honed knows up to {len(scripts)}: install the newer one.",
            reason="DATABASE_TOO_NEW",
        )
    if not seen and (strangers := structure(connection)):
        raise _foreign(f"it holds {', '.join(sorted(strangers))} and no version of a schema")
    for number, (_name, file) in enumerate(scripts, 1):
        if number > seen:
            connection.executescript(f"BEGIN;\n{file.read_text('utf-8')}\nPRAGMA user_version = {number};\nCOMMIT;")
    found, expected = structure(connection), schema()
    different = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
    if different:
        raise _foreign(f"it differs in {', '.join(different)}")


def structure(connection: sqlite3.Connection) -> dict[str, str]:
    """The definition of every table and index by its name, comments and white space aside."""
    rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'").fetchall()
    return {name: " ".join(re.sub(r"--.*", "", sql).split()) for name, sql in rows}


@cache
def schema() -> dict[str, str]:
    """The structure that schema.sql makes."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript((_PACKAGE / "schema.sql").read_text("utf-8"))
        return structure(connection)


def _foreign(what: str) -> WrongState:
    return WrongState(
        f"The database of the state folder was not written by this version of honed: {what}. Give a new --state-dir, "
        "or run the honed that wrote it.",
        reason="DATABASE_FOREIGN",
    )


@cache
def queries() -> dict[str, str]:
    """queries.sql by name."""
    parts = re.split(r"^-- name: (\w+)$", (_PACKAGE / "queries.sql").read_text("utf-8"), flags=re.MULTILINE)
    return {
        name: re.sub(r"^--.*\n", "", text, flags=re.MULTILINE)
        for name, text in zip(parts[1::2], parts[2::2], strict=True)
    }

import re
import sqlite3
from importlib import resources

import pytest
from honed.daemon.store import Database
from honed.daemon.store.database import migrate, queries
from honed.errors import WrongState

PACKAGE = resources.files("honed.daemon.store")


def structure(connection):
    """Every table and index as SQLite keeps it, comments and white space aside."""
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'").fetchall()
    return {
        (kind, name): re.sub(r"\s+", " ", re.sub(r"--.*", "", sql)).replace(" ,", ",").strip()
        for kind, name, sql in rows
        if sql
    }


@pytest.fixture
def connect():
    open_connections = []

    def connect(path=":memory:"):
        open_connections.append(sqlite3.connect(path, isolation_level=None))
        return open_connections[-1]

    yield connect
    for connection in open_connections:
        connection.close()


def test_the_migrations_together_are_the_schema(connect):
    migrated, direct = connect(), connect()
    migrate(migrated)
    direct.executescript((PACKAGE / "schema.sql").read_text("utf-8"))
    assert structure(migrated) == structure(direct)
    assert structure(migrated)


def test_migrating_again_changes_nothing(connect):
    connection = connect()
    migrate(connection)
    before = structure(connection)
    migrate(connection)
    assert structure(connection) == before


def test_a_database_of_a_newer_honed_is_refused(connect):
    connection = connect()
    connection.execute("PRAGMA user_version = 99")
    with pytest.raises(WrongState, match="schema 99"):
        migrate(connection)


@pytest.mark.parametrize("name", queries())
def test_every_query_fits_the_schema(connect, name):
    connection = connect()
    migrate(connection)
    parameters = dict.fromkeys(re.findall(r":(\w+)", queries()[name]))
    connection.execute(f"EXPLAIN {queries()[name]}", parameters)


def test_a_commit_survives_a_power_cut(tmp_path):
    database = Database(tmp_path / "honed.db")
    pragmas = {
        name: database._connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous", "foreign_keys")
    }
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    database.close()


def test_a_failed_transaction_leaves_nothing(tmp_path):
    database = Database(tmp_path / "honed.db")
    resource = {"name": "models/a", "collection": "models", "owner": "o", "create_time": "t", "job": "", "digest": ""}

    def fail():
        with database.transaction():
            database.rows("insert_resource", **resource, size_bytes=0, folder="f", facts="{}")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert database.row("resource_by_name", name="models/a") is None
    database.close()

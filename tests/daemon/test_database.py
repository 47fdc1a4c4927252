import re
import sqlite3

import pytest
from honed.daemon.store import Database
from honed.daemon.store.database import migrate, queries, schema, structure
from honed.errors import WrongState


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
    migrated = connect()
    migrate(migrated)
    assert structure(migrated) == schema()
    assert {"jobs", "resources", "templates", "resources_by_collection"} <= schema().keys()


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


def refusal_of(path):
    before = path.read_bytes()
    with pytest.raises(WrongState) as caught:
        Database(path)
    assert path.read_bytes() == before
    assert caught.value.reason == "DATABASE_FOREIGN"
    assert "--state-dir" in caught.value.message
    return caught.value.message


def test_a_database_with_another_schema_of_the_same_number_is_refused(connect, tmp_path):
    connection = connect(tmp_path / "honed.db")
    migrate(connection)
    connection.executescript("ALTER TABLE jobs ADD COLUMN colour TEXT; DROP TABLE templates; CREATE TABLE more (a);")
    connection.close()
    assert "differs in jobs, more, templates" in refusal_of(tmp_path / "honed.db")


def test_a_database_of_another_program_is_refused_and_left_as_it_is(connect, tmp_path):
    connection = connect(tmp_path / "honed.db")
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    assert "bookmarks" in refusal_of(tmp_path / "honed.db")


def test_a_file_that_is_no_database_is_refused(tmp_path):
    path = tmp_path / "honed.db"
    path.write_bytes(b"not a database" * 1000)
    assert "no SQLite database" in refusal_of(path)


def test_a_database_is_opened_again_as_it_was(tmp_path):
    for _ in range(2):
        database = Database(tmp_path / "honed.db")
        assert structure(database._connection) == schema()
        database.close()


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

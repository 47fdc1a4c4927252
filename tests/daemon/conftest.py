import pytest
from honed.daemon.store import Database, JobStore, Makes, NewJob, ResourceStore


@pytest.fixture
def database(tmp_path):
    database = Database(tmp_path / "honed.db")
    yield database
    database.close()


@pytest.fixture
def jobs(database):
    return JobStore(database)


@pytest.fixture
def resources(database):
    return ResourceStore(database)


@pytest.fixture
def new_job():
    """Makes what a tuning job needs."""

    def new_job(target="adapters/a", request_id=None, inputs=("models/m", "datasets/d")):
        makes = {"adapter": Makes(target, ("models/m",), {"spec": "00"})} if target else {}
        return NewJob(
            owner="owner",
            kind="tune",
            request=b"\x00spec",
            work={"rank": 16},
            inputs=inputs,
            makes=makes,
            request_id=request_id,
        )

    return new_job

import shutil
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from honed.daemon.config import Config
from honed.daemon.core import Core
from honed.daemon.state import StateFolder
from honed.daemon.store import Database, JobStore, Makes, NewJob, NewResource, ResourceStore, TemplateStore
from honed.rpc_edge import principal
from honed.worker.contract import OUTPUT_FOLDER


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
def templates(database):
    return TemplateStore(database)


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


class Workers:
    """In the supervisor's place: remembers the short-lived work, and answers with `result` or raises it."""

    def __init__(self):
        self.works = []
        self.limits = None
        self.result = {}

    def wake(self):
        pass

    async def run_once(self, work, limits, folder):
        self.works.append(work)
        self.limits = limits
        if isinstance(self.result, Exception):
            raise self.result
        if work.kind == "ingest":
            made = folder / OUTPUT_FOLDER / "dataset"
            made.mkdir(parents=True)
            shutil.copy(work.train_file, made / "rows")
        return self.result


@pytest.fixture
def core(tmp_path, jobs, resources, templates):
    """The parts of a daemon with `Workers` in the place of real ones, seen from within a call of "owner"."""
    state = StateFolder(tmp_path / "state", min_free_bytes=0)
    config = Config(threads=2, ingest_timeout_s=10, ingest_memory_bytes=1 << 30)
    engines = SimpleNamespace(stop=_nothing)
    token = principal.set("owner")
    yield Core(config, state, jobs, resources, templates, Workers(), engines, datetime.now(UTC))
    principal.reset(token)
    state.close()


async def _nothing(name):
    pass


@pytest.fixture
def publish(core):
    """Publishes a resource with an empty folder."""

    def publish(name, parents=(), job="", **facts):
        folder = name.replace("/", "/folder-")
        (core.state.path / folder).mkdir()
        core.resources.publish(
            NewResource(
                name=name,
                owner="owner",
                job=job,
                digest="ab" * 32,
                size_bytes=7,
                folder=folder,
                facts=facts,
                parents=parents,
            )
        )
        return core.state.path / folder

    return publish


@pytest.fixture
def dataset_facts():
    """Facts of a data set as the ingest worker gives them."""
    from honed.template_library import BUILT_IN

    return {
        "format": "csv",
        "shape": "table",
        "task": "classify",
        "template": dict(BUILT_IN["classify"]),
        "columns": {"text": ["message"], "label": ["category"]},
        "parameters": {},
        "train_rows": 80,
        "test_rows": 20,
        "labels": ["card", "refund"],
        "slice_columns": ["region", "product"],
        "upload": {"instruction": "Sort.", "verbalizer": {"1": "card"}, "test_fraction": 0.2, "seed": 3},
        "report": {
            "rows": "100",
            "findings": [
                {
                    "severity": "SEVERITY_WARNING",
                    "code": "DUPLICATES_EXACT",
                    "message": "Two rows are the same.",
                    "count": 2,
                    "rows": ["3", "test 7"],
                }
            ],
            "labels": [{"label": "card", "train": 40, "test": 10}],
            "characters": {"total": 1000, "median": 9, "binEnds": ["10"], "binCounts": ["100"]},
        },
    }

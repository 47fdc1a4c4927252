"""One daemon process for most tests, on a state folder that holds a tiny model and a data set."""

import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.daemon import Daemon
from helpers.tables import WRITE
from helpers.tiny_model import make_tiny_model
from honed.client import Client
from honed.v1.datasets_pb2 import Dataset
from honed.v1.exports_pb2 import Export
from honed.v1.jobs_pb2 import BASE_PRECISION_BF16, Job, JobEvent, TuneSpec

CONTEXT = 16384  # long enough for replies that are still under way when a test looks


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory) -> Path:
    """A Hugging Face folder of a model with random weights."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", max_position_embeddings=CONTEXT)


@pytest.fixture(scope="session")
def table(tmp_path_factory) -> Path:
    """20 labelled rows as CSV."""
    rows = [f"Where is my card number {n}?,card\nI want a refund for order {n}.,refund\n" for n in range(10)]
    path = tmp_path_factory.mktemp("tables") / "table.csv"
    path.write_text("text,label\n" + "".join(rows), "utf-8")
    return path


@pytest.fixture(scope="session")
def stock(tiny_model, table) -> Iterator[Path]:
    """The state folder of a daemon that imported models/tiny, took datasets/table in, and was stopped. To be copied."""
    daemon = Daemon().start()
    try:
        with daemon.client() as client:
            client.wait_job(client.upload_model("tiny", tiny_model).name)
            client.upload_dataset("table", table, text_column="text", label_column="label")
        assert daemon.end() == 0
        yield daemon.state
    finally:
        daemon.close()


@pytest.fixture(scope="session")
def daemon(stock, tiny_model) -> Iterator[Daemon]:
    """The daemon that most tests share, on a UNIX socket and a TCP port; nobody may stop it."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        tcp = f"127.0.0.1:{probe.getsockname()[1]}"
    daemon = Daemon(tcp, stock=stock, import_roots=tiny_model.parent).start()
    yield daemon
    daemon.close()


@pytest.fixture(scope="session")
def client(daemon) -> Iterator[Client]:
    """A client of the shared daemon."""
    with daemon.client() as client:
        yield client


@pytest.fixture(scope="session")
def tuned(client) -> SimpleNamespace:
    """A finished job that made adapters/nf4: the request, its id, the job, and its events as they were seen live."""
    request = Job(tune=TuneSpec(model="models/tiny", dataset="datasets/table", adapter_id="nf4", max_steps=2))
    job = client.create_job(request, request_id="the first tuning")
    events: list[JobEvent] = []
    job = client.wait_job(job.name, events.append)
    return SimpleNamespace(request=request, request_id="the first tuning", job=job, events=events)


@pytest.fixture(scope="session")
def exports(client, tuned) -> list[Export]:
    """exports/int8 of an adapter on NF4, exports/fp32 of one on bfloat16."""
    client.wait_job(
        client.tune(
            TuneSpec(
                model="tiny",
                dataset="table",
                adapter_id="bf16",
                base_precision=BASE_PRECISION_BF16,
                max_steps=2,
                rank=4,
                skip_evaluation=True,
            )
        ).name
    )
    jobs = [client.export("int8", "adapters/nf4"), client.export("fp32", "adapters/bf16", format="onnx-fp32")]
    return [client.get_export(client.wait_job(job.name).result) for job in jobs]


@pytest.fixture
def upload(client, tmp_path):
    """Uploads rows or bytes under an id of their own; what was made is deleted at the end."""
    made: list[str] = []

    def upload(rows, *, test=None, table_format="jsonl", **options) -> Dataset:
        files = []
        for name, content in (("train", rows), ("test", test)):
            if content is not None:
                files.append(tmp_path / f"{name}-{len(made)}")
                files[-1].write_bytes(content if isinstance(content, bytes) else WRITE[table_format](content))
        dataset = client.upload_dataset(
            f"set-{len(made)}", files[0], test=files[1] if test is not None else None, **options
        )
        made.append(dataset.name)
        return dataset

    yield upload
    for name in made:
        client.delete_dataset(name)


@pytest.fixture
def nothing_is_kept(client, daemon) -> Iterator[None]:
    """What the test has refused leaves no data set and no file behind, and the daemon goes on."""
    before = [dataset.name for dataset in client.list_datasets()]
    folders = sorted((daemon.state / "datasets").iterdir())
    yield
    assert [dataset.name for dataset in client.list_datasets()] == before
    assert sorted((daemon.state / "datasets").iterdir()) == folders
    assert not list((daemon.state / "uploads").iterdir())
    assert client.get_status().version


@pytest.fixture
def new_daemon(stock) -> Iterator[Callable[..., Daemon]]:
    """Makes daemons of the test's own, not yet started, with the stock (or `stock=None`) and settings."""
    made: list[Daemon] = []

    def make(*listen: str, **settings: object) -> Daemon:
        made.append(Daemon(*listen, **{"stock": stock, **settings}))
        return made[-1]

    yield make
    for daemon in made:
        daemon.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a short path."""
    path = Path(tempfile.mkdtemp(prefix="hd-", dir="/tmp"))
    yield path
    shutil.rmtree(path)

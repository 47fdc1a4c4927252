"""How the daemon ends, gently or not, and what is still there after the next start."""

import signal
import threading

import pytest
from helpers.daemon import refused, wait_for
from honed.client.errors import HonedError
from honed.v1.datasets_pb2 import UploadDatasetHeader, UploadDatasetRequest
from honed.v1.jobs_pb2 import Job, TuneSpec


def endless(adapter_id: str) -> TuneSpec:
    return TuneSpec(model="tiny", dataset="table", adapter_id=adapter_id, epochs=1000, skip_evaluation=True)


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, -9)],
    ids=lambda value: getattr(value, "name", None),
)
def test_however_the_daemon_ends_no_child_stays_and_the_queue_goes_on(number, status, new_daemon):
    daemon = new_daemon().start()
    with daemon.client() as client:
        interrupted = client.tune(endless("first")).name
        waiting = client.tune(endless("second")).name
        client.complete("models/tiny", prompt="Hello", max_tokens=2)
        wait_for("the worker starts", lambda: daemon.children("honed.worker"))
        assert daemon.children("honed.serve")
    assert daemon.end(number) == status
    wait_for("all children are gone", lambda: not daemon.children(), timeout_s=10)

    daemon.start()
    with daemon.client() as client:
        wait_for("the interrupted job runs again", lambda: client.get_job(interrupted).state == Job.STATE_RUNNING)
        assert client.get_job(interrupted).attempt == 2
        assert client.get_job(waiting).state == Job.STATE_QUEUED
        assert client.get_job(waiting).attempt == 0
        assert client.cancel_job(waiting).state == Job.STATE_CANCELLED
        assert client.cancel_job(interrupted).state == Job.STATE_CANCELLED
        assert client.complete("models/tiny", prompt="Hello", max_tokens=2)[1].completion_tokens == 2
    assert daemon.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda value: value.name)
def test_a_paused_job_stays_paused_over_a_restart(number, new_daemon, tiny_model):
    daemon = new_daemon().start()
    with daemon.client() as client:
        paused = client.tune(endless("paused")).name
        wait_for("the worker starts", lambda: daemon.children("honed.worker"))
        client.pause_job(paused)
        upload = client.upload_model("other", tiny_model).name
        client.pause_job(upload)
    kept = daemon.state / "jobs" / paused.removeprefix("jobs/") / "checkpoints"
    kept.mkdir(exist_ok=True)
    (daemon.state / "jobs" / "unknown").mkdir()
    daemon.end(number)
    daemon.start()
    assert kept.exists()
    assert not (daemon.state / "jobs" / "unknown").exists()
    assert not daemon.children("honed.worker")
    with daemon.client() as client:
        assert {client.get_job(name).state for name in (paused, upload)} == {Job.STATE_PAUSED}
        assert client.get_job(paused).attempt == 1
        assert list((daemon.state / "uploads").iterdir())
        client.cancel_job(upload)
        assert not list((daemon.state / "uploads").iterdir())
        client.resume_job(paused)
        wait_for("the paused job runs", lambda: client.get_job(paused).state == Job.STATE_RUNNING)
        client.cancel_job(paused)
    assert not kept.exists()


def test_what_was_published_survives_a_kill(new_daemon):
    daemon = new_daemon().start()
    with daemon.client() as client:
        before = [client.get_model("tiny"), client.get_dataset("table"), *client.list_exports()]
    daemon.end(signal.SIGKILL)
    daemon.start()
    with daemon.client() as client:
        assert [client.get_model("tiny"), client.get_dataset("table"), *client.list_exports()] == before


def test_an_upload_cut_off_by_a_kill_leaves_nothing_behind(new_daemon):
    daemon = new_daemon(stock=None).start()
    daemon_is_dead = threading.Event()

    def messages():
        yield UploadDatasetRequest(header=UploadDatasetHeader(dataset_id="half", format="FILE_FORMAT_CSV"))
        yield UploadDatasetRequest(train_data=b"text,label\n" * 1000)
        daemon_is_dead.wait(30)

    with daemon.client() as client:
        failures: list[HonedError] = []

        def upload():
            try:
                client._calls.upload(client._datasets.UploadDataset, messages())
            except HonedError as error:
                failures.append(error)

        thread = threading.Thread(target=upload)
        thread.start()
        uploads = daemon.state / "uploads"
        wait_for("the upload has begun", lambda: list(uploads.glob("*/train")))
        daemon.end(signal.SIGKILL)
        daemon_is_dead.set()
        thread.join(30)
        assert [error.code.name for error in failures] == ["UNAVAILABLE"]
    assert list(uploads.iterdir())
    daemon.start()
    assert not list(uploads.iterdir())
    with daemon.client() as client:
        assert list(client.list_datasets()) == []


def test_a_watch_under_way_does_not_keep_the_daemon_from_ending(new_daemon):
    daemon = new_daemon().start()
    with daemon.client() as client:
        job = client.tune(endless("watched")).name
        watch = client.watch_job(job)
        assert next(watch).sequence == 1
        assert daemon.end() == 0
        watch.close()
        with refused("UNAVAILABLE", ""):
            client.get_status()

"""A disk without room: nothing new is begun, what is there can be read and deleted."""

import shutil

import pytest
from helpers.daemon import Daemon, refused, wait_for
from honed.client.errors import JobFailed
from honed.v1.jobs_pb2 import Job, TuneSpec


@pytest.fixture(scope="module")
def full(stock, tiny_model):
    """A daemon with the stock that would keep more in reserve than any disk has."""
    daemon = Daemon(stock=stock, min_free_bytes=10**18, import_roots=tiny_model.parent).start()
    yield daemon
    daemon.close()


@pytest.mark.parametrize(
    "begin",
    [
        lambda client, model, table: client.upload_dataset("d", table, text_column="text", label_column="label"),
        lambda client, model, table: client.upload_model("m", model),
        lambda client, model, table: client.import_model("m", str(model)),
        lambda client, model, table: client.tune(TuneSpec(model="tiny", dataset="table", adapter_id="a")),
        lambda client, model, table: client.evaluate("models/tiny", "table"),
        lambda client, model, table: client.export("e", "models/tiny"),
    ],
    ids=["upload of a data set", "upload of a model", "import", "tuning", "evaluation", "export"],
)
def test_without_room_nothing_new_is_begun(begin, full, tiny_model, table):
    with full.client() as client:
        jobs = len(list(client.list_jobs()))
        with refused("FAILED_PRECONDITION", "DISK_FULL") as error:
            begin(client, tiny_model, table)
        assert error.value.metadata["reserve_bytes"] == str(10**18)
        assert int(error.value.metadata["free_bytes"]) <= shutil.disk_usage(full.state).total
        assert len(list(client.list_jobs())) == jobs
        assert not list((full.state / "uploads").iterdir())


def test_without_room_what_is_there_still_answers(full):
    with full.client() as client:
        assert client.get_model("tiny").name == "models/tiny"
        assert client.complete("models/tiny", prompt="Hello", max_tokens=2)[1].completion_tokens == 2


def test_a_job_that_waited_until_the_disk_was_full_fails_with_the_reason(new_daemon):
    daemon = new_daemon().start()
    with daemon.client() as client:
        first = client.tune(TuneSpec(model="tiny", dataset="table", adapter_id="a", epochs=1000))
        wait_for("the job runs", lambda: client.get_job(first.name).state == Job.STATE_RUNNING)
        waiting = client.tune(TuneSpec(model="tiny", dataset="table", adapter_id="b"))
    daemon.end()
    daemon.settings["min_free_bytes"] = 10**18
    daemon.start()
    with daemon.client() as client:
        for job in (first, waiting):
            with pytest.raises(JobFailed) as error:
                client.wait_job(job.name)
            assert error.value.reason == "DISK_FULL"
        client.delete_dataset("table")  # making room is possible

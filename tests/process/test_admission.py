"""What a tuning would do is told before it runs, and what cannot fit is refused, by a real daemon and its workers."""

import pytest
from helpers.daemon import Daemon
from honed.client import InvalidArgument, JobFailed, NoRoom
from honed.v1.jobs_pb2 import Job, TuneSpec


def tuning(adapter_id="planned", **values):
    return TuneSpec(**{"model": "tiny", "dataset": "table", "adapter_id": adapter_id, "epochs": 2, **values})


def test_a_plan_says_what_the_job_then_does(client):
    job = client.plan(tuning(skip_evaluation=True))
    assert (job.name, job.state) == ("", Job.STATE_UNSPECIFIED)
    assert job.tune.rank == 16
    plan = job.plan
    assert 0 < plan.needed_bytes < plan.device_bytes
    assert plan.duration.ToTimedelta().total_seconds() > 0
    names = [each.name for each in client.list_jobs()]
    done = client.wait_job(client.tune(tuning(skip_evaluation=True)).name)
    assert done.name not in names
    training = client.get_adapter("planned").training
    assert plan.steps == training.steps
    assert plan.trainable_parameters == training.trainable_parameters
    assert plan.epoch_tokens * 2 == training.tokens
    said = [event.log for event in client.watch_job(done.name) if event.log]
    assert any(line.startswith(f"{plan.train_rows} training rows, {plan.validation_rows} validation") for line in said)
    assert any(line.startswith(f"{plan.micro_batch_tokens:,} tokens at once") for line in said)


def test_a_plan_of_a_bad_request_is_refused_as_the_job_would_be(client):
    with pytest.raises(InvalidArgument, match="rank"):
        client.plan(tuning(rank=0))


@pytest.fixture(scope="module")
def narrow(stock):
    """A daemon whose tunings may use less memory than torch itself takes."""
    daemon = Daemon(stock=stock, tune_memory_bytes=100 << 20, threads=1).start()
    yield daemon
    daemon.close()


def test_what_cannot_fit_is_refused_with_the_figures(narrow):
    with narrow.client() as client:
        with pytest.raises(NoRoom) as refused:
            client.plan(tuning())
        assert refused.value.reason == "MEMORY_EXCEEDED"
        assert int(refused.value.metadata["needed_bytes"]) > int(refused.value.metadata["device_bytes"]) == 100 << 20
        with pytest.raises(JobFailed) as failed:
            client.wait_job(client.tune(tuning(skip_evaluation=True)).name)
        assert failed.value.job.error.reason == "MEMORY_EXCEEDED"
        assert failed.value.job.error.metadata["device_bytes"] == str(100 << 20)

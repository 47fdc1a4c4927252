"""The queue: order, events, ends of all kinds, repeated requests."""

import os
import signal
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
from helpers.daemon import JOB_TIMEOUT_S, refused, wait_for
from honed.client.errors import JobFailed
from honed.v1.jobs_pb2 import Job, JobEvent, TuneSpec


def tuning(adapter_id: str, **settings) -> TuneSpec:
    return TuneSpec(**{"model": "tiny", "dataset": "table", "adapter_id": adapter_id, "epochs": 1000, **settings})


def is_running(client, name):
    return lambda: client.get_job(name).state == Job.STATE_RUNNING


@pytest.fixture
def endless(client):
    """A running job that would take hours; and any other live job is cancelled at the end too."""
    job = client.tune(tuning("endless", batch_size=1, skip_evaluation=True))
    wait_for("the job runs", is_running(client, job.name), JOB_TIMEOUT_S)
    yield job
    for live in client.list_jobs():
        if live.state in (Job.STATE_QUEUED, Job.STATE_RUNNING, Job.STATE_PAUSED):
            client.cancel_job(live.name)


def test_jobs_run_one_at_a_time_and_the_oldest_first(client, endless):
    waiting = [client.tune(tuning(f"waiting-{number}")) for number in range(3)]
    assert all(client.get_job(job.name).state == Job.STATE_QUEUED for job in waiting)
    status = client.get_status()
    assert (status.running_job, status.queued_jobs) == (endless.name, 3)
    names = [endless.name, *(job.name for job in waiting)]
    for place, name in enumerate(names):
        wait_for("the next in line runs", is_running(client, name))
        assert {client.get_job(later).state for later in names[place + 1 :]} <= {Job.STATE_QUEUED}
        assert client.cancel_job(name).state == Job.STATE_CANCELLED
    starts = [client.get_job(name).start_time.ToNanoseconds() for name in names]
    assert starts == sorted(starts)


def test_jobs_are_listed_the_newest_first(client, tuned):
    times = [job.create_time.ToNanoseconds() for job in client.list_jobs()]
    assert len(times) >= 2
    assert times == sorted(times, reverse=True)


def test_the_events_of_a_job_tell_its_whole_life_without_gaps(client, tuned):
    assert [event.sequence for event in tuned.events] == list(range(1, len(tuned.events) + 1))
    states = [event.state for event in tuned.events if event.WhichOneof("event") == "state"]
    assert states == [Job.STATE_QUEUED, Job.STATE_RUNNING, Job.STATE_SUCCEEDED]
    phases = [event.phase for event in tuned.events if event.WhichOneof("event") == "phase"]
    assert {"reading data", "quantising", "tuning", "saving"} <= set(phases)
    steps = [event.progress for event in tuned.events if event.progress.HasField("loss")]
    assert [step.step for step in steps] == [1, 2]
    assert all(step.total_steps == 2 and step.loss > 0 and step.tokens_per_s > 0 for step in steps)
    assert all(50 << 20 < step.memory_bytes < 8 << 30 for step in steps)  # torch alone takes more than the lower bound
    assert 0 < steps[0].tokens < steps[1].tokens == client.get_adapter(tuned.job.result).training.tokens


def test_a_replay_from_any_cursor_gives_exactly_the_events_behind_it(client, tuned):
    for cursor in range(len(tuned.events) + 1):
        assert list(client.watch_job(tuned.job.name, after_sequence=cursor)) == tuned.events[cursor:]


def test_a_cursor_beyond_the_last_event_of_an_ended_job_gives_nothing(client, tuned):
    assert list(client.watch_job(tuned.job.name, after_sequence=2**62)) == []


def test_a_watch_taken_up_in_the_middle_joins_without_gap_or_repeat(client, endless):
    with closing(client.watch_job(endless.name)) as watch:
        seen = [event.sequence for event in islice(watch, 3)]
    with closing(client.watch_job(endless.name, after_sequence=seen[-1])) as watch:
        seen += [event.sequence for event in islice(watch, 3)]
    assert seen == [1, 2, 3, 4, 5, 6]


def test_a_watch_ends_soon_after_the_last_event(client, endless):
    watch = client.watch_job(endless.name)
    next(event for event in watch if event.HasField("progress"))
    client.cancel_job(endless.name)
    *_, last = watch
    assert last.state == Job.STATE_CANCELLED
    ended = time.monotonic()
    assert list(watch) == []
    assert time.monotonic() - ended < 10  # and not only with the next heartbeat, after 15 s


def test_cancelling_a_waiting_job_ends_it_at_once(client, endless):
    job = client.tune(tuning("never"))
    assert client.cancel_job(job.name).state == Job.STATE_CANCELLED
    with pytest.raises(JobFailed) as error:
        client.wait_job(job.name)
    assert error.value.reason == "JOB_CANCELLED"
    assert client.get_job(job.name).attempt == 0


def test_cancelling_a_running_job_ends_its_worker(client, daemon, endless):
    wait_for("the worker starts", lambda: daemon.children("honed.worker"))
    assert client.cancel_job(endless.name).state == Job.STATE_CANCELLED
    assert not daemon.children("honed.worker")
    assert not list((daemon.state / "jobs").iterdir())
    with refused("NOT_FOUND", "ADAPTER_NOT_FOUND"):
        client.get_adapter("endless")


def niceness(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16])


def test_a_job_gives_way_to_an_engine(client, daemon, endless):
    (worker,) = wait_for("the worker starts", lambda: daemon.children("honed.worker"))
    usual = niceness(daemon.process.pid)
    wait_for("its priority is lower", lambda: niceness(worker) == min(19, usual + 5))
    group = Path(f"/proc/{worker}/autogroup")
    if group.exists():  # where the kernel schedules by sessions, theirs counts
        wait_for("its session's too", lambda: group.read_text().endswith("nice 5\n"))
    client.complete("models/tiny", prompt="a", max_tokens=1)
    assert {niceness(engine) for engine in daemon.children("honed.serve")} == {usual}


def test_cancelling_is_heard_however_early_it_comes(client):
    for _ in range(20):
        job = client.tune(tuning("early"))
        assert client.cancel_job(job.name).state == Job.STATE_CANCELLED


def test_a_job_that_has_ended_cannot_be_cancelled(client, tuned):
    with refused("FAILED_PRECONDITION", "JOB_NOT_RUNNING"):
        client.cancel_job(tuned.job.name)
    assert client.get_job(tuned.job.name).state == Job.STATE_SUCCEEDED


def test_a_job_is_deleted_only_when_it_has_ended(client, endless):
    with refused("FAILED_PRECONDITION", "JOB_NOT_FINISHED"):
        client.delete_job(endless.name)
    client.cancel_job(endless.name)
    client.delete_job(endless.name)
    with refused("NOT_FOUND", "JOB_NOT_FOUND"):
        client.get_job(endless.name)
    with refused("NOT_FOUND", "JOB_NOT_FOUND"):
        list(client.watch_job(endless.name))


def test_a_repeated_request_returns_the_job_of_the_first_while_it_waits(client, endless):
    request = Job(tune=TuneSpec(model="models/tiny", dataset="datasets/table", adapter_id="once"))
    first = client.create_job(request, request_id="once only")
    assert client.create_job(request, request_id="once only").name == first.name


def test_a_repeated_request_returns_the_job_of_the_first_when_it_has_succeeded(client, tuned):
    count = len(list(client.list_jobs()))
    assert client.create_job(tuned.request, request_id=tuned.request_id) == tuned.job
    assert len(list(client.list_jobs())) == count


def test_a_repeated_import_returns_the_job_of_the_first(client, tiny_model, endless):
    first = client.import_model("imported-once", str(tiny_model), request_id="import once")
    assert client.import_model("imported-once", str(tiny_model), request_id="import once").name == first.name


def test_a_name_that_is_taken_or_being_made_is_refused(client, tuned, tiny_model, table, endless):
    with refused("ALREADY_EXISTS", "ADAPTER_EXISTS"):
        client.tune(tuning("nf4"))
    with refused("ALREADY_EXISTS", "TARGET_IN_PROGRESS"):
        client.tune(tuning("endless"))
    with refused("ALREADY_EXISTS", "MODEL_EXISTS"):
        client.upload_model("tiny", tiny_model)
    with refused("ALREADY_EXISTS", "MODEL_EXISTS"):
        client.import_model("tiny", str(tiny_model))
    with refused("ALREADY_EXISTS", "EXPORT_EXISTS"):
        client.export("tiny-base", "models/tiny")
    with refused("ALREADY_EXISTS", "DATASET_EXISTS"):
        client.upload_dataset("table", table, text_column="text", label_column="label")


def test_what_a_live_job_reads_cannot_be_deleted(client, table):
    client.upload_dataset("read", table, text_column="text", label_column="label")
    job = client.tune(tuning("reader", dataset="read"))
    with refused("FAILED_PRECONDITION", "DATASET_IN_USE") as error:
        client.delete_dataset("read")
    assert job.name in error.value.message
    client.cancel_job(job.name)
    client.delete_dataset("read")


def test_a_failed_job_says_why_and_the_next_one_runs(client, tmp_path):
    long = tmp_path / "long.jsonl"
    long.write_text(f'{{"prompt": "{"x" * 20_000}", "completion": "y"}}\n' * 2)
    client.upload_dataset("long", long, test_fraction=0)
    doomed = client.tune(tuning("doomed", dataset="long"))
    following = client.tune(tuning("following"))
    with pytest.raises(JobFailed) as error:
        client.wait_job(doomed.name)
    assert (error.value.code.name, error.value.reason) == ("INVALID_ARGUMENT", "ROWS_TOO_LONG")
    assert error.value.metadata["limit_tokens"] == "16384"
    assert "longest has 20" in error.value.message
    assert any("ROWS_TOO_LONG" in event.log for event in client.watch_job(doomed.name))
    wait_for("the next job runs", is_running(client, following.name))
    client.cancel_job(following.name)


def kill_worker(daemon, besides=()) -> int:
    """Kills the worker as soon as there is one that is not of `besides`."""
    (worker,) = wait_for("the worker starts", lambda: set(daemon.children("honed.worker")) - set(besides))
    os.kill(worker, signal.SIGKILL)
    return worker


def test_a_worker_that_is_killed_costs_its_job_and_nothing_else(client, daemon, endless):
    client.cancel_job(endless.name)
    job = client.evaluate("models/tiny", "table")
    following = client.tune(tuning("after-the-kill"))
    kill_worker(daemon)
    with pytest.raises(JobFailed) as error:
        client.wait_job(job.name)
    assert (error.value.code.name, error.value.reason) == ("INTERNAL", "WORKER_DIED")
    assert "SIGKILL" in error.value.message
    assert client.get_job(job.name).error.reason == "WORKER_DIED"
    wait_for("the next job runs", is_running(client, following.name))


def test_a_tuning_whose_worker_is_killed_goes_on_but_not_a_third_time_at_one_step(client, daemon, endless):
    workers = []
    for attempt in (1, 2, 3):
        wait_for("the attempt", lambda: client.get_job(endless.name).attempt == attempt)  # noqa: B023
        workers.append(kill_worker(daemon, workers))
    with pytest.raises(JobFailed) as error:
        client.wait_job(endless.name)
    assert (error.value.code.name, error.value.reason) == ("INTERNAL", "WORKER_DIED")
    assert error.value.message.endswith("without a result. It died 3 times before its first step.")
    logs = [event.log for event in client.watch_job(endless.name) if "starts over" in event.log]
    assert len(logs) == 2
    assert "SIGKILL" in logs[0]
    assert client.get_job(endless.name).attempt == 3
    assert not (daemon.state / "jobs" / endless.name.removeprefix("jobs/")).exists()


def test_a_paused_job_frees_its_worker_lets_others_pass_and_goes_on(client, daemon, endless):
    job = client.tune(tuning("paused", max_steps=2, skip_evaluation=True))
    assert client.pause_job(job.name).state == Job.STATE_PAUSED
    assert client.get_job(job.name).attempt == 0
    assert client.resume_job(job.name).state == Job.STATE_QUEUED

    wait_for("the worker starts", lambda: daemon.children("honed.worker"))
    paused = client.pause_job(endless.name)
    assert (paused.state, paused.attempt) == (Job.STATE_PAUSED, 1)
    assert client.pause_job(endless.name).state == Job.STATE_PAUSED
    assert client.wait_job(job.name).result == "adapters/paused"
    assert not daemon.children("honed.worker")
    status = client.get_status()
    assert (status.running_job, status.queued_jobs) == ("", 0)
    with refused("FAILED_PRECONDITION", "JOB_NOT_FINISHED"):
        client.delete_job(endless.name)
    with refused("FAILED_PRECONDITION", "DATASET_IN_USE"):
        client.delete_dataset("table")
    with refused("ALREADY_EXISTS", "TARGET_IN_PROGRESS"):
        client.tune(tuning("endless"))

    assert client.resume_job(endless.name).state == Job.STATE_QUEUED
    wait_for("the paused job runs", is_running(client, endless.name))
    with refused("FAILED_PRECONDITION", "JOB_NOT_PAUSED"):
        client.resume_job(endless.name)
    assert client.get_job(endless.name).attempt == 2


def test_a_paused_job_can_be_cancelled(client, daemon, endless):
    client.pause_job(endless.name)
    assert client.cancel_job(endless.name).state == Job.STATE_CANCELLED
    assert not (daemon.state / "jobs" / endless.name.removeprefix("jobs/")).exists()
    for call in (client.pause_job, client.cancel_job):
        with refused("FAILED_PRECONDITION", "JOB_NOT_RUNNING"):
            call(endless.name)
    client.delete_job(endless.name)


def test_a_paused_upload_keeps_its_files_until_it_is_resumed(client, daemon, tiny_model, endless):
    job = client.upload_model("paused", tiny_model)
    client.pause_job(job.name)
    assert list((daemon.state / "uploads").iterdir())
    other = client.upload_model("dropped", tiny_model)
    client.pause_job(other.name)
    client.cancel_job(other.name)
    assert len(list((daemon.state / "uploads").iterdir())) == 1
    client.cancel_job(endless.name)
    client.resume_job(job.name)
    wait_for("its files were checked", lambda: "graph" in client.get_job(job.name).phase, JOB_TIMEOUT_S)
    client.cancel_job(job.name)
    assert not list((daemon.state / "uploads").iterdir())


def test_a_full_queue_asks_to_come_back_later(new_daemon):
    daemon = new_daemon(max_queued_jobs=1).start()
    with daemon.client() as client:
        first = client.tune(tuning("first"))
        wait_for("the first job runs", is_running(client, first.name))
        client.tune(tuning("second"))
        with refused("RESOURCE_EXHAUSTED", "QUEUE_FULL") as error:
            client.tune(tuning("third"))
        assert error.value.retry_after_s > 0
        assert len(list(client.list_jobs())) == 3  # the import of the stock, and two


def test_a_tuning_with_patience_says_which_step_it_kept(client):
    job = client.tune(tuning("patient", patience=1, validation_fraction=0.2, learning_rate=0.05, skip_evaluation=True))
    events: list[JobEvent] = []
    job = client.wait_job(job.name, events.append)
    losses = {
        event.progress.step: event.progress.validation_loss
        for event in events
        if event.progress.HasField("validation_loss")
    }
    best = min(losses, key=losses.__getitem__)
    assert max(losses) > best
    assert f"The adapter is that of step {best}: no validation loss was below {losses[best]:.4f}." in [
        e.log for e in events
    ]
    assert client.get_adapter("patient").training.validation_loss == losses[best]

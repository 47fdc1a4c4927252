"""A tuning that is interrupted in any way ends with the very adapter of one that nobody interrupted."""

import os
import random
import signal
import time

import pytest
from helpers.daemon import JOB_TIMEOUT_S, wait_for
from honed.v1.jobs_pb2 import Augmentation, Job, TuneSpec

STEPS = 40
LATEST = 20  # step at which a test still interrupts: those behind it give it time to see the step go by


def tuning(adapter_id: str) -> TuneSpec:
    return TuneSpec(
        model="tiny",
        dataset="table",
        adapter_id=adapter_id,
        max_steps=STEPS,
        epochs=1000,
        batch_size=4,
        dropout=0.1,
        augmentation=Augmentation(typos=1),
    )


def losses(client, job) -> dict[int, tuple[float, float]]:
    """Loss and gradient norm by step; a step that two attempts report must be the same in both."""
    found: dict[int, tuple[float, float]] = {}
    for event in client.watch_job(job.name):
        if event.progress.HasField("loss"):
            step = event.progress.loss, event.progress.gradient_norm
            assert found.setdefault(event.progress.step, step) == step
    return found


def at_step(client, job, step: int) -> None:
    wait_for(f"step {step}", lambda: client.get_job(job.name).progress.step >= step, JOB_TIMEOUT_S, pause_s=0.005)


@pytest.fixture(scope="module")
def careful(stock):
    """A daemon whose tunings write a checkpoint after every step."""
    from helpers.daemon import Daemon

    daemon = Daemon(stock=stock, checkpoint_every_s=0, threads=1).start()
    yield daemon
    daemon.close()


@pytest.fixture(scope="module")
def whole(careful):
    """The adapter and the losses of a tuning that nobody interrupts."""
    with careful.client() as client:
        job = client.wait_job(client.tune(tuning("whole")).name)
        return client.get_adapter("whole"), losses(client, job), [e.subject for e in job.evaluations]


def test_the_worker_computes_with_the_threads_of_the_settings(careful, whole):
    with careful.client() as client:
        (job,) = (job for job in client.list_jobs() if job.tune.adapter_id == "whole")
        assert any(event.log.endswith("with 1 CPU thread(s).") for event in client.watch_job(job.name))


def assert_is_whole(client, job, name: str, whole) -> None:
    adapter, curve, subjects = whole
    assert losses(client, job) == curve
    found = client.get_adapter(name)
    assert found.digest == adapter.digest
    assert [each.subject for each in job.evaluations] == subjects
    assert found.evaluations == adapter.evaluations


def test_paused_and_resumed(careful, whole):
    with careful.client() as client:
        job = client.tune(tuning("paused"))
        for step in (3, 17):
            at_step(client, job, step)
            paused = client.pause_job(job.name)
            assert paused.state == Job.STATE_PAUSED
            assert not careful.children("honed.worker")
            time.sleep(0.2)
            assert client.get_job(job.name).state == Job.STATE_PAUSED
            client.resume_job(job.name)
        job = client.wait_job(job.name)
        assert job.attempt == 3
        assert_is_whole(client, job, "paused", whole)
        reported = [event.progress.step for event in client.watch_job(job.name) if event.progress.HasField("loss")]
        assert reported == list(range(1, STEPS + 1))  # each once, over three attempts


def test_its_worker_killed(careful, whole):
    draw = random.Random(5)
    with careful.client() as client:
        job = client.tune(tuning("killed"))
        for step in sorted(draw.sample(range(2, LATEST), 3)):
            at_step(client, job, step)
            for pid in careful.children("honed.worker"):
                os.kill(pid, signal.SIGKILL)
            wait_for("a new worker", lambda: careful.children("honed.worker"), JOB_TIMEOUT_S)
        job = client.wait_job(job.name)
        assert job.attempt == 4
        assert_is_whole(client, job, "killed", whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_the_daemon_stopped_or_killed(careful, whole, number):
    name = f"daemon-{number.name.lower()}"
    with careful.client() as client:
        job = client.tune(tuning(name))
        at_step(client, job, 10)
    careful.end(number)
    wait_for("the worker is gone", lambda: not careful.children("honed.worker"))
    careful.start()
    with careful.client() as client:
        job = client.wait_job(job.name)
        assert job.attempt == 2
        assert_is_whole(client, job, name, whole)


@pytest.mark.slow
def test_its_worker_killed_twenty_times_at_random_moments(stock):
    from helpers.daemon import Daemon

    draw = random.Random(7)
    daemon = Daemon(stock=stock, checkpoint_every_s=0, threads=1).start()
    try:
        with daemon.client() as client:
            whole = client.wait_job(client.tune(tuning("whole")).name)
            kills = 0
            while kills < 20:
                name = f"killed-{kills}"
                job = client.tune(tuning(name))
                for step in sorted(draw.sample(range(1, LATEST), 5)):
                    at_step(client, job, step)
                    time.sleep(draw.random() * 0.02)
                    if not (workers := daemon.children("honed.worker")):
                        break
                    os.kill(workers[0], signal.SIGKILL)
                    kills += 1
                    wait_for(
                        "a new worker, or the end",
                        lambda: daemon.children("honed.worker") or not client.get_job(job.name).phase,  # noqa: B023
                        JOB_TIMEOUT_S,
                    )
                job = client.wait_job(job.name)
                assert losses(client, job) == losses(client, whole)
                assert client.get_adapter(name).digest == client.get_adapter("whole").digest
    finally:
        daemon.close()

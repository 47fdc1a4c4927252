"""Twenty workers killed at random: the losses and the adapter are those of a tuning that nobody touched."""

import os
import random
import signal
import time

import pytest
from helpers.daemon import JOB_TIMEOUT_S, Daemon, wait_for
from honed.v1.jobs_pb2 import Job, TuneSpec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

KILLS_A_JOB = 9  # ten deaths are the end of a job
KILLS = 20
STEPS = 120


def tuning(adapter_id, compile_layers):
    return TuneSpec(
        model="tiny",
        dataset="table",
        adapter_id=adapter_id,
        max_steps=STEPS,
        epochs=1000,
        batch_size=4,
        dropout=0.1,
        skip_evaluation=True,
        compile=compile_layers,
    )


def losses(client, job):
    found = {}
    for event in client.watch_job(job.name):
        if event.progress.HasField("loss"):
            step = event.progress.loss, event.progress.gradient_norm
            assert found.setdefault(event.progress.step, step) == step
    return found


@pytest.mark.parametrize("compile_layers", [False, True], ids=["eager", "compiled"])
def test_a_tuning_survives_twenty_kills_at_random_moments(stock, compile_layers):
    draw = random.Random(7)
    daemon = Daemon(stock=stock, checkpoint_every_s=0, threads=1).start()
    try:
        with daemon.client() as client:
            whole = client.wait_job(client.tune(tuning("whole", compile_layers)).name)
            digest, curve = client.get_adapter("whole").digest, losses(client, whole)
            kills = 0
            for number in range(-(-KILLS // KILLS_A_JOB)):
                job = client.tune(tuning(f"killed-{number}", compile_layers))
                for target in sorted(draw.sample(range(1, STEPS - 20), min(KILLS_A_JOB, KILLS - kills))):

                    def reached(name=job.name, step=target):
                        return client.get_job(name).progress.step >= step

                    wait_for(f"step {target}", reached, JOB_TIMEOUT_S, pause_s=0.002)
                    time.sleep(draw.random() * 0.05)  # in the middle of a step, or of a checkpoint
                    (worker,) = daemon.children("honed.worker")
                    os.kill(worker, signal.SIGKILL)
                    kills += 1
                    attempt = client.get_job(job.name).attempt

                    def restarted(name=job.name, before=attempt):
                        return client.get_job(name).attempt > before and daemon.children("honed.worker")

                    wait_for("a new worker", restarted, JOB_TIMEOUT_S)
                job = client.wait_job(job.name)
                assert job.state == Job.STATE_SUCCEEDED
                assert losses(client, job) == curve
                assert client.get_adapter(f"killed-{number}").digest == digest
            assert kills == KILLS
    finally:
        daemon.close()

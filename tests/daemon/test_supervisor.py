"""The life of a job, with a script in the worker's place: pauses, deaths, stops."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL
from contextlib import suppress
from dataclasses import fields, replace

import pytest
from honed.daemon import supervisor as module
from honed.daemon.publisher import Publisher
from honed.daemon.state import StateFolder
from honed.daemon.supervisor import Supervisor
from honed.errors import WrongState
from honed.worker.contract import EvaluateWork, TuneWork

# What an attempt may do.
WORKER = """
import json, os, signal, sys, time
from pathlib import Path
folder, checkpoint = Path(sys.argv[1]), Path(sys.argv[1], "checkpoints", "1")

def tell(kind, /, **data):
    with open(folder / "events.jsonl", "ab", 0) as file:
        file.write(json.dumps({"sequence": 1, "time": "2026-01-02T03:04:05+00:00", "kind": kind, "data": data}).encode() + b"\\n")

def step(number):
    tell("progress", step=number, total_steps=9, loss=1.0)

def save():
    checkpoint.parent.mkdir(exist_ok=True)
    checkpoint.write_text("weights")

def on_term(act):
    def handle(*_):
        act()
        sys.exit(0)
    signal.signal(signal.SIGTERM, handle)
    tell("log", text="ready")

def die():
    print("last words", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

def wait():
    time.sleep(60)

"""  # noqa: E501
READY = "ready"


@pytest.fixture
def state(tmp_path):
    state = StateFolder(tmp_path / "state", 0)
    yield state
    state.close()


@pytest.fixture
def attempts(monkeypatch):
    """What the worker of each attempt does, in order; the last one again and again."""
    scripts = []

    async def spawn(_module, folder, *, stderr, threads):
        script = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        with stderr.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-S", "-c", WORKER + script, folder,
                stdin=DEVNULL, stdout=DEVNULL, stderr=log, start_new_session=True,
            )  # fmt: skip

    monkeypatch.setattr(module.children, "spawn", spawn)
    return scripts


class Queue:
    """A supervisor at work on one job."""

    def __init__(self, jobs, state, resources, job):
        self.jobs, self.state, self.resources, self.id = jobs, state, resources, job.id
        self.supervisor = Supervisor(state, jobs, Publisher(state, resources), threads=1)
        self.supervisor.recover()
        self.task = asyncio.create_task(self.supervisor.run())

    @property
    def job(self):
        return self.jobs.get(self.id)

    @property
    def folder(self):
        return self.state.job_folder(self.id)

    def told(self, kind="log", key="text"):
        return [event.data[key] for event in self.jobs.events(self.job, 0) if event.kind == kind]

    async def until(self, look):
        async with asyncio.timeout(20):
            while not look():
                await self.supervisor.changed(0.1)

    async def ready(self, times=1):
        """Waits until the worker of an attempt would hear SIGTERM."""
        await self.until(lambda: self.told().count(READY) == times)

    async def ended(self):
        await self.until(lambda: self.job.end_time and not self.folder.exists())
        return self.job

    async def stop(self):
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task


@pytest.fixture
async def start(jobs, state, resources, new_job):
    """Starts a supervisor on a new job of a kind; ends it at the end."""
    queues = []

    def start(work=TuneWork):
        new = new_job("")
        job = jobs.create(replace(new, kind=work.kind, work=dict.fromkeys(field.name for field in fields(work))))
        queues.append(Queue(jobs, state, resources, job))
        return queues[-1]

    yield start
    for queue in queues:
        await queue.stop()


def again(queue):
    """Another supervisor, as after a restart of the daemon."""
    return Queue(queue.jobs, queue.state, queue.resources, queue.job)


GOES_ON = "assert checkpoint.read_text() == 'weights'\ntell('result')\n"
PAUSES = "on_term(save)\nwait()\n"


async def test_a_paused_job_keeps_its_checkpoint_alone_and_goes_on_from_it(start, attempts):
    attempts += [f"step(3)\n(folder / 'output').mkdir()\n{PAUSES}", GOES_ON]
    queue = start()
    await queue.ready()
    job = await queue.supervisor.pause(queue.job)
    assert (job.state, job.attempt, job.progress["step"], job.deaths) == ("PAUSED", 1, 3, ())
    assert [path.name for path in queue.folder.iterdir()] == ["checkpoints"]
    assert queue.told() == [READY]
    assert await queue.supervisor.pause(job) == job
    assert queue.supervisor.resume(job).state == "QUEUED"
    job = await queue.ended()
    assert (job.state, job.attempt) == ("SUCCEEDED", 2)
    assert queue.told("state", "state") == ["QUEUED", "RUNNING", "PAUSED", "QUEUED", "RUNNING", "SUCCEEDED"]


async def test_a_worker_that_does_not_end_is_killed_after_a_grace_and_the_job_is_paused(start, attempts, monkeypatch):
    monkeypatch.setattr(module, "_PAUSE_GRACE_S", 0.2)
    attempts += ["save()\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntell('log', text='ready')\nwait()", GOES_ON]
    queue = start()
    await queue.ready()
    job = await queue.supervisor.pause(queue.job)
    assert (job.state, job.deaths) == ("PAUSED", ())
    assert queue.told()[-1] == ("No checkpoint was written; when it is resumed, the job goes on from what it kept.")
    queue.supervisor.resume(job)
    assert (await queue.ended()).state == "SUCCEEDED"


@pytest.mark.parametrize("work", [TuneWork, EvaluateWork])
async def test_a_worker_without_checkpoints_dies_of_a_pause_and_starts_over(start, attempts, work):
    attempts += ["tell('log', text='ready')\nwait()", "assert not checkpoint.exists()\ntell('result')"]
    queue = start(work)
    await queue.ready()
    job = await queue.supervisor.pause(queue.job)
    assert (job.state, list(queue.folder.iterdir())) == ("PAUSED", [])
    assert queue.told()[-1] == "No checkpoint was written; when it is resumed, the job starts over."
    queue.supervisor.resume(job)
    assert (await queue.ended()).state == "SUCCEEDED"


@pytest.mark.parametrize(
    ("last", "end"),
    [
        ("tell('result')", "SUCCEEDED"),
        ("tell('failure', kind='no_room', reason='DISK_FULL', message='full', violations=[], metadata={})", "FAILED"),
    ],
)
async def test_what_the_worker_found_while_it_was_paused_wins(start, attempts, last, end):
    attempts.append(f"on_term(lambda: {last})\nwait()")
    queue = start()
    await queue.ready()
    assert (await queue.supervisor.pause(queue.job)).state == end
    assert not queue.folder.exists()


async def test_a_pause_is_heard_before_the_worker_has_started(start, attempts):
    attempts.append("wait()")
    queue = start()
    await queue.until(lambda: queue.job.state == "RUNNING")
    assert (await queue.supervisor.pause(queue.job)).state == "PAUSED"


async def test_a_job_can_be_cancelled_while_it_is_being_paused(start, attempts):
    attempts.append("on_term(wait)\nwait()")
    queue = start()
    await queue.ready()
    pause = asyncio.create_task(queue.supervisor.pause(queue.job))
    await asyncio.sleep(0.1)
    assert (await queue.supervisor.cancel(queue.job)).state == "CANCELLED"
    assert (await pause).state == "CANCELLED"
    assert not queue.folder.exists()


async def test_a_pause_goes_through_although_who_asked_has_gone(start, attempts):
    attempts.append(PAUSES)
    queue = start()
    await queue.ready()
    pause = asyncio.create_task(queue.supervisor.pause(queue.job))
    await asyncio.sleep(0)
    pause.cancel()
    await queue.until(lambda: queue.job.state == "PAUSED")


async def test_a_paused_job_is_cancelled_at_once_with_all_it_kept(start, attempts):
    attempts.append(PAUSES)
    queue = start()
    await queue.ready()
    await queue.supervisor.pause(queue.job)
    assert (await queue.supervisor.cancel(queue.job)).state == "CANCELLED"
    assert not queue.folder.exists()


async def test_only_a_paused_job_can_be_resumed(start, attempts):
    attempts.append("tell('result')")
    queue = start()
    for job in (queue.job, await queue.ended()):
        with pytest.raises(WrongState) as caught:
            queue.supervisor.resume(job)
        assert caught.value.reason == "JOB_NOT_PAUSED"


async def test_a_dead_tuning_goes_on_and_the_third_death_at_one_step_is_the_last(start, attempts):
    attempts += ["step(3)\nsave()\ndie()", "assert checkpoint.exists()\nstep(3)\ndie()"]
    queue = start()
    job = await queue.ended()
    assert (job.state, job.attempt, job.deaths) == ("FAILED", 3, (3, 3, 3))
    hint = "was killed by SIGKILL (the kernel kills so when memory runs out)"
    assert queue.told()[:2] == [f"The worker {hint} after step 3; the job goes on from what it kept."] * 2
    assert job.failure.reason == "WORKER_DIED"
    assert job.failure.message == f"The worker {hint} without a result. It died 3 times after step 3."
    assert job.failure.metadata == {"stderr": "last words"}


async def test_an_attempt_that_came_no_further_died_where_the_one_before_it_did(start, attempts):
    attempts += ["step(6)\nsave()\ndie()", "die()", PAUSES, "die()"]
    queue = start()
    await queue.ready()
    queue.supervisor.resume(await queue.supervisor.pause(queue.job))
    job = await queue.ended()
    assert (job.state, job.attempt, job.deaths) == ("FAILED", 4, (6, 6, 6))


async def test_deaths_at_different_steps_do_not_end_a_tuning(start, attempts):
    attempts += ["sys.exit(3)", "step(1)\ndie()", "step(2)\nsave()\ndie()", "step(2)\ndie()", GOES_ON]
    queue = start()
    job = await queue.ended()
    assert (job.state, job.attempt, job.deaths) == ("SUCCEEDED", 5, (None, 1, 2, 2))
    assert queue.told()[0] == "The worker ended with exit status 3 before its first step; the job starts over."


async def test_the_rows_of_an_evaluation_are_no_steps(start, attempts):
    attempts += [f"tell('progress', step={row}, total_steps=9)\ndie()" for row in (1, 2, 3)]
    queue = start()
    job = await queue.ended()
    assert (job.state, job.deaths) == ("FAILED", (None, None, None))


async def test_a_tuning_that_fails_leaves_its_checkpoints_and_cannot_be_resumed(start, attempts):
    failure = "tell('failure', kind='invalid_input', reason='LOSS_EXPLODED', message='m', violations=[], metadata={})"
    attempts.append(f"checkpoint.mkdir(parents=True)\n(folder / 'output').mkdir()\n{failure}")
    queue = start()
    await queue.until(lambda: queue.job.end_time and not (queue.folder / "stderr.log").exists())
    assert queue.job.failure.reason == "LOSS_EXPLODED"
    await queue.until(lambda: [path.name for path in queue.folder.rglob("*")] == ["checkpoints", "1"])
    with pytest.raises(WrongState, match="Create it again") as caught:
        queue.supervisor.resume(queue.job)
    assert caught.value.reason == "JOB_NOT_PAUSED"
    assert queue.jobs.failed() == {queue.id}


async def test_other_jobs_fail_at_the_first_death(start, attempts):
    attempts.append("die()")
    queue = start(EvaluateWork)
    job = await queue.ended()
    assert (job.state, job.attempt, job.failure.reason) == ("FAILED", 1, "WORKER_DIED")
    assert job.failure.message.endswith("without a result.")


async def test_a_daemon_that_stops_waits_for_the_checkpoint(start, attempts):
    attempts += ["on_term(lambda: (time.sleep(0.3), step(5), save()))\nwait()", GOES_ON]
    queue = start()
    await queue.ready()
    await queue.stop()
    assert (queue.job.state, queue.job.deaths) == ("QUEUED", ())
    assert queue.told("progress", "step") == [5]
    assert queue.told()[-1] == "The daemon stopped; the job goes on from what it kept."
    queue = again(queue)
    assert ((await queue.ended()).state, queue.job.attempt) == ("SUCCEEDED", 2)
    await queue.stop()


async def test_a_daemon_that_stops_waits_no_longer_than_its_grace(start, attempts, monkeypatch):
    monkeypatch.setattr(module, "_STOP_GRACE_S", 0.2)
    attempts.append("on_term(wait)\nwait()")
    queue = start()
    await queue.ready()
    async with asyncio.timeout(5):
        await queue.stop()
    assert queue.job.state == "QUEUED"
    assert queue.told()[-1] == "The daemon stopped; the job starts over."


async def test_a_pause_under_way_when_the_daemon_stops_is_a_pause(start, attempts):
    attempts.append("on_term(lambda: (time.sleep(0.3), save()))\nwait()")
    queue = start()
    await queue.ready()
    pause = asyncio.create_task(queue.supervisor.pause(queue.job))
    await asyncio.sleep(0.1)
    await queue.stop()
    assert (await pause).state == "PAUSED"
    assert (queue.folder / "checkpoints" / "1").exists()
    queue = again(queue)
    await asyncio.sleep(0.1)
    assert queue.job.state == "PAUSED"
    await queue.stop()


async def test_what_an_interrupted_daemon_left_running_waits_again(start, attempts, jobs):
    attempts += [PAUSES, GOES_ON]
    queue = start()
    await queue.ready()
    await queue.stop()
    jobs.set_state(queue.job, "RUNNING")
    queue = again(queue)
    assert queue.told()[-1] == "The daemon was interrupted; the job goes on from what it kept."
    assert ((await queue.ended()).state, queue.job.deaths) == ("SUCCEEDED", ())
    await queue.stop()

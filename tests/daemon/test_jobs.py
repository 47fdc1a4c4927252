import random
from datetime import UTC

import pytest
from honed.daemon.store import Database, JobStore, Makes
from honed.errors import AlreadyExists, Failure, NotFound, WrongState
from honed.worker.contract import Event, now


def log(text):
    return Event(0, now(), "log", {"text": text})


def test_a_new_job_waits_with_all_that_was_given(jobs, new_job):
    job = jobs.create(new_job())
    assert (job.state, job.phase, job.attempt, job.name) == ("QUEUED", "", 0, f"jobs/{job.id}")
    assert (job.owner, job.kind, job.request, job.work) == ("owner", "tune", b"\x00spec", {"rank": 16})
    assert (job.target, job.makes) == ("adapters/a", {"adapter": Makes("adapters/a", ("models/m",), {"spec": "00"})})
    assert job.create_time.tzinfo == UTC
    assert (job.start_time, job.end_time, job.progress, job.failure) == (None, None, None, None)
    assert jobs.get(job.id) == job


def test_a_repeated_request_gives_the_first_job_even_when_it_has_ended(jobs, new_job):
    job = jobs.create(new_job(request_id="r1"))
    assert jobs.create(new_job("adapters/other", request_id="r1")) == job
    ended = jobs.set_state(job, "CANCELLED")
    assert jobs.create(new_job(request_id="r1")) == ended
    assert jobs.of_request("r1") == ended
    assert jobs.of_request("r2") is jobs.of_request("") is None
    assert len(jobs.page(2**62, 10)) == 1


def test_two_live_jobs_never_make_the_same(jobs, new_job):
    first = jobs.create(new_job())
    with pytest.raises(AlreadyExists) as caught:
        jobs.create(new_job())
    assert caught.value.reason == "TARGET_IN_PROGRESS"
    assert first.name in caught.value.message
    jobs.create(new_job("adapters/b"))
    jobs.set_state(first, "PAUSED")
    with pytest.raises(AlreadyExists, match=first.name):
        jobs.create(new_job())
    jobs.set_state(first, "FAILED", Failure("internal", "R", "m"))
    assert jobs.create(new_job()).id != first.id


def test_jobs_that_make_nothing_do_not_hinder_each_other(jobs, new_job):
    assert jobs.create(new_job("")).id != jobs.create(new_job("")).id


def test_a_job_runs_ends_and_keeps_its_times_and_its_failure(jobs, new_job):
    job = jobs.create(new_job())
    job = jobs.set_state(job, "RUNNING")
    assert (job.state, job.attempt, job.end_time) == ("RUNNING", 1, None)
    assert job.start_time is not None
    failure = Failure("invalid_input", "ROWS_INVALID", "bad", (("row 1", "empty"),), {"n": "1"})
    job = jobs.set_state(job, "FAILED", failure)
    assert jobs.get(job.id).failure == failure
    assert job.end_time >= job.start_time >= job.create_time


def test_a_job_that_starts_over_counts_its_attempts_and_forgets_its_progress(jobs, new_job):
    job = jobs.set_state(jobs.create(new_job()), "RUNNING")
    jobs.record(job, Event(1, now(), "phase", {"phase": "tuning"}))
    jobs.record(job, Event(2, now(), "progress", {"step": 3}))
    assert (jobs.get(job.id).phase, jobs.get(job.id).progress) == ("tuning", {"step": 3})
    job = jobs.set_state(job, "QUEUED")
    assert (job.phase, job.progress, job.attempt) == ("", None, 1)
    assert jobs.set_state(job, "RUNNING").attempt == 2


def test_a_paused_job_shows_how_far_it_came_until_it_is_resumed(jobs, new_job):
    job = jobs.set_state(jobs.create(new_job()), "RUNNING")
    jobs.record(job, Event(1, now(), "progress", {"step": 3}))
    job = jobs.set_state(job, "PAUSED")
    assert (job.phase, job.progress, job.attempt, job.end_time) == ("", {"step": 3}, 1, None)
    assert jobs.set_state(job, "QUEUED").progress is None


def test_a_death_is_kept_with_the_training_step_before_it(jobs, new_job):
    job = jobs.create(new_job())
    assert job.deaths == ()
    for number, data in enumerate([{"step": 3}, {"step": 7, "loss": 1.5}, {"step": 4}, {"step": 0, "loss": 0.0}]):
        jobs.record(job, Event(number, now(), "progress", data))
        job = jobs.record_death(job)
    assert jobs.get(job.id).deaths == (None, 7, 7, 0)


@pytest.mark.parametrize("end", ["SUCCEEDED", "FAILED", "CANCELLED"])
@pytest.mark.parametrize("state", ["QUEUED", "RUNNING", "PAUSED", "SUCCEEDED", "CANCELLED"])
def test_a_finished_job_changes_no_more(jobs, new_job, end, state):
    job = jobs.set_state(jobs.create(new_job()), end)
    with pytest.raises(WrongState) as caught:
        jobs.set_state(job, state)
    assert caught.value.reason == "JOB_NOT_RUNNING"
    assert jobs.get(job.id) == job
    assert [event.data for event in jobs.events(job, 0)] == [{"state": "QUEUED"}, {"state": end}]


def test_events_are_numbered_without_gaps_whatever_is_between(jobs, new_job):
    live = [jobs.create(new_job(f"adapters/{name}")) for name in "abc"]
    draw = random.Random(0)
    for number in range(200):
        jobs.record(draw.choice(live), log(str(number)))
    for job in live:
        events = jobs.events(job, 0)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert len(events) > 20


def test_a_cursor_gives_what_comes_behind_it_up_to_a_limit(jobs, new_job):
    job = jobs.create(new_job())
    for number in range(2, 8):
        jobs.record(job, log(str(number)))
    assert [event.sequence for event in jobs.events(job, 3)] == [4, 5, 6, 7]
    assert [event.sequence for event in jobs.events(job, 3, limit=2)] == [4, 5]
    assert jobs.events(job, 7) == []
    assert jobs.events(job, 2**62) == []


def test_the_workers_time_stays_with_its_event(jobs, new_job):
    job = jobs.create(new_job())
    jobs.record(job, Event(9, "2020-01-02T03:04:05.678+00:00", "log", {"text": "ä"}))
    assert jobs.events(job, 1) == [Event(2, "2020-01-02T03:04:05.678+00:00", "log", {"text": "ä"})]


def test_a_refused_change_leaves_no_event(jobs, new_job, database):
    job = jobs.create(new_job())
    with pytest.raises(Exception, match="CHECK"):
        jobs.set_state(job, "SLEEPING")
    assert len(jobs.events(job, 0)) == 1


def test_evaluations_are_those_of_the_current_attempt(jobs, new_job):
    job = jobs.set_state(jobs.create(new_job()), "RUNNING")
    jobs.record(job, Event(1, now(), "evaluation", {"subject": "first"}))
    job = jobs.set_state(jobs.set_state(job, "QUEUED"), "RUNNING")
    assert jobs.evaluations(job) == []
    jobs.record(job, Event(1, now(), "evaluation", {"subject": "second"}))
    jobs.record(job, Event(2, now(), "evaluation", {"subject": "third"}))
    job = jobs.set_state(job, "SUCCEEDED")
    assert [each["subject"] for each in jobs.evaluations(job)] == ["second", "third"]


def test_pages_go_from_the_newest_to_the_oldest(jobs, new_job):
    ids = [jobs.create(new_job(f"adapters/{number}")).id for number in range(5)]
    page = jobs.page(2**63 - 1, 3)
    rest = jobs.page(page[-1].number, 3)
    assert [job.id for job in (*page, *rest)] == ids[::-1]


def test_live_jobs_stand_in_the_order_of_their_creation(jobs, new_job):
    first, second, third, fourth = (jobs.create(new_job(f"adapters/{name}")) for name in "abcd")
    jobs.set_state(second, "CANCELLED")
    jobs.set_state(fourth, "PAUSED")
    jobs.set_state(first, "RUNNING")
    live = [(first.id, "RUNNING"), (third.id, "QUEUED"), (fourth.id, "PAUSED")]
    assert [(job.id, job.state) for job in jobs.live()] == live


def test_only_a_finished_job_can_be_deleted_and_its_events_go_with_it(jobs, new_job, database):
    job = jobs.create(new_job())
    for live in (job, jobs.set_state(job, "RUNNING"), jobs.set_state(job, "PAUSED")):
        with pytest.raises(WrongState) as caught:
            jobs.delete(live)
        assert caught.value.reason == "JOB_NOT_FINISHED"
    job = jobs.set_state(job, "CANCELLED")
    jobs.delete(job)
    assert jobs.events(job, 0) == []
    with pytest.raises(NotFound) as caught:
        jobs.get(job.id)
    assert caught.value.metadata["resource"] == job.name


def test_a_number_is_never_used_twice(jobs, new_job):
    job = jobs.set_state(jobs.create(new_job()), "CANCELLED")
    jobs.delete(job)
    assert jobs.create(new_job()).number > job.number


def test_jobs_survive_a_restart(tmp_path, new_job):
    database = Database(tmp_path / "kept.db")
    job = JobStore(database).set_state(JobStore(database).create(new_job(request_id="r")), "RUNNING")
    database.close()
    database = Database(tmp_path / "kept.db")
    assert JobStore(database).get(job.id) == job
    assert JobStore(database).of_request("r") == job
    database.close()

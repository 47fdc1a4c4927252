import pytest
from honed.daemon.scheduler import next_job, require_place
from honed.errors import Busy


@pytest.fixture
def live(jobs, new_job):
    """Makes live jobs of the given states, in order."""

    def live(*states):
        for number, state in enumerate(states):
            job = jobs.create(new_job(f"adapters/{number}"))
            if state == "RUNNING":
                jobs.set_state(job, state)
        return jobs.live()

    return live


def test_the_oldest_waiting_job_is_next(live):
    queue = live("QUEUED", "QUEUED")
    assert next_job(queue) == queue[0]


def test_one_job_runs_at_a_time(live):
    assert next_job(live("QUEUED", "RUNNING", "QUEUED")) is None


def test_an_empty_queue_has_no_next_job():
    assert next_job([]) is None


def test_a_full_queue_refuses_and_a_running_job_does_not_count(live):
    queue = live("RUNNING", "QUEUED", "QUEUED")
    require_place(queue, 3)
    with pytest.raises(Busy) as caught:
        require_place(queue, 2)
    assert caught.value.reason == "QUEUE_FULL"
    assert caught.value.metadata == {"queued": "2", "limit": "2"}
    assert caught.value.retry_after_s > 0

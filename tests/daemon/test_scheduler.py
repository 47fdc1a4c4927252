import pytest
from honed.daemon.scheduler import give_up, next_job, require_place
from honed.errors import Busy


@pytest.fixture
def live(jobs, new_job):
    """Makes live jobs of the given states, in order."""

    def live(*states):
        for number, state in enumerate(states):
            job = jobs.create(new_job(f"adapters/{number}"))
            if state != "QUEUED":
                jobs.set_state(job, state)
        return jobs.live()

    return live


def test_the_oldest_waiting_job_is_next(live):
    queue = live("QUEUED", "QUEUED")
    assert next_job(queue) == queue[0]


def test_one_job_runs_at_a_time(live):
    assert next_job(live("QUEUED", "RUNNING", "QUEUED")) is None


def test_a_paused_job_neither_runs_nor_hinders(live):
    queue = live("PAUSED", "QUEUED")
    assert next_job(queue) == queue[1]
    require_place(queue, 2)


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


@pytest.mark.parametrize(
    ("deaths", "why"),
    [
        ([None], ""),
        ([7, 7], ""),
        ([7, 8, 7, 8], ""),
        ([7, 7, 7], "It died 3 times after step 7."),
        ([7, None, 7, None, 9, 7], "It died 3 times after step 7."),
        ([None, 0, None, None], "It died 3 times before its first step."),
        (list(range(9)), ""),
        (list(range(10)), "It died 10 times in all."),
        ([*range(8), 3, 3], "It died 3 times after step 3."),
    ],
)
def test_a_job_goes_on_after_deaths_but_not_for_ever(deaths, why):
    assert give_up(deaths) == why

import random

import pytest
from honed.errors import Busy
from honed.serve.scheduler import Scheduler


def test_requests_are_served_in_the_order_of_their_coming():
    scheduler = Scheduler[str](slots=2, max_waiting=10)
    for name in "abc":
        scheduler.submit(name)
    assert [scheduler.admit(), scheduler.admit(), scheduler.admit()] == ["a", "b", None]
    assert scheduler.active == ["a", "b"]
    assert list(scheduler.waiting) == ["c"]


def test_the_last_request_moves_into_the_hole():
    scheduler = Scheduler[str](slots=3, max_waiting=10, active=["a", "b", "c"])
    assert scheduler.release("a") == (2, 0)
    assert scheduler.active == ["c", "b"]
    assert scheduler.release("b") is None
    assert scheduler.active == ["c"]


def test_a_waiting_request_leaves_without_a_move():
    scheduler = Scheduler[str](slots=1, max_waiting=10)
    for name in "ab":
        scheduler.submit(name)
    scheduler.admit()
    assert scheduler.release("b") is None
    assert (scheduler.active, list(scheduler.waiting)) == (["a"], [])


def test_a_full_queue_refuses_with_its_limit_and_a_time():
    scheduler = Scheduler[int](slots=1, max_waiting=2)
    scheduler.submit(1)
    scheduler.submit(2)
    with pytest.raises(Busy) as caught:
        scheduler.submit(3)
    assert caught.value.reason == "QUEUE_FULL"
    assert caught.value.metadata["limit"] == "2"
    assert caught.value.retry_after_s == 1
    scheduler.admit()
    scheduler.submit(3)  # a place is free again


def test_whatever_happens_slots_have_no_holes_and_every_request_keeps_its_cache():
    """A toy cache follows the moves: slot i must always hold what the request in `active[i]` wrote."""
    draw = random.Random(0)
    scheduler = Scheduler[int](slots=4, max_waiting=6)
    cache = [-1] * 4
    admitted, submitted = [], 0
    for _ in range(5000):
        if draw.random() < 0.5 and len(scheduler.waiting) < 6:
            scheduler.submit(submitted)
            submitted += 1
        if draw.random() < 0.5 and (joining := scheduler.admit()) is not None:
            cache[len(scheduler.active) - 1] = joining
            admitted.append(joining)
        everyone = [*scheduler.active, *scheduler.waiting]
        if draw.random() < 0.4 and everyone:
            move = scheduler.release(draw.choice(everyone))
            if move is not None:
                cache[move[1]] = cache[move[0]]
        assert cache[: len(scheduler.active)] == scheduler.active
        assert len(scheduler.active) <= 4
    assert admitted == sorted(admitted)
    assert len(admitted) > 500

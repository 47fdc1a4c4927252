"""Which job runs next, whether another may wait, and whether one whose worker died goes on: pure functions."""

from collections.abc import Sequence

from honed.daemon.store import Job
from honed.errors import Busy

_MAX_DEATHS_AT_A_STEP = 3
_MAX_DEATHS = 10


def next_job(live: Sequence[Job]) -> Job | None:
    """The oldest queued job if none is running; one job runs at a time. `live` is in order of creation."""
    if any(job.state == "RUNNING" for job in live):
        return None
    return next((job for job in live if job.state == "QUEUED"), None)


def require_place(live: Sequence[Job], max_queued: int) -> None:
    """Raises Busy if the queue is full."""
    queued = sum(job.state == "QUEUED" for job in live)
    if queued >= max_queued:
        raise Busy(
            f"{queued} jobs are waiting, the most that max_queued_jobs allows; try again when one has ended.",
            reason="QUEUE_FULL",
            retry_after_s=30,
            queued=queued,
            limit=max_queued,
        )


def give_up(deaths: Sequence[int | None]) -> str:
    """Why a job whose workers died goes on no more; empty if it does.

    `deaths` are the last steps reported by then, None before the first; the newest is the last.
    """
    step = deaths[-1]
    if deaths.count(step) >= _MAX_DEATHS_AT_A_STEP:
        return f"It died {_MAX_DEATHS_AT_A_STEP} times {place(step)}."
    if len(deaths) >= _MAX_DEATHS:
        return f"It died {len(deaths)} times in all."
    return ""


def place(step: int | None) -> str:
    """Where a worker died, in words."""
    return "before its first step" if step is None else f"after step {step}"

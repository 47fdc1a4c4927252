"""Which job runs next, and whether another may wait: pure functions of the queue."""

from collections.abc import Sequence

from honed.daemon.store import Job
from honed.errors import Busy


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

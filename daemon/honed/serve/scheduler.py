"""Who holds which slot: pure bookkeeping of waiting and active requests, no I/O, no onnxruntime.

Active requests hold the slots 0 to n-1 without holes, since a decode step runs over the first n slots.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from honed.errors import Busy

Request = TypeVar("Request")


@dataclass
class Scheduler(Generic[Request]):
    """First come, first served, over a fixed number of slots and a bounded queue."""

    slots: int
    max_waiting: int
    waiting: deque[Request] = field(default_factory=deque[Request])
    active: list[Request] = field(default_factory=list[Request])

    def submit(self, request: Request) -> None:
        """Lines a request up.

        Raises:
            Busy: the queue is full.
        """
        if len(self.waiting) >= self.max_waiting:
            raise Busy(
                f"{len(self.waiting)} requests are waiting for this model already; try again shortly.",
                reason="QUEUE_FULL",
                retry_after_s=1,
                limit=self.max_waiting,
            )
        self.waiting.append(request)

    def admit(self) -> Request | None:
        """Gives the next waiting request the next slot (its place in `active`), if there is one."""
        if not self.waiting or len(self.active) == self.slots:
            return None
        self.active.append(self.waiting.popleft())
        return self.active[-1]

    def release(self, request: Request) -> tuple[int, int] | None:
        """Takes a request out. If that leaves a hole, the last one moves into it: (its slot, the hole)."""
        if request in self.waiting:
            self.waiting.remove(request)
            return None
        hole, last = self.active.index(request), len(self.active) - 1
        moved = self.active.pop()
        if hole == last:
            return None
        self.active[hole] = moved
        return last, hole

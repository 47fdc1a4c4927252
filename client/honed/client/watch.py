"""Where a watcher of a job's events is, and whether it tries again. No I/O: the clients read, wait and reconnect."""

from typing import Final

from honed.client.errors import Unavailable
from honed.v1.jobs_pb2 import JobEvent, WatchJobRequest, WatchJobResponse

RECONNECT_DELAYS_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)


class WatchCursor:
    """The last event seen, and how often the connection has been lost since the daemon last said anything."""

    def __init__(self, name: str, after_sequence: int) -> None:
        self._name = name
        self._after_sequence = after_sequence
        # No delay is left before the daemon has answered once: a daemon that is not there is reported at once.
        self._delays_s: tuple[float, ...] = ()

    def request(self) -> WatchJobRequest:
        """The request that goes on after the last event seen."""
        return WatchJobRequest(name=self._name, after_sequence=self._after_sequence)

    def take(self, response: WatchJobResponse) -> JobEvent | None:
        """The event of a response; None for a heartbeat."""
        self._delays_s = RECONNECT_DELAYS_S
        if not response.HasField("event"):
            return None
        self._after_sequence = response.event.sequence
        return response.event

    def delay_s(self, error: Unavailable) -> float:
        """How long to wait before the next try, in seconds; longer if the daemon asks for it.

        Raises:
            Unavailable: `error` itself, when all tries are used up.
        """
        if not self._delays_s:
            raise error
        delay_s, *rest = self._delays_s
        self._delays_s = tuple(rest)
        return max(delay_s, error.retry_after_s or 0.0)

"""What can go wrong when talking to the daemon: one exception tree, built from google.rpc.Status.

    HonedError
    ├── InvalidArgument (ValueError)       a value is wrong; also raised by the client itself before anything is sent
    ├── NotFound (LookupError)
    ├── AlreadyExists
    ├── FailedPrecondition                 the resource is in the wrong state
    ├── NotAllowed (PermissionError)       who are you, or you may not
    ├── Unavailable (ConnectionError)      no daemon answers, or it asks to come back later
    ├── NoRoom                             memory, disk, quota or queue
    ├── Cancelled
    ├── DeadlineExceeded (TimeoutError)
    ├── Internal (RuntimeError)            a bug: the daemon's, or a version that does not fit
    └── JobFailed                          a job that was waited for ended FAILED or CANCELLED

Facts are attributes; nobody has to parse a message. This module knows no service and opens no connection.
"""

from collections.abc import Iterable, Mapping
from typing import Final, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status
from honed.v1.jobs_pb2 import Job

_DETAILS_KEY: Final = "grpc-status-details-bin"
_NO_ROOM_REASONS: Final = frozenset({"MEMORY_EXCEEDED", "DISK_FULL"})
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


class HonedError(Exception):
    """Root of everything the client raises on purpose.

    Attributes:
        code: The gRPC status code.
        reason: The daemon's word for it in capitals ("MODEL_NOT_FOUND"); empty if the daemon did not say.
        message: What is wrong, what was expected, what to do.
        metadata: Details by name, as the daemon sent them.
        field_violations: The fields that were refused, as (field, description).
        preconditions: The conditions that did not hold, as (subject, description).
        resource: Name of the resource concerned ("models/smollm2"); empty if there is none.
        retry_after_s: When the daemon asks to try again, in seconds; None if it did not say.
    """

    code: grpc.StatusCode = grpc.StatusCode.UNKNOWN

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode | None = None,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        field_violations: Iterable[tuple[str, str]] = (),
        preconditions: Iterable[tuple[str, str]] = (),
        resource: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code
        self.message = message
        self.reason = reason
        self.metadata = dict(metadata or {})
        self.field_violations = list(field_violations)
        self.preconditions = list(preconditions)
        self.resource = resource
        self.retry_after_s = retry_after_s


class InvalidArgument(HonedError, ValueError):
    """A value is missing, malformed or out of range."""

    code = grpc.StatusCode.INVALID_ARGUMENT


class NotFound(HonedError, LookupError):
    """There is no such resource."""

    code = grpc.StatusCode.NOT_FOUND


class AlreadyExists(HonedError):
    """The id is taken."""

    code = grpc.StatusCode.ALREADY_EXISTS


class FailedPrecondition(HonedError):
    """The resource is in a state that does not allow this."""

    code = grpc.StatusCode.FAILED_PRECONDITION


class NotAllowed(HonedError, PermissionError):
    """The token is missing or unknown, or its holder may not do this."""

    code = grpc.StatusCode.PERMISSION_DENIED


class Unavailable(HonedError, ConnectionError):
    """No daemon answers at the address, or it asks to come back later."""

    code = grpc.StatusCode.UNAVAILABLE


class NoRoom(HonedError):
    """Memory, disk, quota or queue do not suffice."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED


class Cancelled(HonedError):
    """The call was cancelled."""

    code = grpc.StatusCode.CANCELLED


class DeadlineExceeded(HonedError, TimeoutError):
    """The daemon did not answer in time."""

    code = grpc.StatusCode.DEADLINE_EXCEEDED


class Internal(HonedError, RuntimeError):
    """A bug: the daemon's own, or a daemon of another version."""

    code = grpc.StatusCode.INTERNAL


class JobFailed(HonedError):
    """A job that was waited for did not succeed.

    Attributes:
        job: The job in its final state, FAILED or CANCELLED.
    """

    def __init__(self, job: Job) -> None:
        if job.state == Job.STATE_CANCELLED:
            super().__init__(f"{job.name} was cancelled", code=grpc.StatusCode.CANCELLED, reason="JOB_CANCELLED")
        else:
            super().__init__(
                f"{job.name} failed: {job.error.message}",
                code=_CODES.get(job.error.code, grpc.StatusCode.UNKNOWN),
                reason=job.error.reason,
                metadata=job.error.metadata,
            )
        self.job = job


_CLASSES: Final[Mapping[grpc.StatusCode, type[HonedError]]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.ABORTED: FailedPrecondition,
    grpc.StatusCode.UNAUTHENTICATED: NotAllowed,
    grpc.StatusCode.PERMISSION_DENIED: NotAllowed,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: NoRoom,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.INTERNAL: Internal,
    grpc.StatusCode.UNIMPLEMENTED: Internal,
    grpc.StatusCode.DATA_LOSS: Internal,
    grpc.StatusCode.UNKNOWN: Internal,
}


def from_rpc(error: grpc.RpcError) -> HonedError:
    """Turns a failed call, sync or asyncio, into an exception of the tree."""
    code = error.code()
    status = _status(error)
    info, retry, resource = ErrorInfo(), RetryInfo(), ResourceInfo()
    request, precondition = BadRequest(), PreconditionFailure()
    for detail in status.details:
        for message in (info, retry, resource, request, precondition):
            detail.Unpack(message)  # does nothing where the type is another
    out_of_room = code is grpc.StatusCode.FAILED_PRECONDITION and info.reason in _NO_ROOM_REASONS
    return (NoRoom if out_of_room else _CLASSES[code])(
        status.message or error.details() or code.value[1],
        code=code,
        reason=info.reason,
        metadata=info.metadata,
        field_violations=[(violation.field, violation.description) for violation in request.field_violations],
        preconditions=[(violation.subject, violation.description) for violation in precondition.violations],
        resource=resource.resource_name,
        retry_after_s=retry.retry_delay.ToTimedelta().total_seconds() if retry.HasField("retry_delay") else None,
    )


def _status(error: grpc.RpcError) -> Status:
    """The google.rpc.Status in the trailing metadata; empty if there is none or it cannot be read."""
    # None where the call never reached a server, which the stubs do not say.
    trailing = cast("Iterable[tuple[str, str | bytes]] | None", error.trailing_metadata())
    for key, value in trailing or ():
        if key == _DETAILS_KEY and isinstance(value, bytes):
            try:
                return Status.FromString(value)
            except DecodeError:
                break
    return Status()

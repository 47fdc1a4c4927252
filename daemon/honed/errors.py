"""The one exception tree of honed's own processes; it knows no protobuf, no torch and no other module of honed.

    HonedError
    ├── InvalidInput      (ValueError)       what was given cannot be accepted
    ├── NotFound          (LookupError)      no such resource
    ├── AlreadyExists     (ValueError)       the id is taken
    ├── WrongState        (RuntimeError)     right request, wrong moment
    ├── NoRoom            (OSError)          memory, disk or quota
    ├── Busy              (RuntimeError)     a bounded queue is full; try again later
    ├── Unavailable       (ConnectionError)  something is starting or gone; try again later
    ├── Unauthenticated   (PermissionError)  no valid token
    ├── Cancelled         (RuntimeError)     somebody asked for the end
    └── Internal          (RuntimeError)     a defect of honed, or a worker that died

An error crosses a process border as its `kind`, reason, message and details (`Failure`) and
becomes a gRPC status in `honed.daemon.rpc.status` alone.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self


class HonedError(Exception):
    """Something a user should read: what is wrong, what was expected, what was found, what to do.

    Attributes:
        reason: the case in capitals, stable across releases ("MODEL_NOT_FOUND").
        violations: pairs of a field (or row) and what is wrong with it.
        retry_after_s: seconds after which trying again makes sense, or None.
        metadata: details by name.
    """

    kind: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        violations: tuple[tuple[str, str], ...] = (),
        retry_after_s: float | None = None,
        **metadata: object,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason
        self.violations = violations
        self.retry_after_s = retry_after_s
        self.metadata = {key: str(value) for key, value in metadata.items()}

    def __str__(self) -> str:
        return self.message


class InvalidInput(HonedError, ValueError):
    """What was given cannot be accepted."""

    kind = "invalid_input"

    @classmethod
    def of_field(cls, field: str, description: str) -> "InvalidInput":
        """One bad field of a request."""
        return cls(f"{field}: {description}", reason="FIELD_INVALID", violations=((field, description),))


class NotFound(HonedError, LookupError):
    """No such resource."""

    kind = "not_found"


class AlreadyExists(HonedError, ValueError):
    """The id is taken."""

    kind = "already_exists"


class WrongState(HonedError, RuntimeError):
    """The request is right but the resource is not in a state for it."""

    kind = "wrong_state"


class NoRoom(HonedError, OSError):
    """Memory, disk or a quota does not suffice."""

    kind = "no_room"


class Busy(HonedError, RuntimeError):
    """A bounded queue is full."""

    kind = "busy"


class Unavailable(HonedError, ConnectionError):
    """Something is starting or gone; trying again may help."""

    kind = "unavailable"


class Unauthenticated(HonedError, PermissionError):
    """No valid token came with the call."""

    kind = "unauthenticated"


class Cancelled(HonedError, RuntimeError):
    """Somebody asked for the end."""

    kind = "cancelled"


class Internal(HonedError, RuntimeError):
    """A defect of honed, or a child process that died."""

    kind = "internal"


KINDS: dict[str, type[HonedError]] = {
    cls.kind: cls
    for cls in (
        InvalidInput,
        NotFound,
        AlreadyExists,
        WrongState,
        NoRoom,
        Busy,
        Unavailable,
        Unauthenticated,
        Cancelled,
        Internal,
    )
}


@dataclass(frozen=True)
class Failure:
    """A HonedError on its way across a process border."""

    kind: str
    reason: str
    message: str
    violations: tuple[tuple[str, str], ...] = ()
    metadata: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, error: HonedError) -> Self:
        return cls(error.kind, error.reason, error.message, error.violations, error.metadata)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        violations = tuple((str(name), str(what)) for name, what in value["violations"])
        return cls(value["kind"], value["reason"], value["message"], violations, value["metadata"])

    def to_error(self) -> HonedError:
        error_type = KINDS.get(self.kind, Internal)
        metadata: dict[str, Any] = dict(self.metadata)
        return error_type(self.message, reason=self.reason, violations=self.violations, **metadata)

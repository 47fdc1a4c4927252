import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status
from honed.client import errors
from honed.v1.jobs_pb2 import Job, JobError


class Failure(grpc.RpcError):
    """What gRPC raises: a code, a text and trailing metadata."""

    def __init__(self, code, text="", trailing=()):
        self._code, self._text, self._trailing = code, text, trailing

    def code(self):
        return self._code

    def details(self):
        return self._text

    def trailing_metadata(self):
        return self._trailing


def failure(code, message, *details):
    status = Status(code=code.value[0], message=message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    return Failure(code, message, (("grpc-status-details-bin", status.SerializeToString()),))


def test_every_detail_of_the_status_becomes_an_attribute():
    error = errors.from_rpc(
        failure(
            grpc.StatusCode.INVALID_ARGUMENT,
            "the request is malformed",
            ErrorInfo(reason="FIELD_INVALID", domain="honed", metadata={"limit": "512"}),
            BadRequest(field_violations=[BadRequest.FieldViolation(field="rank", description="must be 1 to 512")]),
            PreconditionFailure(violations=[PreconditionFailure.Violation(subject="disk", description="is full")]),
            ResourceInfo(resource_type="models", resource_name="models/smollm2"),
            RetryInfo(retry_delay=Duration(seconds=2, nanos=500_000_000)),
        )
    )
    assert type(error) is errors.InvalidArgument
    assert str(error) == error.message == "the request is malformed"
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.reason == "FIELD_INVALID"
    assert error.metadata == {"limit": "512"}
    assert error.field_violations == [("rank", "must be 1 to 512")]
    assert error.preconditions == [("disk", "is full")]
    assert error.resource == "models/smollm2"
    assert error.retry_after_s == 2.5


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_code_has_a_class_and_keeps_its_code(code):
    error = errors.from_rpc(Failure(code, "text"))
    assert type(error) is not errors.HonedError
    assert (error.code, error.message) == (code, "text")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.NOT_FOUND, errors.NotFound),
        (grpc.StatusCode.ALREADY_EXISTS, errors.AlreadyExists),
        (grpc.StatusCode.FAILED_PRECONDITION, errors.FailedPrecondition),
        (grpc.StatusCode.UNAUTHENTICATED, errors.NotAllowed),
        (grpc.StatusCode.PERMISSION_DENIED, errors.NotAllowed),
        (grpc.StatusCode.UNAVAILABLE, errors.Unavailable),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, errors.NoRoom),
        (grpc.StatusCode.CANCELLED, errors.Cancelled),
        (grpc.StatusCode.DEADLINE_EXCEEDED, errors.DeadlineExceeded),
        (grpc.StatusCode.INTERNAL, errors.Internal),
    ],
)
def test_a_code_decides_the_class(code, expected):
    assert type(errors.from_rpc(Failure(code))) is expected


@pytest.mark.parametrize("reason", ["MEMORY_EXCEEDED", "DISK_FULL"])
def test_a_precondition_that_lacks_memory_or_disk_is_no_room(reason):
    error = errors.from_rpc(failure(grpc.StatusCode.FAILED_PRECONDITION, "too large", ErrorInfo(reason=reason)))
    assert type(error) is errors.NoRoom
    assert error.code is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize(
    ("error_class", "standard"),
    [
        (errors.InvalidArgument, ValueError),
        (errors.NotFound, LookupError),
        (errors.NotAllowed, PermissionError),
        (errors.Unavailable, ConnectionError),
        (errors.DeadlineExceeded, TimeoutError),
        (errors.Internal, RuntimeError),
    ],
)
def test_a_class_is_also_its_standard_library_type(error_class, standard):
    error = error_class("text", reason="WHY")
    assert isinstance(error, standard)
    assert isinstance(error, errors.HonedError)
    assert (str(error), error.reason) == ("text", "WHY")


@pytest.mark.parametrize("trailing", [None, (), (("grpc-status-details-bin", b"\xff\xff"),)])
def test_an_error_without_readable_details_keeps_grpcs_text(trailing):
    error = errors.from_rpc(Failure(grpc.StatusCode.UNAVAILABLE, "connection refused", trailing))
    assert type(error) is errors.Unavailable
    assert (error.message, error.reason, error.retry_after_s) == ("connection refused", "", None)


def test_a_failed_job_carries_its_own_error():
    job = Job(name="jobs/7", state=Job.STATE_FAILED, error=JobError(code=13, reason="WORKER_DIED", message="killed"))
    error = errors.JobFailed(job)
    assert str(error) == "jobs/7 failed: killed"
    assert (error.code, error.reason, error.job) == (grpc.StatusCode.INTERNAL, "WORKER_DIED", job)


def test_a_cancelled_job_says_so():
    error = errors.JobFailed(Job(name="jobs/7", state=Job.STATE_CANCELLED))
    assert (str(error), error.reason) == ("jobs/7 was cancelled", "JOB_CANCELLED")

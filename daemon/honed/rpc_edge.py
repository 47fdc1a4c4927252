"""The edge that every gRPC server of honed wears: who is calling, and errors as google.rpc.Status.

One table maps the exception tree of `honed.errors` to statuses; only our own defects become INTERNAL. The daemon and
the engines share it, so that a status means the same on both sides of the proxy.
"""

import logging
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from honed.errors import (
    AlreadyExists,
    Busy,
    Cancelled,
    HonedError,
    Internal,
    InvalidInput,
    NoRoom,
    NotFound,
    Unauthenticated,
    Unavailable,
    WrongState,
)

DOMAIN = "honed"
DETAILS_KEY = "grpc-status-details-bin"

CODES: dict[type[HonedError], grpc.StatusCode] = {
    InvalidInput: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    WrongState: grpc.StatusCode.FAILED_PRECONDITION,
    NoRoom: grpc.StatusCode.FAILED_PRECONDITION,
    Busy: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    Cancelled: grpc.StatusCode.CANCELLED,
    Internal: grpc.StatusCode.INTERNAL,
}

# A status travels in the trailing metadata, once as text and once packed, and gRPC peers refuse more than 8 KiB of it.
_MAX_MESSAGE_BYTES = 900
_MAX_METADATA_BYTES = 900
_MAX_VIOLATIONS_BYTES = 1500
_MAX_TEXT_BYTES = 300

# Who is calling; set for the length of a call.
principal: ContextVar[str] = ContextVar("principal")

_log = logging.getLogger(__name__)


def to_status(error: HonedError) -> status_pb2.Status:
    """The status of an error, with ErrorInfo and, where they apply, BadRequest, ResourceInfo, PreconditionFailure and
    RetryInfo. Long texts lose their middle and the last of many violations are left out, so that it can be sent."""
    metadata = dict(_within(_MAX_METADATA_BYTES, error.metadata.items()))
    details: list[Any] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=metadata)]
    if error.violations:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=field, description=description)
            for field, description in _within(_MAX_VIOLATIONS_BYTES, error.violations)
        ]
        details.append(error_details_pb2.BadRequest(field_violations=violations))
    description = _shortened(error.message, _MAX_TEXT_BYTES)
    if resource := error.metadata.get("resource"):
        details.append(
            error_details_pb2.ResourceInfo(
                resource_type=resource.partition("/")[0], resource_name=resource, description=description
            )
        )
    if isinstance(error, WrongState | NoRoom):
        violation = error_details_pb2.PreconditionFailure.Violation(
            type=error.reason, subject=error.metadata.get("resource", ""), description=description
        )
        details.append(error_details_pb2.PreconditionFailure(violations=[violation]))
    if error.retry_after_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(error.retry_after_s * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed: list[any_pb2.Any] = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    code: int = CODES[type(error)].value[0]
    return status_pb2.Status(code=code, message=_shortened(error.message, _MAX_MESSAGE_BYTES), details=packed)


def _within(limit_bytes: int, pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The first pairs, shortened, that need at most `limit_bytes` together."""
    for name, text in pairs:
        pair = _shortened(name, _MAX_TEXT_BYTES), _shortened(text, _MAX_TEXT_BYTES)
        limit_bytes -= sum(len(part.encode()) for part in pair)
        if limit_bytes < 0:
            return
        yield pair


def _shortened(text: str, limit_bytes: int) -> str:
    """The text, or its beginning and its end."""
    raw = text.encode(errors="replace")
    if len(raw) <= limit_bytes:
        return raw.decode()
    half = limit_bytes // 2 - 3
    return f"{raw[:half].decode(errors='ignore')} … {raw[-half:].decode(errors='ignore')}"


async def abort(context: aio.ServicerContext[Any, Any], error: HonedError) -> None:
    """Ends a call with an error's status."""
    status = to_status(error)
    await context.abort(CODES[type(error)], status.message, ((DETAILS_KEY, status.SerializeToString()),))


@asynccontextmanager
async def errors_as_status(context: aio.ServicerContext[Any, Any]) -> AsyncGenerator[None]:
    """Turns what the block raises into the call's status."""
    try:
        yield
    except HonedError as error:
        if isinstance(error, Internal):
            _log.error("%s: %s", error.reason, error.message)
        await abort(context, error)
    except (aio.AbortError, aio.AioRpcError):
        raise
    except Exception as error:  # noqa: BLE001 - the last resort: a defect of ours ends the call, not the daemon
        if isinstance(error, sqlite3.OperationalError) and "full" in str(error):
            await abort(context, NoRoom("The disk of the state folder is full; free some space.", reason="DISK_FULL"))
        else:
            _log.exception("a defect of honed")
            await abort(context, Internal("A defect of honed; the daemon's log has the details.", reason="INTERNAL"))


class Edge(aio.ServerInterceptor):
    """Authenticates every call and maps every error.

    Args:
        authenticate: gives the caller's name for the call's `authorization` value, or raises Unauthenticated.
        is_open: tells from the method and the request whether a call needs no token.
    """

    def __init__(self, authenticate: Callable[[str], str], is_open: Callable[[str, Any], bool]) -> None:
        self._authenticate = authenticate
        self._is_open = is_open

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler: Any = await continuation(handler_call_details)
        if handler is None:
            return handler
        method: str = handler_call_details.method
        metadata: dict[str, Any] = dict(handler_call_details.invocation_metadata or ())
        authorization = str(metadata.get("authorization", ""))
        behaviour = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream

        def admit(request: Any) -> None:
            unary = None if handler.request_streaming else request
            principal.set("" if self._is_open(method, unary) else self._authenticate(authorization))

        async def answer(request: Any, context: Any) -> Any:
            async with errors_as_status(context):
                admit(request)
                return await behaviour(request, context)

        async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
            async with errors_as_status(context):
                admit(request)
                replies = behaviour(request, context)
                if hasattr(replies, "__aiter__"):
                    async for reply in replies:
                        yield reply
                else:  # a handler that writes through the context
                    await replies

        sides = ("stream" if side else "unary" for side in (handler.request_streaming, handler.response_streaming))
        make = getattr(grpc, f"{'_'.join(sides)}_rpc_method_handler")
        return make(
            stream if handler.response_streaming else answer,
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

"""How every synchronous call is made: token, deadline, pages, and gRPC's errors turned into ours.

Knows no service. `async_calls` is its twin.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

import grpc
from honed.client.connection import Connection
from honed.client.errors import from_rpc


class PageRequest(Protocol):
    """A request for one page of a list."""

    page_token: str


class Page(Protocol):
    """One page of a list."""

    @property
    def next_page_token(self) -> str:
        """Token of the next page; empty on the last."""
        ...


RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
PageRequestT = TypeVar("PageRequestT", bound=PageRequest)
PageT = TypeVar("PageT", bound=Page)


class Calls:
    """One channel and the ways to call over it. `timeout_s` bounds unary calls; uploads and streams take their time."""

    def __init__(self, connection: Connection, timeout_s: float) -> None:
        self.channel = grpc.insecure_channel(connection.address, options=connection.channel_options())
        self._metadata = connection.metadata()
        self._timeout_s = timeout_s

    def unary(
        self, method: grpc.UnaryUnaryMultiCallable[RequestT, ResponseT], request: RequestT, *, patient: bool = False
    ) -> ResponseT:
        """One request, one response; a `patient` one has no deadline but the daemon's own."""
        try:
            return method(request, timeout=None if patient else self._timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            raise from_rpc(error) from error

    def pages(
        self, method: grpc.UnaryUnaryMultiCallable[PageRequestT, PageT], request: PageRequestT
    ) -> Iterator[PageT]:
        """All pages of a list; each is asked for when it is needed."""
        while True:
            page = self.unary(method, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    def stream(
        self, method: grpc.UnaryStreamMultiCallable[RequestT, ResponseT], request: RequestT
    ) -> Iterator[ResponseT]:
        """One request, many responses. Closing the iterator cancels the call."""
        call = method(request, metadata=self._metadata)
        try:
            yield from call
        except grpc.RpcError as error:
            raise from_rpc(error) from error
        finally:
            call.cancel()

    def upload(
        self, method: grpc.StreamUnaryMultiCallable[RequestT, ResponseT], messages: Iterator[RequestT]
    ) -> ResponseT:
        """Many requests, one response. An OSError of `messages` comes through as itself."""
        source = Source(messages)
        try:
            return method(source, metadata=self._metadata)
        except grpc.RpcError as error:
            raise source.error or from_rpc(error) from error


class Source(Iterator[RequestT]):
    """Messages read on gRPC's own thread, with the error that gRPC would report as "Exception iterating requests"."""

    def __init__(self, messages: Iterator[RequestT]) -> None:
        self._messages = messages
        self.error: OSError | None = None

    def __next__(self) -> RequestT:
        try:
            return next(self._messages)
        except OSError as error:
            self.error = error
            raise

"""How every asyncio call is made: the twin of `calls`, where the contract of each method stands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

import grpc
from grpc import aio
from honed.client.calls import PageRequestT, PageT, RequestT, ResponseT, Source
from honed.client.connection import Connection
from honed.client.errors import from_rpc


class AsyncCalls:
    """The channels and the ways to call over them. Belongs to the event loop in which it is made."""

    def __init__(self, connection: Connection, timeout_s: float) -> None:
        self.channel = aio.insecure_channel(connection.address, options=connection.channel_options())
        self.upload_channel = grpc.insecure_channel(connection.address, options=connection.channel_options())
        self._metadata = connection.metadata()
        self._timeout_s = timeout_s

    async def close(self) -> None:
        """Ends all calls under way and closes the connection."""
        await self.channel.close()
        self.upload_channel.close()

    async def unary(
        self, method: aio.UnaryUnaryMultiCallable[RequestT, ResponseT], request: RequestT, *, patient: bool = False
    ) -> ResponseT:
        """One request, one response; a `patient` one has no deadline but the daemon's own."""
        timeout_s = None if patient else self._timeout_s
        try:
            return await method(request, timeout=timeout_s, metadata=aio.Metadata(*self._metadata))
        except grpc.RpcError as error:
            raise from_rpc(error) from error

    async def pages(
        self, method: aio.UnaryUnaryMultiCallable[PageRequestT, PageT], request: PageRequestT
    ) -> AsyncIterator[PageT]:
        """All pages of a list; each is asked for when it is needed."""
        while True:
            page = await self.unary(method, request)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def stream(
        self, method: aio.UnaryStreamMultiCallable[RequestT, ResponseT], request: RequestT
    ) -> AsyncGenerator[ResponseT]:
        """One request, many responses. Closing the iterator cancels the call."""
        call = method(request, metadata=aio.Metadata(*self._metadata))
        try:
            async for response in call:
                yield response
        except grpc.RpcError as error:
            raise from_rpc(error) from error
        finally:
            call.cancel()

    async def upload(
        self, method: grpc.StreamUnaryMultiCallable[RequestT, ResponseT], messages: Iterator[RequestT]
    ) -> ResponseT:
        """Many requests, one response. An OSError of `messages` comes through as itself.

        `method` belongs to `upload_channel` and runs on gRPC's threads: grpc.aio replaces the status of a server that
        refuses in the middle of a stream by INTERNAL (grpc/grpc#36066, open as of grpcio 1.85).
        """
        source = Source(messages)
        call = method.future(source, metadata=self._metadata)
        try:
            return await asyncio.to_thread(call.result)
        except grpc.RpcError as error:
            raise source.error or from_rpc(error) from error
        finally:
            call.cancel()

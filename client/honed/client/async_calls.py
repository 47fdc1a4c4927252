"""How every asyncio call is made: the twin of `calls`, where the contract of each method stands."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

import grpc
from grpc import aio
from honed.client.calls import PageRequestT, PageT, RequestT, ResponseT
from honed.client.connection import Connection
from honed.client.errors import from_rpc


class AsyncCalls:
    """One channel and the ways to call over it. Belongs to the event loop in which it is made."""

    def __init__(self, connection: Connection, timeout_s: float) -> None:
        self.channel = aio.insecure_channel(connection.address, options=connection.channel_options())
        self._metadata = aio.Metadata(*connection.metadata())
        self._timeout_s = timeout_s

    async def unary(self, method: aio.UnaryUnaryMultiCallable[RequestT, ResponseT], request: RequestT) -> ResponseT:
        """One request, one response."""
        try:
            return await method(request, timeout=self._timeout_s, metadata=self._metadata)
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
        call = method(request, metadata=self._metadata)
        try:
            async for response in call:
                yield response
        except grpc.RpcError as error:
            raise from_rpc(error) from error
        finally:
            call.cancel()

    async def upload(
        self, method: aio.StreamUnaryMultiCallable[RequestT, ResponseT], messages: Iterator[RequestT]
    ) -> ResponseT:
        """Many requests, one response. Files are read off the event loop; an OSError comes through as itself."""
        call = method(metadata=self._metadata)
        try:
            # A call that is done was answered early, which is how a refusal comes; writing on would be an error.
            while (message := await asyncio.to_thread(next, messages, None)) is not None and not call.done():
                await call.write(message)
            await call.done_writing()
            return await call
        except grpc.RpcError as error:
            raise from_rpc(error) from error
        finally:
            call.cancel()

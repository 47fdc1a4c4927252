"""GenerationService at the engine's own edge: requests checked and rendered, events of the engine as messages."""

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator
from typing import Any, Literal, cast

from grpc.aio import ServicerContext
from honed.data import Message, Renderer, ServingTemplate
from honed.errors import HonedError, InvalidInput
from honed.serve.engine import Delta, Done, Engine, Request
from honed.serve.sampling import Sampler, Sampling
from honed.serve.text import ReplyText
from honed.v1 import generation_pb2, generation_pb2_grpc

_DEFAULT_MAX_TOKENS = 256
# Pieces of a reply that come within this time travel in one message: three processes handle each message, on the cores
# that the graph runs on (docs/benchmarks.md).
_GATHER_S = 0.02
_MAX_STOPS = 16
_MAX_STOP_CHARACTERS = 256
_ROLES = ("system", "user", "assistant")


class GenerationService(generation_pb2_grpc.GenerationServiceServicer):
    """See generation.proto."""

    def __init__(self, engine: Engine, renderer: Renderer, template: ServingTemplate) -> None:
        self._engine = engine
        self._renderer = renderer
        self._template = template

    async def Generate(
        self, request: generation_pb2.GenerateRequest, context: ServicerContext[Any, Any]
    ) -> AsyncIterator[generation_pb2.GenerateResponse]:
        sampling = _sampling(request)
        prompt = await asyncio.to_thread(self._prompt, request)
        events = _Events()
        row = Request(
            prompt=prompt,
            max_tokens=request.max_tokens if request.HasField("max_tokens") else _DEFAULT_MAX_TOKENS,
            stop_ids=self._renderer.stop_ids,
            sampler=Sampler(sampling),
            text=ReplyText(self._renderer.decode, request.stop),
            emit=events.put,
        )
        self._engine.submit(row)
        try:
            gather_s = 0.0  # the first piece goes at once
            while True:
                arrived = await events.take(gather_s)
                gather_s = _GATHER_S
                if text := "".join(event.text for event in arrived if isinstance(event, Delta)):
                    yield generation_pb2.GenerateResponse(delta=text)
                last = arrived[-1]
                if isinstance(last, HonedError):
                    raise last
                if isinstance(last, Done):
                    done = generation_pb2.GenerateDone(
                        finish_reason=f"FINISH_REASON_{last.finish}",
                        prompt_tokens=last.prompt_tokens,
                        completion_tokens=last.completion_tokens,
                        seed=sampling.seed,
                    )
                    yield generation_pb2.GenerateResponse(done=done)
                    return
        finally:
            self._engine.cancel(row)  # a reader that left frees its slot; after the end this does nothing

    def _prompt(self, request: generation_pb2.GenerateRequest) -> list[int]:
        kind = request.WhichOneof("input")
        if kind == "prompt":
            if not request.prompt:
                raise InvalidInput.of_field("prompt", "expected text, found none")
            return self._renderer.encode(request.prompt)
        if kind == "row":
            return self._renderer.prompt(self._template.row(request.row.values))
        if kind != "chat" or not request.chat.messages:
            raise InvalidInput.of_field("input", "expected a prompt, a row, or a chat with one message or more")
        for place, message in enumerate(request.chat.messages):
            if message.role not in _ROLES:
                raise InvalidInput.of_field(
                    f"chat.messages[{place}].role", f"expected {', '.join(_ROLES)}, found {message.role[:40]!r}"
                )
        if request.chat.messages[-1].role == "assistant":
            raise InvalidInput.of_field("chat.messages", "the last message must not be the assistant's")
        messages = [
            Message(cast("Literal['system', 'user', 'assistant']", message.role), message.content)
            for message in request.chat.messages
        ]
        return self._renderer.prompt(self._template.chat(messages))


class _Events:
    """Events of one request on their way from the engine's thread to the event loop, which is woken once a batch."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._arrived: list[Delta | Done | HonedError] = []
        self._some = asyncio.Event()
        self._woken = False
        self._lock = threading.Lock()

    def put(self, event: Delta | Done | HonedError) -> None:
        """Called on the engine's thread."""
        with self._lock:
            self._arrived.append(event)
            wake, self._woken = not self._woken, True
        if wake:
            self._loop.call_soon_threadsafe(self._some.set)

    async def take(self, gather_s: float) -> list[Delta | Done | HonedError]:
        """Waits for an event, then for `gather_s`, and takes all that have arrived by then."""
        await self._some.wait()
        await asyncio.sleep(gather_s)
        self._some.clear()
        with self._lock:
            arrived, self._arrived, self._woken = self._arrived, [], False
        return arrived


def _sampling(request: generation_pb2.GenerateRequest) -> Sampling:
    """The sampling of a request.

    Raises:
        InvalidInput: a value is out of range; `violations` lists all of them.
    """
    mistakes: list[tuple[str, str]] = []

    def check(field: str, expected: str, good: bool) -> None:
        if request.HasField(cast("Any", field)) and not good:
            mistakes.append((field, f"expected {expected}, found {getattr(request, field)}"))

    check("max_tokens", "1 or more", request.max_tokens >= 1)
    check("temperature", "0 to 2", 0 <= request.temperature <= 2)
    check("top_p", "above 0, at most 1", 0 < request.top_p <= 1)
    check("top_k", "1 or more", request.top_k >= 1)
    check("seed", "0 or more", request.seed >= 0)
    if len(request.stop) > _MAX_STOPS:
        mistakes.append(("stop", f"expected {_MAX_STOPS} strings at most, found {len(request.stop)}"))
    for place, stop in enumerate(request.stop[:_MAX_STOPS]):
        if not 0 < len(stop) <= _MAX_STOP_CHARACTERS:
            mistakes.append((f"stop[{place}]", f"expected 1 to {_MAX_STOP_CHARACTERS} characters, found {len(stop)}"))
    if mistakes:
        raise InvalidInput(
            "; ".join(f"{field}: {what}" for field, what in mistakes),
            reason="FIELD_INVALID",
            violations=tuple(mistakes),
        )
    if not request.temperature:
        return Sampling()
    return Sampling(
        temperature=request.temperature,
        top_p=request.top_p if request.HasField("top_p") else 1.0,
        top_k=request.top_k if request.HasField("top_k") else None,
        seed=request.seed if request.HasField("seed") else secrets.randbits(62),
    )

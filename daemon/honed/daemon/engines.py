"""The engines: one child process per export in use, started on first use, ended when idle, forgotten when it died.

An engine serves honed.v1.GenerationService on a UNIX socket of its own (0600) behind a secret of its own. Requests and
responses pass through as bytes: the control plane does not parse what a model says.
"""

import asyncio
import json
import logging
import secrets
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpc import StatusCode, aio
from honed.daemon import children
from honed.daemon.config import Config
from honed.daemon.state import StateFolder
from honed.daemon.store import Resource
from honed.errors import Busy, Failure, HonedError, Internal, Unavailable

GENERATE = "/honed.v1.GenerationService/Generate"
_START_TIMEOUT_S = 120.0
_GRACE_S = 2.0
_DEATH_NOTICE_S = 1.0
_log = logging.getLogger(__name__)


@dataclass
class Engine:
    """A running engine."""

    export: str
    process: Process
    channel: aio.Channel
    secret: str
    socket: Path
    active: int = 0
    last_used: float = field(default_factory=time.monotonic)

    @property
    def alive(self) -> bool:
        return self.process.returncode is None


class Engines:
    """Starts, uses and ends engines."""

    def __init__(self, state: StateFolder, config: Config) -> None:
        self._state = state
        self._config = config
        self._engines: dict[str, Engine] = {}
        self._starting = asyncio.Lock()

    def running(self) -> list[Engine]:
        """Engines that run now."""
        return [engine for engine in self._engines.values() if engine.alive]

    async def generate(self, export: Resource, request: bytes, timeout_s: float | None) -> AsyncIterator[bytes]:
        """Streams an engine's answer, starting the engine if need be.

        Raises:
            Busy: all engines are in use.
            Unavailable: the engine died under the call.
            aio.AioRpcError: the engine's own refusal, with its status details.
        """
        engine = await self._engine(export)
        engine.active += 1
        try:
            channel: Any = engine.channel
            call = channel.unary_stream(GENERATE)(
                request, timeout=timeout_s, metadata=(("authorization", f"Bearer {engine.secret}"),)
            )
            try:
                async for message in call:
                    yield message
            except aio.AioRpcError as error:
                if await _has_died(engine.process, error):
                    raise self._death(engine.process, engine.socket) from error
                raise
            finally:
                call.cancel()
        finally:
            engine.active -= 1
            engine.last_used = time.monotonic()

    async def stop(self, export: str) -> None:
        """Ends the engine of an export, if one runs."""
        engine = self._engines.pop(export, None)
        if engine is not None:
            await engine.channel.close()
            await children.end(engine.process, _GRACE_S)
            engine.socket.unlink(missing_ok=True)

    async def stop_all(self) -> None:
        """Ends all engines."""
        await asyncio.gather(*(self.stop(export) for export in list(self._engines)))

    async def reap(self) -> None:
        """Ends engines that died or have been idle for longer than the keep-alive, until cancelled."""
        while True:
            await asyncio.sleep(1)
            for engine in list(self._engines.values()):
                idle_s = time.monotonic() - engine.last_used
                if not engine.alive or (not engine.active and idle_s > self._config.engine_keep_alive_s):
                    await self.stop(engine.export)

    async def _engine(self, export: Resource) -> Engine:
        async with self._starting:
            engine = self._engines.get(export.name)
            if engine is not None and not engine.alive:
                await self.stop(export.name)
                engine = None
            if engine is None:
                await self._make_room()
                engine = self._engines[export.name] = await self._start(export)
            return engine

    async def _make_room(self) -> None:
        while len(self._engines) >= self._config.max_engines:
            idle = [engine for engine in self._engines.values() if not engine.active]
            if not idle:
                raise Busy(
                    f"All {len(self._engines)} engines are answering requests (max_engines); try again shortly.",
                    reason="ENGINES_BUSY",
                    retry_after_s=2,
                )
            await self.stop(min(idle, key=lambda engine: engine.last_used).export)

    async def _start(self, export: Resource) -> Engine:
        secret = secrets.token_urlsafe(32)
        socket = self._state.run_folder() / f"{secrets.token_hex(4)}.sock"
        process = await children.spawn(
            "honed.serve",
            *("--folder", str(self._state.path / export.folder)),
            *("--socket", str(socket)),
            *("--threads", str(self._config.cpu_threads)),
            *("--kv-cache-bytes", str(self._config.kv_cache_bytes)),
            stderr=socket.with_suffix(".log"),
            threads=self._config.cpu_threads,
            stdout=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(secret.encode() + b"\n")
            line = await asyncio.wait_for(process.stdout.readline(), _START_TIMEOUT_S)
            if line.strip() != b"ready":
                await children.end(process, 1)
                raise self._refusal(line, process, socket)
        except TimeoutError:
            await children.end(process, 0)
            raise Unavailable(
                f"The engine of {export.name} was not ready within {_START_TIMEOUT_S:g} s.",
                reason="ENGINE_LOADING",
                retry_after_s=5,
            ) from None
        except BaseException:
            await children.end(process, 0)
            raise
        channel = aio.insecure_channel(f"unix:{socket}", options=[("grpc.default_authority", "localhost")])
        return Engine(export.name, process, channel, secret, socket)

    def _refusal(self, line: bytes, process: Process, socket: Path) -> HonedError:
        try:
            return Failure.from_json(json.loads(line)).to_error()
        except ValueError:
            return self._death(process, socket)

    def _death(self, process: Process, socket: Path) -> HonedError:
        stderr = children.tail(socket.with_suffix(".log"))
        _log.error("an engine %s: %s", children.how_it_ended(process), stderr)
        if process.returncode is not None and process.returncode < 0:
            return Unavailable(
                f"The engine {children.how_it_ended(process)}; the next request starts it again.",
                reason="ENGINE_DIED",
                retry_after_s=1,
            )
        return Internal("The engine did not start; see metadata.stderr.", reason="ENGINE_DIED", stderr=stderr)


async def _has_died(process: Process, error: aio.AioRpcError) -> bool:
    """Whether a call was lost because its engine died; the kernel may say so only after the connection broke."""
    if error.code() is StatusCode.UNAVAILABLE:
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _DEATH_NOTICE_S)
    return process.returncode is not None

"""`python -m honed.serve`: one engine. Reads its secret from the first line of standard input, prints `ready` (or a
failure as JSON) to standard output, and serves on its UNIX socket until SIGTERM or the daemon's end."""

import argparse
import asyncio
import hmac
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before the first import of onnxruntime: later is too late

from grpc import aio
from honed import manifest
from honed.data import Renderer, ServingTemplate
from honed.errors import Failure, HonedError, Unauthenticated
from honed.lifeline import die_with_parent
from honed.rpc_edge import Edge
from honed.serve.engine import Engine
from honed.serve.graph import Graph
from honed.serve.service import GenerationService
from honed.v1 import generation_pb2_grpc

_SLOTS = 4
_MAX_WAITING = 64
_MAX_MESSAGE_BYTES = 4 << 20
_GRACE_S = 1.0


def main() -> int:
    """Runs the engine; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m honed.serve")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--kv-cache-bytes", type=int, required=True)
    arguments = parser.parse_args()
    secret = _read_line()
    die_with_parent()
    try:
        manifest.verify(arguments.folder)
        renderer = Renderer.load(arguments.folder)
        graph = Graph(arguments.folder, arguments.threads, _SLOTS, arguments.kv_cache_bytes)
        graph.prefill(0, [0, 0])  # the first run of each kind prepares its kernels
        graph.decode([0], [2])
    except HonedError as error:
        print(json.dumps(asdict(Failure.of(error))), flush=True)
        return 1
    engine = Engine(graph, _MAX_WAITING)
    service = GenerationService(engine, renderer, ServingTemplate.load(arguments.folder))
    asyncio.run(_serve(service, arguments.socket, secret))
    engine.close()
    return 0


async def _serve(service: GenerationService, socket: Path, secret: str) -> None:
    expected = f"Bearer {secret}".encode()

    def authenticate(authorization: str) -> str:
        if not hmac.compare_digest(authorization.encode(), expected):
            raise Unauthenticated("An engine answers its daemon alone.", reason="TOKEN_INVALID")
        return "daemon"

    server = aio.server(
        interceptors=[Edge(authenticate, lambda _method, _request: False)],
        options=[("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES)],
    )
    generation_pb2_grpc.add_GenerationServiceServicer_to_server(service, server)
    os.umask(0o177)
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("ready", flush=True)
    await stop.wait()
    await server.stop(_GRACE_S)


def _read_line() -> str:
    """The first line of standard input, read byte by byte: what follows is the lifeline's."""
    line = b""
    while (byte := os.read(0, 1)) not in (b"\n", b""):
        line += byte
    return line.decode("ascii")


if __name__ == "__main__":
    sys.exit(main())

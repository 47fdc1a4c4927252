"""Where the daemon is and who is asking: settings alone, worked out from arguments and the environment.

Opens no connection. Arguments win over the environment, a token over a file that holds one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from honed.client.errors import InvalidArgument

_HIGHEST_PORT: Final = 65535


@dataclass(frozen=True)
class Connection:
    """How to reach the daemon. The connection itself is not encrypted: over a network, tunnel it."""

    address: str  # `unix:PATH` or `host:port`
    token: str | None = field(default=None, repr=False)  # printable ASCII; kept out of logs and tracebacks

    @classmethod
    def resolve(
        cls,
        address: str | None = None,
        *,
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> Connection:
        """Works the settings out.

        The address: the argument, HONED_ADDRESS, `unix:$XDG_RUNTIME_DIR/honed.sock`, `unix:/run/honed/honed.sock`.
        The token: the argument, the file in the argument, HONED_TOKEN, the file in HONED_TOKEN_FILE, none.

        Raises:
            InvalidArgument: The address or the token is malformed.
            OSError: The token's file cannot be read.
        """
        return cls(
            address=_checked_address(address or environ.get("HONED_ADDRESS") or _default_address(environ)),
            token=_find_token(token, token_file, environ),
        )

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Metadata of every call: the token travels as plain metadata, since gRPC refuses call credentials on a
        socket without TLS, a UNIX socket included."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    def channel_options(self) -> tuple[tuple[str, str | int], ...]:
        """Options of the gRPC channel."""
        options: list[tuple[str, str | int]] = [
            ("grpc.enable_http_proxy", 0),  # data that may not leave the building does not go through a proxy
            ("grpc.initial_reconnect_backoff_ms", 200),  # a restarted daemon is found again within two seconds
            ("grpc.max_reconnect_backoff_ms", 2000),
        ]
        if self.address.startswith("unix:"):
            # Otherwise the authority is the socket's percent-encoded path, which HTTP/2 servers may refuse.
            options.append(("grpc.default_authority", "localhost"))
        return tuple(options)


def _default_address(environ: Mapping[str, str]) -> str:
    runtime_dir = environ.get("XDG_RUNTIME_DIR")
    return f"unix:{runtime_dir}/honed.sock" if runtime_dir else "unix:/run/honed/honed.sock"


def _checked_address(address: str) -> str:
    scheme, _, path = address.partition(":")
    if scheme == "unix":
        if path:
            return address
    else:
        host, _, port = address.rpartition(":")
        if host and "/" not in address and port.isascii() and port.isdigit() and 0 < int(port) <= _HIGHEST_PORT:
            return address
    raise InvalidArgument(f"the address must be unix:PATH or host:port, found {address!r}")


def _find_token(token: str | None, token_file: str | os.PathLike[str] | None, environ: Mapping[str, str]) -> str | None:
    if token is not None:
        return _checked_token(token, "the token")
    if token_file is not None:
        return _read_token(token_file)
    if from_environment := environ.get("HONED_TOKEN"):
        return _checked_token(from_environment, "HONED_TOKEN")
    if file_from_environment := environ.get("HONED_TOKEN_FILE"):
        return _read_token(file_from_environment)
    return None


def _read_token(path: str | os.PathLike[str]) -> str:
    # A byte that is not UTF-8 becomes U+FFFD, which the check refuses.
    return _checked_token(Path(path).read_text(encoding="utf-8", errors="replace").strip(), str(path))


def _checked_token(token: str, source: str) -> str:
    """The token; never quoted in a message."""
    if token and token.isascii() and token.isprintable() and " " not in token:
        return token
    raise InvalidArgument(f"{source} must hold one token of printable ASCII without spaces")

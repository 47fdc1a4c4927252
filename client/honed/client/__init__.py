"""The Python client of honed.

    from honed.client import Client

    with Client() as client:
        text, done = client.complete("adapters/helpdesk", [{"role": "user", "content": "My screen is black."}])

Messages come from `honed.v1`. Names are loaded when they are first used, so that `hone --help` loads no gRPC.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from honed.client.async_client import AsyncClient
    from honed.client.client import Client
    from honed.client.connection import Connection
    from honed.client.errors import (
        AlreadyExists,
        Cancelled,
        DeadlineExceeded,
        FailedPrecondition,
        HonedError,
        Internal,
        InvalidArgument,
        JobFailed,
        NoRoom,
        NotAllowed,
        NotFound,
        Unavailable,
    )
    from honed.client.requests import Sampling, TableOptions

__all__ = [
    "AlreadyExists",
    "AsyncClient",
    "Cancelled",
    "Client",
    "Connection",
    "DeadlineExceeded",
    "FailedPrecondition",
    "HonedError",
    "Internal",
    "InvalidArgument",
    "JobFailed",
    "NoRoom",
    "NotAllowed",
    "NotFound",
    "Sampling",
    "TableOptions",
    "Unavailable",
]

_HOMES = {
    "AsyncClient": "async_client",
    "Client": "client",
    "Connection": "connection",
    "Sampling": "requests",
    "TableOptions": "requests",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'errors')}"), name)

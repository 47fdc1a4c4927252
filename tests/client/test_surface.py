import inspect
import re
from importlib import import_module
from pathlib import Path

import honed.client
import honed.v1
import pytest
from honed.client import AsyncClient, Client


def rpcs():
    """Every RPC of every service in the contract."""
    for file in sorted(Path(honed.v1.__path__[0]).glob("*_pb2.py")):
        for service in import_module(f"honed.v1.{file.stem}").DESCRIPTOR.services_by_name.values():
            yield from (method.full_name for method in service.methods)


def public_methods(client_class):
    return {
        name: method
        for name, method in inspect.getmembers(client_class, inspect.isfunction)
        if not name.startswith("_")
    }


@pytest.mark.parametrize("client_class", [Client, AsyncClient])
@pytest.mark.parametrize("rpc", rpcs())
def test_every_rpc_has_a_client_method(client_class, rpc):
    method = re.sub(r"(?<!^)(?=[A-Z])", "_", rpc.rpartition(".")[2]).lower()
    assert method in public_methods(client_class)


def test_both_clients_have_the_same_methods_with_the_same_parameters():
    sync, asynchronous = public_methods(Client), public_methods(AsyncClient)
    assert sync.keys() == asynchronous.keys()
    for name, method in sync.items():
        assert inspect.signature(method).parameters == inspect.signature(asynchronous[name]).parameters


def test_every_public_method_is_documented():
    for client_class in (Client, AsyncClient):
        assert all(method.__doc__ for method in public_methods(client_class).values())


def test_the_public_names_are_these():
    assert honed.client.__all__ == [
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


def test_every_name_of_the_package_can_be_imported():
    for name in honed.client.__all__:
        assert getattr(honed.client, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        honed.client.nonsense  # noqa: B018

"""Who may call: every method of every service, on both kinds of address, with no token, a wrong and the right one."""

from importlib import import_module

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from honed.v1.models_pb2 import GetModelRequest
from honed.v1.models_pb2_grpc import ModelServiceStub

NOUNS = ("adapters", "datasets", "exports", "generation", "jobs", "models", "reports", "system", "templates")
FILES = [*(import_module(f"honed.v1.{noun}_pb2").DESCRIPTOR for noun in NOUNS), reflection_pb2.DESCRIPTOR]
METHODS = {
    f"/{service.full_name}/{method.name}": method
    for file in FILES
    for service in file.services_by_name.values()
    for method in service.methods
}
TIMEOUT_S = 10


@pytest.fixture(params=["unix", "tcp"])
def channel(request, daemon):
    with grpc.insecure_channel(daemon.listen[request.param == "tcp"]) as channel:
        yield channel


def authorization(value):
    return (("authorization", value),) if value else ()


def call(channel, method, metadata):
    """Calls a method with an empty message, or none where it takes a stream, and returns how that ended."""
    kinds = [
        "stream" if streaming else "unary"
        for streaming in (METHODS[method].client_streaming, METHODS[method].server_streaming)
    ]
    stub = getattr(channel, "_".join(kinds))(method)
    try:
        answer = stub(iter(()) if kinds[0] == "stream" else b"", metadata=metadata, timeout=TIMEOUT_S)
        if kinds[1] == "stream":
            list(answer)
    except grpc.RpcError as error:
        return error
    return None


def reason(error) -> str:
    trailing = dict(error.trailing_metadata())
    info = ErrorInfo()
    for detail in Status.FromString(trailing["grpc-status-details-bin"]).details:
        detail.Unpack(info)
    return info.reason


def test_the_methods_under_test_are_all_there_are():
    assert len(METHODS) >= 33
    assert "/honed.v1.GenerationService/Generate" in METHODS


@pytest.mark.parametrize("method", METHODS)
def test_no_method_answers_without_a_token(method, channel):
    error = call(channel, method, ())
    assert error is not None
    assert (error.code(), reason(error)) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


@pytest.mark.parametrize("method", METHODS)
def test_no_method_answers_to_a_wrong_token(method, channel):
    error = call(channel, method, authorization("Bearer wrong"))
    assert error is not None
    assert (error.code(), reason(error)) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")


@pytest.mark.parametrize("method", METHODS)
def test_the_right_token_opens_every_method(method, channel, daemon):
    token = (daemon.state / "token").read_text().strip()
    error = call(channel, method, authorization(f"Bearer {token}"))
    assert error is None or error.code() is grpc.StatusCode.INVALID_ARGUMENT, error


@pytest.mark.parametrize(
    "form", ["{0}", "bearer {0}", "Basic {0}", "Bearer  {0}", "Bearer {0}x", "Bearer {1}", "Bearer"]
)
def test_nothing_but_the_whole_token_in_its_form_is_accepted(form, channel, daemon):
    token = (daemon.state / "token").read_text().strip()
    error = call(channel, "/honed.v1.SystemService/GetStatus", authorization(form.format(token, token[:-1])))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("name", ["models/tiny", "models/no-such-model", "../../etc/passwd"])
def test_a_stranger_learns_nothing_about_what_exists(name, channel):
    with pytest.raises(grpc.RpcError) as error:
        ModelServiceStub(channel).GetModel(GetModelRequest(name=name), timeout=TIMEOUT_S)
    assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert name not in error.value.details()


def test_health_of_the_whole_daemon_is_open(channel):
    check = health_pb2_grpc.HealthStub(channel).Check
    assert check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S).status == health_pb2.HealthCheckResponse.SERVING


def test_health_of_a_named_service_needs_the_token(channel, client):
    check = health_pb2_grpc.HealthStub(channel).Check
    request = health_pb2.HealthCheckRequest(service="honed.v1.JobService")
    with pytest.raises(grpc.RpcError) as error:
        check(request, timeout=TIMEOUT_S)
    assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED
    answer = check(request, metadata=client.connection.metadata(), timeout=TIMEOUT_S)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("service", ["", "honed.v1.JobService"])
def test_watching_health_needs_the_token(service, channel):
    with pytest.raises(grpc.RpcError) as error:
        next(
            health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service), timeout=TIMEOUT_S)
        )
    assert error.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_reflection_lists_every_service_to_the_owner(channel, client):
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    (answer,) = stub.ServerReflectionInfo(asked, metadata=client.connection.metadata(), timeout=TIMEOUT_S)
    listed = {service.name for service in answer.list_services_response.service}
    wanted = {method.split("/")[1] for method in METHODS} | {"grpc.health.v1.Health"}
    assert listed == wanted


def test_the_token_of_one_daemon_opens_no_other(new_daemon, daemon):
    other = new_daemon(stock=None).start()
    token = (other.state / "token").read_text().strip()
    with grpc.insecure_channel(daemon.address) as channel:
        error = call(channel, "/honed.v1.SystemService/GetStatus", authorization(f"Bearer {token}"))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED

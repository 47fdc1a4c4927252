import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from honed.daemon.auth import TokenAuthenticator, needs_no_token
from honed.errors import Unauthenticated


def test_the_token_lets_its_owner_in():
    assert TokenAuthenticator("secret")("Bearer secret") == "owner"


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        ("", "TOKEN_MISSING"),
        ("Bearer", "TOKEN_INVALID"),
        ("Bearer ", "TOKEN_INVALID"),
        ("Bearer secre", "TOKEN_INVALID"),
        ("Bearer secret2", "TOKEN_INVALID"),
        ("bearer secret", "TOKEN_INVALID"),
        ("secret", "TOKEN_INVALID"),
        ("Bearer sécret", "TOKEN_INVALID"),
    ],
)
def test_anything_else_is_refused(authorization, reason):
    with pytest.raises(Unauthenticated) as caught:
        TokenAuthenticator("secret")(authorization)
    assert caught.value.reason == reason
    assert "secret" not in caught.value.message


def test_only_the_health_of_the_whole_is_open():
    assert needs_no_token("/grpc.health.v1.Health/Check", HealthCheckRequest())
    assert not needs_no_token("/grpc.health.v1.Health/Check", HealthCheckRequest(service="honed.v1.JobService"))
    assert not needs_no_token("/grpc.health.v1.Health/Watch", HealthCheckRequest())
    assert not needs_no_token("/honed.v1.JobService/GetJob", HealthCheckRequest())

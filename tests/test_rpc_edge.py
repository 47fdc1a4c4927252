"""The edge on a real gRPC server, and a real client at its other side."""

import sqlite3

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc import aio
from honed.errors import KINDS, Busy, Internal, InvalidInput, NoRoom, NotFound, Unauthenticated, WrongState
from honed.rpc_edge import CODES, DETAILS_KEY, Edge, principal, to_status

EXPECTED_CODES = {
    "invalid_input": "INVALID_ARGUMENT",
    "not_found": "NOT_FOUND",
    "already_exists": "ALREADY_EXISTS",
    "wrong_state": "FAILED_PRECONDITION",
    "no_room": "FAILED_PRECONDITION",
    "busy": "RESOURCE_EXHAUSTED",
    "unavailable": "UNAVAILABLE",
    "unauthenticated": "UNAUTHENTICATED",
    "cancelled": "CANCELLED",
    "internal": "INTERNAL",
}
METHODS = ("Unary", "Stream", "Upload")


def unpacked(status, message_type):
    found = [message_type.FromString(each.value) for each in status.details if each.Is(message_type.DESCRIPTOR)]
    assert len(found) <= 1
    return found[0] if found else None


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_code_and_carries_reason_domain_and_details(kind):
    status = to_status(KINDS[kind]("what is wrong", reason="REASON", limit=3))
    assert status.code == grpc.StatusCode[EXPECTED_CODES[kind]].value[0]
    assert status.message == "what is wrong"
    info = unpacked(status, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain, dict(info.metadata)) == ("REASON", "honed", {"limit": "3"})


def test_the_table_knows_the_whole_tree():
    assert set(CODES) == set(KINDS.values())


def test_bad_fields_a_resource_a_condition_and_a_time_become_their_details():
    status = to_status(InvalidInput("bad", reason="R", violations=(("rank", "too small"), ("row 3", "empty"))))
    fields = unpacked(status, error_details_pb2.BadRequest).field_violations
    assert [(each.field, each.description) for each in fields] == [("rank", "too small"), ("row 3", "empty")]

    status = to_status(WrongState("in use", reason="MODEL_IN_USE", resource="models/m"))
    resource = unpacked(status, error_details_pb2.ResourceInfo)
    assert (resource.resource_type, resource.resource_name) == ("models", "models/m")
    (condition,) = unpacked(status, error_details_pb2.PreconditionFailure).violations
    assert (condition.type, condition.subject) == ("MODEL_IN_USE", "models/m")

    assert unpacked(to_status(NoRoom("full", reason="R")), error_details_pb2.PreconditionFailure)
    retry = unpacked(to_status(Busy("full", reason="R", retry_after_s=1.5)), error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 1500


def test_details_that_do_not_apply_are_left_out():
    assert len(to_status(NotFound("gone", reason="R")).details) == 1


@pytest.fixture
async def call(tmp_path):
    """Calls a server whose handlers run `behaviour`, behind an edge that knows one token."""
    behaviours = []

    async def unary(request, context):
        return await behaviours[-1](request)

    async def stream(request, context):
        yield b"first"
        yield await behaviours[-1](request)

    async def upload(requests, context):
        return await behaviours[-1](b"".join([chunk async for chunk in requests]))

    def authenticate(authorization):
        if authorization != "Bearer token":
            raise Unauthenticated("no", reason="TOKEN_INVALID")
        return "owner"

    handlers = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Stream": grpc.unary_stream_rpc_method_handler(stream),
        "Upload": grpc.stream_unary_rpc_method_handler(upload),
    }
    server = aio.server(interceptors=[Edge(authenticate, lambda method, request: request not in (None, b"x"))])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", handlers),))
    address = f"unix:{tmp_path}/socket"
    server.add_insecure_port(address)
    await server.start()
    async with aio.insecure_channel(address) as channel:

        async def call(behaviour, method="Unary", request=b"x", token="token"):
            behaviours.append(behaviour)
            metadata = (("authorization", f"Bearer {token}"),) if token else ()
            path = f"/test.Service/{method}"
            if method == "Unary":
                return await channel.unary_unary(path)(request, metadata=metadata)
            if method == "Upload":
                return await channel.stream_unary(path)(iter([request]), metadata=metadata)
            return [part async for part in channel.unary_stream(path)(request, metadata=metadata)]

        yield call
    await server.stop(0)


async def refusal(call, *arguments, **options):
    with pytest.raises(aio.AioRpcError) as caught:
        await call(*arguments, **options)
    details = dict(caught.value.trailing_metadata()).get(DETAILS_KEY)
    status = status_pb2.Status.FromString(details) if details else None
    return caught.value.code(), status


def raising(error):
    async def behaviour(request):
        raise error

    return behaviour


async def who(request):
    return principal.get().encode()


async def test_a_good_call_passes_and_knows_its_caller(call):
    assert await call(who) == b"owner"
    assert await call(who, "Stream") == [b"first", b"owner"]
    assert await call(who, "Upload") == b"owner"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("token", ["", "wrong"])
async def test_no_call_passes_without_the_token(call, method, token):
    code, status = await refusal(call, who, method, token=token)
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert unpacked(status, error_details_pb2.ErrorInfo).reason == "TOKEN_INVALID"


async def test_an_open_call_needs_no_token_and_has_no_caller(call):
    assert await call(who, request=b"open", token="") == b""


async def test_an_upload_is_never_open(call):
    code, _ = await refusal(call, who, "Upload", request=b"open", token="")
    assert code is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_arrives_as_its_status(call, method, kind):
    error = KINDS[kind]("schön \u2603", reason="REASON", resource="models/m")
    code, status = await refusal(call, raising(error), method)
    assert code.name == EXPECTED_CODES[kind]
    assert status == to_status(error)


@pytest.mark.parametrize("method", METHODS)
async def test_a_defect_is_internal_and_keeps_its_words_to_itself(call, method, caplog):
    code, status = await refusal(call, raising(KeyError("secret/path")), method)
    assert code is grpc.StatusCode.INTERNAL
    assert "secret/path" not in status.message
    assert "secret/path" in caplog.text  # the log has them


async def test_a_full_disk_under_the_database_is_no_defect(call):
    code, status = await refusal(call, raising(sqlite3.OperationalError("database or disk is full")))
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert unpacked(status, error_details_pb2.ErrorInfo).reason == "DISK_FULL"


async def test_any_other_error_of_the_database_is_a_defect_but_still_a_status(call):
    code, status = await refusal(call, raising(sqlite3.OperationalError("no such table: x")))
    assert code is grpc.StatusCode.INTERNAL
    assert unpacked(status, error_details_pb2.ErrorInfo).reason == "INTERNAL"


async def test_an_error_with_many_long_details_still_arrives_with_its_code(call):
    """gRPC peers refuse metadata beyond 8 KiB (soft) to 16 KiB (hard); a table with bad rows easily has as much."""
    rows = tuple((f"row {number}", "label 'ä" + "ö" * 195 + "' is unknown") for number in range(21))
    error = InvalidInput("; ".join(what for _, what in rows), reason="ROWS_INVALID", violations=rows, x="y" * 20_000)
    code, status = await refusal(call, raising(error))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert unpacked(status, error_details_pb2.ErrorInfo).reason == "ROWS_INVALID"
    assert unpacked(status, error_details_pb2.BadRequest).field_violations[0].field == "row 0"


@pytest.mark.parametrize("letter", ["a", "ö", "☃", "😀", "\udc80"])
@pytest.mark.parametrize("kind", ["wrong_state", "invalid_input"])
def test_a_status_of_any_size_fits_into_the_metadata_that_peers_accept(letter, kind):
    long = letter * 5000
    error = KINDS[kind](
        long, reason="R", violations=((long, long),) * 50, retry_after_s=1, resource="models/m", x=long, y=long
    )
    status = to_status(error)
    percent_encoded = sum(1 if byte < 0x80 else 3 for byte in status.message.encode())
    assert percent_encoded + len(status.SerializeToString()) * 4 / 3 < 8000


def test_a_long_text_keeps_its_beginning_and_its_end():
    status = to_status(Internal("first words" + "." * 9000 + "last words", reason="R"))
    assert status.message.startswith("first words.")
    assert status.message.endswith(".last words")
    assert " … " in status.message


def test_as_many_violations_as_fit_are_told():
    rows = tuple((f"row {number}", "expected 2 fields as in the header, found 3") for number in range(1, 21))
    fields = unpacked(to_status(InvalidInput("bad", reason="R", violations=rows)), error_details_pb2.BadRequest)
    assert len(fields.field_violations) == 20


async def test_internal_errors_are_logged(call, caplog):
    await refusal(call, raising(Internal("the worker died", reason="WORKER_DIED")))
    assert "WORKER_DIED: the worker died" in caplog.text

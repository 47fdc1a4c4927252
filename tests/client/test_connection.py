import pytest
from honed.client import Connection, InvalidArgument


def resolve(*args, environ=None, **options):
    return Connection.resolve(*args, environ=environ or {}, **options)


def test_without_settings_the_system_socket_is_used():
    assert resolve() == Connection("unix:/run/honed/honed.sock")


def test_a_users_runtime_folder_comes_before_the_system_socket():
    assert resolve(environ={"XDG_RUNTIME_DIR": "/run/user/7"}).address == "unix:/run/user/7/honed.sock"


def test_the_environment_comes_before_the_usual_socket_and_the_argument_before_both():
    environ = {"XDG_RUNTIME_DIR": "/run/user/7", "HONED_ADDRESS": "unix:/tmp/a"}
    assert resolve(environ=environ).address == "unix:/tmp/a"
    assert resolve("localhost:7000", environ=environ).address == "localhost:7000"


@pytest.mark.parametrize("address", ["unix:/tmp/a", "unix:a.sock", "localhost:1", "10.0.0.1:65535", "[::1]:50051"])
def test_a_socket_or_a_host_with_its_port_is_an_address(address):
    assert resolve(address).address == address


@pytest.mark.parametrize("address", ["unix:", "localhost", "localhost:", ":80", "host:0", "host:70000", "dns:///a:1"])
def test_anything_else_is_no_address(address):
    with pytest.raises(InvalidArgument, match="unix:PATH or host:port"):
        resolve(address)


def test_the_token_is_taken_from_the_first_place_that_has_one(tmp_path):
    given, named = tmp_path / "given", tmp_path / "named"
    given.write_text("from-argument-file\n")
    named.write_text("from-environment-file\n")
    environ = {"HONED_TOKEN_FILE": str(named)}
    assert resolve().token is None
    assert resolve(environ=environ).token == "from-environment-file"
    environ["HONED_TOKEN"] = "from-environment"
    assert resolve(environ=environ).token == "from-environment"
    assert resolve(token_file=given, environ=environ).token == "from-argument-file"
    assert resolve(token="from-argument", token_file=given, environ=environ).token == "from-argument"


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", b"line\nline", "schlüssel".encode(), b"\xff\xfe"])
def test_a_malformed_token_is_refused_without_being_quoted(tmp_path, content):
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(InvalidArgument) as caught:
        resolve(token_file=file)
    assert str(caught.value) == f"{file} must hold one token of printable ASCII without spaces"


def test_a_missing_token_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        resolve(token_file=tmp_path / "nothing")


def test_the_token_travels_as_metadata_and_stays_out_of_the_repr():
    connection = resolve("unix:/tmp/a", token="secret")
    assert connection.metadata() == (("authorization", "Bearer secret"),)
    assert resolve().metadata() == ()
    assert "secret" not in repr(connection)


def test_only_a_unix_socket_gets_an_authority_and_nothing_goes_through_a_proxy():
    assert ("grpc.default_authority", "localhost") in resolve("unix:/tmp/a").channel_options()
    options = dict(resolve("host:80").channel_options())
    assert "grpc.default_authority" not in options
    assert options["grpc.enable_http_proxy"] == 0

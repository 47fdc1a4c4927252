"""How the daemon starts, what it leaves on the disk, and how it refuses to start."""

import os
import socket
import sqlite3
import stat
import subprocess
import time

import pytest
from helpers.daemon import mapped_libraries

HEAVY = ("libtorch", "onnxruntime", "bitsandbytes", "tokenizers")


def mode(path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_daemon_serves_without_any_machine_learning_library_in_its_memory(new_daemon):
    daemon = new_daemon(stock=None)
    began = time.monotonic()
    daemon.start()
    print(f"serving after {time.monotonic() - began:.2f} s")
    libraries = mapped_libraries(daemon.process.pid)
    assert "grpc" in libraries  # what is looked for would be seen
    assert not [name for name in HEAVY if name in libraries]


def test_everything_the_daemon_makes_is_its_owners_alone(new_daemon):
    daemon = new_daemon(stock=None)
    before = os.umask(0o000)
    try:
        daemon.start()
    finally:
        os.umask(before)
    assert mode(daemon.state) == 0o700
    assert mode(daemon.state / "token") == 0o600
    assert mode(daemon.folder / "sock") == 0o600


def test_an_open_state_folder_is_closed_to_others_at_start(new_daemon):
    daemon = new_daemon(stock=None)
    daemon.state.mkdir()
    daemon.state.chmod(0o755)
    daemon.start()
    assert mode(daemon.state) == 0o700


def test_the_token_stays_the_same_over_a_restart(new_daemon):
    daemon = new_daemon(stock=None).start()
    token = (daemon.state / "token").read_text()
    assert len(token.strip()) >= 43  # 256 bits
    daemon.end()
    daemon.start()
    assert (daemon.state / "token").read_text() == token


def test_a_second_daemon_on_the_same_state_folder_is_refused(new_daemon):
    first, second = new_daemon(stock=None).start(), new_daemon(stock=None)
    second.state = first.state
    status, stderr = second.refuse_to_start()
    assert status == 5
    assert "Another honed owns the state folder" in stderr
    with first.client() as client:
        assert client.get_status().version


def test_a_second_daemon_on_the_same_socket_is_refused_and_the_first_goes_on(new_daemon):
    first, second = new_daemon(stock=None).start(), new_daemon(stock=None)
    second.listen = first.listen
    status, stderr = second.refuse_to_start()
    assert status == 5
    assert "Cannot listen on" in stderr
    with first.client() as client:
        assert client.get_status().version


def test_a_port_in_use_is_refused(new_daemon):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        status, stderr = new_daemon(f"127.0.0.1:{taken.getsockname()[1]}", stock=None).refuse_to_start()
    assert status == 5
    assert "Cannot listen on 127.0.0.1:" in stderr


@pytest.mark.parametrize("address", ["0.0.0.0:7777", "192.168.1.5:7777", "[::]:7777", "example.org:7777", "unix:", "7"])
def test_an_address_that_is_not_local_is_refused(address, new_daemon):
    daemon = new_daemon(address, stock=None)
    status, stderr = daemon.refuse_to_start()
    assert status == 2
    assert f"listen {address}" in stderr
    assert not daemon.state.exists()


def test_all_mistakes_in_the_settings_are_reported_at_once(new_daemon, folder):
    config = folder / "honed.toml"
    config.write_text('max_engines = "many"\ncolour = "red"\n')
    daemon = new_daemon("10.0.0.1:1", stock=None, shoe_size=43, threads="-1")
    ended = subprocess.run(
        [*daemon.command(), "--config", str(config)],
        env=daemon.environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 2
    for mistake in ("max_engines", "colour", "HONED_SHOE_SIZE", "HONED_THREADS", "listen 10.0.0.1:1"):
        assert mistake in ended.stderr


def test_a_state_folder_that_cannot_be_used_is_named(new_daemon):
    daemon = new_daemon(stock=None)
    daemon.state.write_text("a file")
    status, stderr = daemon.refuse_to_start()
    assert status == 2
    assert f"The state folder {daemon.state} cannot be used" in stderr
    assert "Traceback" not in stderr


def test_a_state_folder_whose_path_is_too_long_for_sockets_is_refused(new_daemon):
    daemon = new_daemon(stock=None)
    daemon.state = daemon.folder / ("x" * 90)
    status, stderr = daemon.refuse_to_start()
    assert status == 2
    assert "at most 85" in stderr


def test_a_database_of_a_newer_honed_is_left_alone(new_daemon):
    daemon = new_daemon(stock=None).start()
    daemon.end()
    database = sqlite3.connect(daemon.state / "honed.db")
    database.execute("PRAGMA user_version = 9999")
    database.close()
    status, stderr = daemon.refuse_to_start()
    assert status == 1
    assert "install the newer one" in stderr
    assert "Traceback" not in stderr

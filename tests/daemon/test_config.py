from pathlib import Path

import pytest
from honed.daemon.config import load_config
from honed.errors import InvalidInput

FLAGS = {"state_dir": "/state", "listen": ["unix:/run/honed.sock"]}


@pytest.fixture
def write(tmp_path):
    def write(text) -> Path:
        path = tmp_path / "honed.toml"
        path.write_text(text)
        return path

    return write


def refusal(file=None, environment=None, flags=FLAGS):
    with pytest.raises(InvalidInput) as caught:
        load_config(file, environment or {}, flags)
    assert caught.value.reason == "CONFIG_INVALID"
    return caught.value


def test_flags_win_over_the_environment_and_that_over_the_file(write):
    file = write('state_dir = "/file"\nthreads = 1\nmax_engines = 1\nlisten = ["unix:/file"]\n')
    environment = {"HONED_THREADS": "2", "HONED_STATE_DIR": "/environment", "HONED_LISTEN": "unix:/a, unix:/b"}
    config = load_config(file, environment, {"state_dir": "/flag", "listen": None})
    assert config.state_dir == "/flag"
    assert config.threads == 2
    assert config.max_engines == 1
    assert config.listen == ("unix:/a", "unix:/b")


def test_a_flag_that_was_not_given_does_not_hide_anything(write):
    config = load_config(write('state_dir = "/file"'), {"HONED_LISTEN": "unix:/a"}, {"state_dir": None, "listen": None})
    assert (config.state_dir, config.listen) == ("/file", ("unix:/a",))


def test_all_mistakes_of_all_sources_are_told_at_once(write):
    file = write('thread = 1\nmax_engines = "many"\nmax_queued_jobs = -1\nimport_roots = [1]\nkv_cache_bytes = true\n')
    environment = {"HONED_THREADS": "x", "HONED_COLOUR": "red"}
    error = refusal(file, environment, {"listen": ["0.0.0.0:1"]})
    assert [source.removeprefix(f"{file}: ") for source, _ in error.violations] == [
        "thread",
        "max_engines",
        "max_queued_jobs",
        "import_roots",
        "kv_cache_bytes",
        "HONED_COLOUR",
        "HONED_THREADS",
        "state_dir",
        "listen 0.0.0.0:1",
    ]
    assert all(source in error.message for source, _ in error.violations)


def test_the_clients_variables_are_no_settings_of_the_daemon():
    environment = {"HONED_ADDRESS": "unix:/a", "HONED_TOKEN": "t", "HONED_TOKEN_FILE": "/t", "HOME": "/", "HONEDX": "1"}
    assert load_config(None, environment, FLAGS).state_dir == "/state"


@pytest.mark.parametrize(
    "address",
    ["unix:/run/honed.sock", "127.0.0.1:50051", "127.9.9.9:1", "[::1]:50051", "localhost:0", "unix:" + "a" * 107],
)
def test_addresses_that_stay_on_this_machine_are_accepted(address):
    assert load_config(None, {}, FLAGS | {"listen": [address]}).listen == (address,)


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("0.0.0.0:50051", "loopback"),
        ("[::]:50051", "loopback"),
        ("192.168.1.4:50051", "loopback"),
        ("localhost.example.org:50051", "IP address or localhost"),
        ("127.0.0.1", "HOST:PORT"),
        ("127.0.0.1:65536", "HOST:PORT"),
        ("127.0.0.1:-1", "HOST:PORT"),
        ("127.0.0.1:²", "HOST:PORT"),
        ("unix:", "unix:PATH"),
        ("unix:" + "a" * 108, "107 bytes"),
        ("unix:" + "ä" * 54, "107 bytes"),
    ],
)
def test_any_other_address_is_refused(address, part):
    ((source, what),) = refusal(flags=FLAGS | {"listen": [address]}).violations
    assert source == f"listen {address}"
    assert part in what


def test_a_file_that_is_missing_or_no_toml_is_named(write, tmp_path):
    assert "missing.toml" in refusal(tmp_path / "missing.toml").message
    assert "honed.toml" in refusal(write("threads = ")).message
    path = write("")
    path.write_bytes(b"\xff")
    assert "honed.toml" in refusal(path).message


def test_nothing_given_names_what_is_needed():
    assert [source for source, _ in refusal(flags={}).violations] == ["state_dir", "listen"]


def test_without_a_number_of_threads_all_cores_are_used():
    assert load_config(None, {}, FLAGS).cpu_threads >= 1
    assert load_config(None, {"HONED_THREADS": "3"}, FLAGS).cpu_threads == 3

"""The command line as a process: start-up, signals, pipes and terminals."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest

HONE = [sys.executable, "-c", "from honed.client.cli import main; main()"]
TUNE = ["tune", "--model", "m", "--data", "d"]


def start(*args, **options):
    return subprocess.Popen([*HONE, *args], stderr=subprocess.PIPE, text=True, **options)


def run_in_terminal(*args):
    """Runs a command with stdout and stderr on a terminal; returns the exit code and what the terminal got."""
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [*HONE, *args],
        stdin=subprocess.DEVNULL,
        stdout=inside,
        stderr=inside,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"},
    )
    os.close(inside)
    output = b""
    with suppress(OSError):  # the end of a terminal is an error of reading
        while piece := os.read(terminal, 65536):
            output += piece
    os.close(terminal)
    return process.wait(), output.decode()


def test_help_loads_neither_grpc_nor_protobuf_nor_rich():
    code = (
        "import sys\n"
        "from honed.client.cli import main\n"
        "sys.argv = ['hone', '--help']\n"
        "try:\n    main()\n"
        "finally:\n    print([m for m in ('grpc', 'google.protobuf', 'rich', 'asyncio') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_ctrl_c_while_following_leaves_the_job_and_says_how_to_cancel_it(address, twin):
    process = start(*TUNE, "endless", stdout=subprocess.PIPE)
    seen = ""
    while "1/2" not in seen:
        seen += process.stderr.readline()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "jobs/1 goes on" in stderr
    assert "hone jobs cancel 1" in stderr
    assert "Traceback" not in stderr
    assert stdout == ""
    assert twin.resources["jobs/1"].state == twin.resources["jobs/1"].STATE_RUNNING


def test_ctrl_c_elsewhere_exits_with_130_and_without_words(address, twin):
    twin.delay_s = 1.0
    process = start("status", stdout=subprocess.PIPE)
    while not twin.status_asked:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (130, "")


@pytest.mark.parametrize("args", [("jobs", "ls"), ("jobs", "ls", "--json"), ("run", "exports/e", "a")])
def test_a_reader_who_has_left_is_no_reason_for_words(address, args):
    reader, writer = os.pipe()
    os.close(reader)
    process = start(*args, stdout=writer)
    os.close(writer)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (1, "")


def test_a_terminal_gets_a_progress_bar_with_the_figures(address):
    exit_code, output = run_in_terminal(*TUNE, "a")
    assert exit_code == 0
    assert "1/2" in output
    assert "loss 1.2500" in output
    assert "adapters/a" in output


def test_a_terminal_is_left_with_the_curve_of_the_loss(address):
    for args in ((*TUNE, "a"), ("jobs", "wait", "1"), ("jobs", "logs", "-f", "1")):
        exit_code, output = run_in_terminal(*args)
        assert exit_code == 0
        assert re.search("[\u2801-\u28ff]", output)
        *_, left = re.sub(r"\x1b\[[\d;]*m", "", output).split("loss 1.2500   step 1")
        assert "\x1b[2K" not in left  # nothing is erased behind it


def test_logs_that_are_not_followed_are_lines_on_a_terminal_too(address):
    run_in_terminal(*TUNE, "a")
    _, output = run_in_terminal("jobs", "logs", "1")
    assert "  1/2  loss 1.2500  1,500 tokens/s  3.0 GiB\r\n" in output
    assert "\u2800" not in output


def test_event_files_are_written_without_torch_and_tensorboard(address, tmp_path):
    code = (
        "import sys\n"
        "from honed.client.cli import main\n"
        f"sys.argv = ['hone', *{[*TUNE, 'a']}, '--tensorboard', {str(tmp_path)!r}]\n"
        "try:\n    main()\n"
        "finally:\n    print([m for m in ('torch', 'numpy', 'tensorboardX', 'tensorboard') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"
    assert list(tmp_path.glob("*/*tfevents*"))


def test_a_terminal_gets_the_trained_part_in_colour(address, twin):
    exit_code, output = run_in_terminal("data", "preview", "d", "--model", "m", "--rows", "1")
    assert exit_code == 0
    assert "\x1b[1;32mbug<end>\x1b[0m" in output
    assert "⟦" not in output
    assert "\\x1b[31mhelp" in output


def test_a_terminal_gets_no_control_characters_of_a_model(address):
    exit_code, output = run_in_terminal("run", "exports/e", "a\x1b[2Jb\nc")
    assert exit_code == 0
    assert output == "a\\x1b[2Jb\r\nc\r\n"

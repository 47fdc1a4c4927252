"""The real daemon as a child process, and what tests ask of it from outside."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from honed.client import Client
from honed.client.errors import HonedError, Unavailable

START_TIMEOUT_S = 30
END_TIMEOUT_S = 30
JOB_TIMEOUT_S = 120
T = TypeVar("T")


def wait_for(what: str, look: Callable[[], T], timeout_s: float = 30, pause_s: float = 0.02) -> T:
    """What `look` finds, once it is something; fails after `timeout_s`."""
    until = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < until, f"waited {timeout_s} s in vain: {what}"
        time.sleep(pause_s)
    return found


@contextmanager
def refused(code: str, reason: str) -> Iterator[pytest.ExceptionInfo[HonedError]]:
    """The block ends with the daemon's refusal of this code and reason."""
    with pytest.raises(HonedError) as error:
        yield error
    assert (error.value.code.name, error.value.reason) == (code, reason), error.value


class Daemon:
    """`python -m honed.daemon.main` on a folder of its own; settings are given as HONED_* variables."""

    def __init__(self, *listen: str, stock: Path | None = None, **settings: object) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hd-", dir="/tmp"))  # a socket's path must be short
        self.state = self.folder / "s"
        if stock is not None:
            shutil.copytree(stock, self.state)
        self.address = f"unix:{self.folder / 'sock'}"
        self.listen = (self.address, *listen)
        self.settings = settings
        self.log = self.folder / "log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        listen = [part for address in self.listen for part in ("--listen", address)]
        return [sys.executable, "-m", "honed.daemon.main", "--state-dir", str(self.state), *listen]

    def environment(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HONED_")}
        return clean | {f"HONED_{name.upper()}": str(value) for name, value in self.settings.items()}

    def start(self) -> "Daemon":
        """Starts the daemon and waits until it serves."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_for("the daemon serves", self._serves, START_TIMEOUT_S)
        return self

    def refuse_to_start(self) -> tuple[int, str]:
        """Starts a daemon that is expected to end by itself: its exit status and what it wrote to stderr."""
        ended = subprocess.run(
            self.command(),
            env=self.environment(),
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=START_TIMEOUT_S,
            check=False,
        )
        return ended.returncode, ended.stderr.decode()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signals the daemon and returns its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(END_TIMEOUT_S)

    def close(self) -> None:
        """Ends whatever runs and removes the folder."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(END_TIMEOUT_S)
        wait_for("all children are gone", lambda: not self.children())
        shutil.rmtree(self.folder)

    def client(self, address: str | None = None) -> Client:
        return Client(address or self.address, token_file=self.state / "token")

    def children(self, module: str = "honed.") -> list[int]:
        """Process ids of workers ("honed.worker") and engines ("honed.serve") of this state folder."""
        found: list[int] = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
                except (FileNotFoundError, ProcessLookupError):
                    continue  # it has just ended
                if (
                    any(word.startswith(module) for word in words)
                    and "honed.daemon.main" not in words
                    and any(word.startswith(f"{self.state}/") for word in words)
                ):
                    found.append(int(folder.name))
        return found

    def _serves(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the daemon ended: {self.log.read_text()}"
        if not (self.state / "token").exists():
            return False
        with self.client() as client:
            try:
                client.get_status()
            except Unavailable:
                return False
        return True


def mapped_libraries(pid: int) -> str:
    """Paths of all files that a process has mapped into its memory."""
    return Path(f"/proc/{pid}/maps").read_text()

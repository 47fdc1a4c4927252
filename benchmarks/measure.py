"""What every benchmark says and measures alike: the machine, and the wall clock and memory of a process."""

import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path


def machine(*packages: str) -> str:
    """The CPU, its cores, Python, and the versions of packages."""
    cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    versions = "".join(f", {name} {metadata.version(name)}" for name in packages)
    return f"{cpu.partition(':')[2].strip()}, {cores()} cores, Python {platform.python_version()}{versions}"


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0))


@dataclass
class Peak:
    """Wall clock and memory of a block."""

    seconds: float = 0.0
    bytes: int = 0


@contextmanager
def measured(pid: int) -> Iterator[Peak]:
    """Measures a process with all its children while the block runs.

    Memory is the largest sum of their resident sets, sampled every 50 ms; a page that two of them share counts twice.
    """
    peak, done = Peak(), threading.Event()

    def sample() -> None:
        while not done.wait(0.05):
            peak.bytes = max(peak.bytes, sum(map(resident, family(pid))))

    thread = threading.Thread(target=sample)
    thread.start()
    began = time.monotonic()
    try:
        yield peak
    finally:
        peak.seconds = time.monotonic() - began
        done.set()
        thread.join()


def family(pid: int) -> list[int]:
    """A process and all its descendants; empty once it is gone."""
    try:
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(member for child in children for member in family(child))]


def resident(pid: int) -> int:
    """Bytes of a process in memory; 0 once it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (FileNotFoundError, ProcessLookupError):
        return 0

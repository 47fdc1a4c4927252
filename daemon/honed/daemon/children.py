"""Child processes of the daemon.

They are started with exec in sessions of their own, tied to the daemon by their standard input (`honed.lifeline`),
ended as whole process groups, and given nothing of the daemon's environment that they do not need.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from pathlib import Path

_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "VIRTUAL_ENV")
_STDERR_TAIL_BYTES = 4000


async def spawn(module: str, *arguments: str, stderr: Path, threads: int, stdout: bool = False) -> Process:
    """Starts `python -m module`. The caller must keep the returned process: its stdin is the child's lifeline.

    Args:
        stderr: file that takes the child's standard error.
        threads: CPU threads it should use.
        stdout: whether to read its standard output through a pipe.
    """
    with stderr.open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the working folder is never a place to import from
            "-m",
            module,
            *arguments,
            stdin=PIPE,
            stdout=PIPE if stdout else DEVNULL,
            stderr=log,
            env=environment(threads),
            start_new_session=True,
            umask=0o077,
        )


def environment(threads: int) -> dict[str, str]:
    """The environment of a child that should use so many CPU threads."""
    return {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ} | {
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "true",
        "RAYON_NUM_THREADS": str(threads),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": str(threads),
        # oneDNN keeps 1,024 compiled products, one for every number of tokens: 300 MB. A step needs some thirty.
        "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",
    }


async def end(process: Process, grace_s: float) -> None:
    """Asks a child to end, then kills what is left of its process group, and waits until it is gone."""
    ask_to_end(process)
    try:
        await asyncio.wait_for(process.wait(), grace_s)
    except TimeoutError:
        pass
    finally:
        kill_group(process)
    await process.wait()


def ask_to_end(process: Process) -> None:
    """Sends SIGTERM to a child alone: what it still has to finish may need its own children."""
    with suppress(ProcessLookupError):
        process.terminate()


def kill_group(process: Process) -> None:
    """Kills a child and its own children, whether or not the child itself still runs."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def tail(path: Path) -> str:
    """The end of a child's standard error."""
    if not path.exists():
        return ""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _STDERR_TAIL_BYTES))
        return file.read().decode(errors="replace").strip()


def how_it_ended(process: Process) -> str:
    """A child's end in words."""
    code = process.returncode
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = " (the kernel kills so when memory runs out)" if -code == signal.SIGKILL else ""
        return f"was killed by {name}{hint}"
    return f"ended with exit status {code}"

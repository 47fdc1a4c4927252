"""`python -m honed.worker JOB_DIR`: runs the job whose spec lies in the folder, and reports into it.

Exit status 0 whenever a result or a failure was reported; anything else is a defect or a kill, and the supervisor says
how the worker died.
"""

import errno
import os
import resource
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from honed.errors import HonedError, NoRoom
from honed.lifeline import die_with_parent
from honed.worker.contract import OUTPUT_FOLDER, Limits, read_spec
from honed.worker.report import Report

_NICENESS = 5  # beside an engine that wants as much, a worker gets a quarter
_AUTOGROUP = Path("/proc/self/autogroup")


def main() -> int:
    """Runs one job."""
    die_with_parent()
    folder = Path(sys.argv[1])
    work, limits = read_spec(folder)
    _apply(limits)
    if not work.awaited:
        _give_way()
    report = Report(folder)
    output = folder / OUTPUT_FOLDER
    output.mkdir()
    try:
        handler = import_module(f"honed.worker.{work.kind}")  # one module a kind: a parser never loads torch
        report.result(handler.run(work, output, report))
    except HonedError as error:
        report.failure(error)
    except MemoryError:
        report.failure(_out_of_memory(limits))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        report.failure(NoRoom(f"The disk is full: {error}", reason="DISK_FULL"))
    except RuntimeError as error:
        if "allocate memory" not in str(error) and "out of memory" not in str(error):
            raise
        report.failure(_out_of_memory(limits))
    return 0


def _give_way() -> None:
    """Lowers the priority of this process, and of what it starts: engines, which answer people, come first."""
    os.nice(_NICENESS)
    # Where sessions are groups of their own to the scheduler, a nice value counts within the session alone; this is the
    # group's (sched(7)).
    with suppress(OSError):  # no such kernel, or an unprivileged process asks too often
        _AUTOGROUP.write_text(str(_NICENESS), "ascii")


def _apply(limits: Limits) -> None:
    if limits.cpu_s is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s))
    if limits.memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))


def _out_of_memory(limits: Limits) -> NoRoom:
    if limits.memory_bytes is not None:
        return NoRoom(
            f"Parsing took more than the {limits.memory_bytes:,} bytes that it may use (ingest_memory_bytes). "
            "Split the table, or raise the limit.",
            reason="MEMORY_EXCEEDED",
            device_bytes=limits.memory_bytes,
        )
    pages, page_bytes = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return NoRoom(
        "The job ran out of memory. Use a smaller batch, shorter rows, or a machine with more memory.",
        reason="MEMORY_EXCEEDED",
        device_bytes=pages * page_bytes,
    )


if __name__ == "__main__":
    sys.exit(main())

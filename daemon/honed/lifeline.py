"""A child of the daemon never outlives it: its standard input is a pipe that the daemon holds open and never closes.

The kernel closes the pipe when the daemon ends, however it ends; the child then kills its whole process group (it was
started in a session of its own), so its own children go too.
"""

import os
import signal
import threading


def die_with_parent() -> None:
    """Starts the watch; call it once, first thing in a child whose standard input is the daemon's pipe."""
    threading.Thread(target=_watch, name="lifeline", daemon=True).start()


def _watch() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)

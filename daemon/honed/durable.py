"""Files that survive a power cut whole or not at all. Standard library only."""

import os
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Writes a file under another name, flushes it, and moves it to its place."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text, "utf-8")
    sync(unfinished)
    unfinished.rename(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Flushes a file or folder to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

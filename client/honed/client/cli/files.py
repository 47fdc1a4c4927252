"""Files that a command writes: whole or not at all."""

import os
from collections.abc import Iterable
from pathlib import Path

import typer


def write_whole(path: Path, pieces: Iterable[bytes]) -> None:
    """Writes a file under another name and moves it to its place, in place of what is there.

    Raises:
        OSError: The folder does not exist, or there is no room.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            file.writelines(pieces)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def in_a_folder(path: Path | None) -> Path | None:
    """Refuses a file that cannot be written: after an hour's job is too late.

    Raises:
        typer.BadParameter: There is no such folder, or it may not be written to.
    """
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"the folder {path.parent} does not exist")
    if path is not None and not os.access(path.parent, os.W_OK):
        raise typer.BadParameter(f"the folder {path.parent} may not be written to")
    return path

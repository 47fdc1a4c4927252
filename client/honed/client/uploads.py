"""Files of this machine -> request streams of UploadDataset and UploadModel, a piece at a time.

Files are checked before the first message and never held whole in memory. Which files a model may consist of is the
server's decision: everything but read-me's and hidden files is sent, so that a pickle or a Python file is refused by
name and not left out in silence.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from honed.client.errors import InvalidArgument
from honed.v1.datasets_pb2 import UploadDatasetHeader, UploadDatasetRequest
from honed.v1.models_pb2 import FileChunk, UploadModelHeader, UploadModelRequest

PIECE_BYTES: Final = 1 << 20  # a quarter of what the contract allows

FilePath = str | os.PathLike[str]
OnBytes = Callable[[int], None]


def dataset_stream(
    header: UploadDatasetHeader, train: FilePath, test: FilePath | None, on_bytes: OnBytes | None = None
) -> Iterator[UploadDatasetRequest]:
    """The messages of UploadDataset: the header, the training table, the test table if there is one.

    `on_bytes` is told the length of each piece once it has been handed to the connection.

    Raises:
        OSError: A file does not exist or cannot be read.
    """
    header.total_bytes = _total_bytes([Path(path) for path in (train, test) if path is not None])

    def messages() -> Iterator[UploadDatasetRequest]:
        yield UploadDatasetRequest(header=header)
        for piece in _pieces(Path(train), on_bytes):
            yield UploadDatasetRequest(train_data=piece)
        if test is not None:
            for piece in _pieces(Path(test), on_bytes):
                yield UploadDatasetRequest(test_data=piece)

    return messages()


def model_stream(
    header: UploadModelHeader, path: FilePath, on_bytes: OnBytes | None = None
) -> Iterator[UploadModelRequest]:
    """The messages of UploadModel: the header, then the files of `model_files(path)` in turn.

    `on_bytes` is told the length of each piece once it has been handed to the connection.

    Raises:
        InvalidArgument: The folder holds sub-folders, or nothing to send.
        OSError: A file does not exist or cannot be read.
    """
    files = model_files(path)
    header.total_bytes = _total_bytes(files)

    def messages() -> Iterator[UploadModelRequest]:
        yield UploadModelRequest(header=header)
        for file in files:
            for piece in _pieces(file, on_bytes):
                yield UploadModelRequest(chunk=FileChunk(file_name=file.name, data=piece))

    return messages()


def model_files(path: FilePath) -> list[Path]:
    """The files that make up a model: a GGUF file itself, or what lies directly in a folder, sorted by name.

    Hidden entries, README*, LICENSE* and *.md are left out; they say nothing about the model.

    Raises:
        InvalidArgument: The folder holds sub-folders, something that is no regular file, or nothing to send.
        OSError: The path does not exist or cannot be read.
    """
    root = Path(path)
    if not root.is_dir():
        return [root]
    entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
    if strange := [entry.name for entry in entries if not entry.is_file()]:
        raise InvalidArgument(
            f"{root} must hold the model's files and nothing else; remove these folders: {', '.join(strange)}"
        )
    files = [entry for entry in entries if not _is_prose(entry.name)]
    if not files:
        raise InvalidArgument(f"{root} holds no model: expected .safetensors files with their config.json")
    return files


def _is_prose(name: str) -> bool:
    return name.startswith(("README", "LICENSE")) or name.endswith(".md")


def _total_bytes(files: Sequence[Path]) -> int:
    """The size of all files. Each is opened: an error in the middle of a stream would look like a broken call."""
    total = 0
    for file in files:
        with file.open("rb") as opened:
            total += os.fstat(opened.fileno()).st_size
    return total


def _pieces(file: Path, on_bytes: OnBytes | None) -> Iterator[bytes]:
    """The file's bytes in order; an empty file is one empty piece, so that its name arrives."""
    with file.open("rb") as source:
        piece = source.read(PIECE_BYTES)
        while True:
            yield piece
            if on_bytes is not None:
                on_bytes(len(piece))
            piece = source.read(PIECE_BYTES)
            if not piece:
                return

"""manifest.json: the SHA-256 of every file of a folder, and one digest over them all. Standard library only."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from honed.errors import InvalidInput

MANIFEST_FILE = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """SHA-256 (hex) by file name, relative to the folder, and the bytes of all files."""

    files: dict[str, str]
    size_bytes: int

    @property
    def digest(self) -> str:
        """SHA-256 over names and digests, in the order of the names."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self.files.items()))
        return hashlib.sha256(lines.encode()).hexdigest()


def measure(folder: Path) -> Manifest:
    """The manifest of what is in the folder now, manifest.json itself left out."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_FILE)
    files = {path.relative_to(folder).as_posix(): file_sha256(path) for path in paths}
    return Manifest(files, sum(path.stat().st_size for path in paths))


def write(folder: Path) -> Manifest:
    """Measures the folder and writes manifest.json into it."""
    manifest = measure(folder)
    (folder / MANIFEST_FILE).write_text(json.dumps({"files": manifest.files}, indent=1, sort_keys=True), "utf-8")
    return manifest


def verify(folder: Path) -> None:
    """Checks every file against manifest.json.

    Raises:
        InvalidInput: a file was changed, added or removed; the error names it.
    """
    expected: dict[str, str] = json.loads((folder / MANIFEST_FILE).read_text("utf-8"))["files"]
    found = measure(folder).files
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise InvalidInput(
            f"{', '.join(wrong[:5])} of this artefact differ from its manifest: the folder was changed after it was "
            "published. Make the artefact again.",
            reason="DIGEST_MISMATCH",
            files=",".join(wrong[:100]),
        )


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

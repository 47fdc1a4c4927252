import hashlib
import json

import pytest
from honed import manifest
from honed.errors import InvalidInput


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "b.txt").write_bytes(b"two")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "ä.bin").write_bytes(b"\0" * 1000)
    return tmp_path


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def test_a_manifest_lists_every_file_with_its_digest(folder):
    made = manifest.write(folder)
    assert made.files == {"a/ä.bin": sha256(b"\0" * 1000), "b.txt": sha256(b"two")}
    assert made.size_bytes == 1003
    assert json.loads((folder / manifest.MANIFEST_FILE).read_text()) == {"files": made.files}


def test_the_digest_is_that_of_sha256sums_lines_in_the_order_of_the_names(folder):
    lines = f"{sha256(bytes(1000))}  a/ä.bin\n{sha256(b'two')}  b.txt\n"
    made = manifest.write(folder)
    assert made.digest == sha256(lines.encode())
    assert manifest.Manifest(dict(reversed(made.files.items())), 0).digest == made.digest


def test_an_untouched_folder_is_verified_and_measured_alike_again(folder):
    made = manifest.write(folder)
    manifest.verify(folder)
    assert manifest.measure(folder) == made


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (lambda folder: (folder / "b.txt").write_bytes(b"Two"), "b.txt"),
        (lambda folder: (folder / "b.txt").unlink(), "b.txt"),
        (lambda folder: (folder / "new").write_bytes(b""), "new"),
        (lambda folder: (folder / "b.txt").rename(folder / "c.txt"), "b.txt,c.txt"),
    ],
    ids=["changed", "removed", "added", "renamed"],
)
def test_a_folder_that_was_touched_is_refused_by_file(folder, spoil, name):
    manifest.write(folder)
    spoil(folder)
    with pytest.raises(InvalidInput) as caught:
        manifest.verify(folder)
    assert caught.value.reason == "DIGEST_MISMATCH"
    assert caught.value.metadata["files"] == name

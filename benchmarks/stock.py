"""What benchmarks need made before they can start, made once: a daemon's state folder with the base and the data.

The base is that of `make demo`. A data set's name has a digest of its tables, so that a changed table makes a new one.
"""

import csv
import hashlib
import random
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
STATE = ROOT / "build" / "bench" / "state"
BASE = "smollm2"
sys.path.insert(0, str(ROOT / "examples"))


@contextmanager
def daemon(state: Path = STATE) -> Iterator[Any]:
    """A client of a daemon on a state folder that stays, the base imported. SIGTERM ends the daemon too."""
    from demo import model_file, running_daemon

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    state.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hb-") as scratch:
        (Path(scratch) / "state").symlink_to(
            state.resolve()
        )  # the socket's path stays short, and no old one lies there
        with running_daemon(Path(scratch)) as client:
            if not any(model.name == f"models/{BASE}" for model in client.list_models()):
                print("importing the base, once", flush=True)
                client.wait_job(client.upload_model(BASE, str(model_file())).name)
            yield client


def dataset(client, name: str, train: Path, test: Path, text: str, label: str):
    """The data set of these tables, made if it is not there yet."""
    digest = hashlib.sha256(train.read_bytes() + test.read_bytes()).hexdigest()[:12]
    known = {each.name: each for each in client.list_datasets()}
    found = known.get(f"datasets/{name}-{digest}")
    if found is None:
        found = client.upload_dataset(
            f"{name}-{digest}", train, test=test, text_column=text, label_column=label, model=BASE
        )
    return found


def model_folder(state: Path = STATE) -> Path:
    """Where the base was imported to."""
    (folder,) = (state / "models").iterdir()
    return folder


def dataset_folder(digest: str, state: Path = STATE) -> Path:
    """Where the data set with this digest was prepared."""
    from honed.data import Prepared

    return next(folder for folder in (state / "datasets").iterdir() if Prepared.load(folder).digest == digest)


def banking77_12(shared: Path, folder: Path) -> tuple[Path, Path]:
    """Writes the fixed subset of Banking77 (shared/data/README.md): its training and test tables.

    The first 12 intents in alphabetical order; 40 training messages of each, drawn intent by intent with
    `random.Random(0).sample`; all their test messages.
    """
    train, test = (_rows(shared / "banking77" / f"{split}.csv") for split in ("train", "test"))
    intents = sorted({row["category"] for row in train})[:12]
    draw = random.Random(0)
    drawn = [row for intent in intents for row in draw.sample([row for row in train if row["category"] == intent], 40)]
    kept = [row for row in test if row["category"] in intents]
    return write_table(folder / "train.csv", drawn), write_table(folder / "test.csv", kept)


def write_table(path: Path, rows: Sequence[dict[str, str]]) -> Path:
    """Writes rows as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))

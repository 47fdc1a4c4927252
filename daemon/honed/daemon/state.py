"""The state folder: one owner by flock, mode 0700, the access token, and where things are."""

import fcntl
import os
import secrets
import shutil
from pathlib import Path

from honed.durable import sync
from honed.errors import AlreadyExists, InvalidInput, NoRoom
from honed.worker.contract import CHECKPOINTS_FOLDER

PUBLISHED = ("models", "datasets", "adapters", "exports", "reports")
MAX_PATH_BYTES = 85


class StateFolder:
    """An owned state folder. Release it with `close`."""

    def __init__(self, path: Path, min_free_bytes: int) -> None:
        """Creates the folder if need be and takes ownership.

        Raises:
            InvalidInput: its path is too long for sockets inside it, or it cannot be made or written.
            AlreadyExists: another daemon owns it.
        """
        self.path = path.resolve()
        if len(os.fsencode(self.path)) > MAX_PATH_BYTES:
            raise InvalidInput(
                f"The path of the state folder has {len(os.fsencode(self.path))} bytes; at most {MAX_PATH_BYTES} are "
                "allowed, since the UNIX sockets inside it may have 107.",
                reason="STATE_FOLDER_INVALID",
            )
        self._min_free_bytes = min_free_bytes
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise InvalidInput(
                f"The state folder {self.path} cannot be used: {error.strerror}.", reason="STATE_FOLDER_INVALID"
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise AlreadyExists(
                f"Another honed owns the state folder {self.path}; stop it, or give another --state-dir.",
                reason="STATE_FOLDER_IN_USE",
            ) from None
        shutil.rmtree(self.run_folder(), ignore_errors=True)  # sockets of engines that are gone
        for name in ("run", "jobs", "uploads", *PUBLISHED):
            (self.path / name).mkdir(mode=0o700, exist_ok=True)

    @property
    def database(self) -> Path:
        return self.path / "honed.db"

    def token(self) -> str:
        """The access token, made at first start (0600)."""
        file = self.path / "token"
        if not file.exists():
            write_private(file, secrets.token_urlsafe(32) + "\n")
        return file.read_text("ascii").strip()

    @property
    def uploads(self) -> Path:
        """Folder of files that arrived and wait for their job; kept over a restart, like the queue."""
        return self.path / "uploads"

    def new_upload(self) -> Path:
        """An empty folder for files that arrive."""
        self.require_room()
        folder = self.uploads / secrets.token_hex(8)
        folder.mkdir(mode=0o700)
        return folder

    def job_folder(self, job_id: str) -> Path:
        """Folder of a live job; its checkpoints are kept over attempts and restarts, and after it has failed."""
        return self.path / "jobs" / job_id

    def clear_job_folder(self, job_id: str) -> Path:
        """Makes a job's folder, or empties it of all but its checkpoints (blocking); returns it."""
        folder = self.job_folder(job_id)
        folder.mkdir(mode=0o700, exist_ok=True)
        for entry in folder.iterdir():
            if entry.is_symlink() or not entry.is_dir():
                entry.unlink()
            elif entry.name != CHECKPOINTS_FOLDER:
                shutil.rmtree(entry, ignore_errors=True)
        return folder

    def leave_checkpoints(self, job_id: str) -> None:
        """Removes all that a failed job has left but its checkpoints, each a folder, if it has any (blocking)."""
        checkpoints = self.job_folder(job_id) / CHECKPOINTS_FOLDER
        if checkpoints.is_dir() and any(entry.is_dir() for entry in checkpoints.iterdir()):
            self.clear_job_folder(job_id)
        else:
            self.remove_job_folder(job_id)

    def remove_job_folder(self, job_id: str) -> None:
        """Removes all that a job has left (blocking)."""
        shutil.rmtree(self.job_folder(job_id), ignore_errors=True)

    def run_folder(self) -> Path:
        """Folder of the engines' sockets."""
        return self.path / "run"

    def free_bytes(self) -> int:
        """Free bytes on the disk of the state folder."""
        return shutil.disk_usage(self.path).free

    def require_room(self, needed_bytes: int = 0) -> None:
        """Raises NoRoom if the disk could not take `needed_bytes` and keep its reserve."""
        free = self.free_bytes()
        if free < needed_bytes + self._min_free_bytes:
            raise NoRoom(
                f"The disk of the state folder has {free:,} bytes free; {needed_bytes:,} are needed and "
                f"{self._min_free_bytes:,} stay in reserve (min_free_bytes). Delete what is not needed.",
                reason="DISK_FULL",
                free_bytes=free,
                needed_bytes=needed_bytes,
                reserve_bytes=self._min_free_bytes,
            )

    def publish(self, source: Path, place: str) -> None:
        """Moves a finished folder to its place for good, a path below the state folder."""
        for path in (*source.rglob("*"), source):
            sync(path)
        source.rename(self.path / place)
        sync((self.path / place).parent)

    def remove_unknown(self, places: set[str], uploads: set[str], jobs: set[str], failed: set[str]) -> None:
        """Removes what a crash left behind.

        Args:
            places: published folders that the database knows.
            uploads: paths of uploads that wait for their job.
            jobs: ids of live jobs.
            failed: ids of failed jobs.
        """
        for collection in PUBLISHED:
            for folder in (self.path / collection).iterdir():
                if f"{collection}/{folder.name}" not in places:
                    shutil.rmtree(folder, ignore_errors=True)
        for folder in self.uploads.iterdir():
            if str(folder) not in uploads:
                shutil.rmtree(folder, ignore_errors=True)
        for folder in (self.path / "jobs").iterdir():
            if folder.name in failed:
                self.leave_checkpoints(folder.name)
            elif folder.name not in jobs:
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        os.close(self._lock)


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner can read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
    sync(path.parent)

"""Appends a worker's events to events.jsonl."""

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from honed.errors import Failure, HonedError
from honed.worker.contract import EVENTS_FILE, Event, now

_QUIET_S = 0.5


class Report:
    """Writes events, numbered from 1, each line flushed whole."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / EVENTS_FILE).open("ab", buffering=0)
        self._sequence = 0

    def phase(self, name: str) -> None:
        """Enters a phase."""
        self._write("phase", {"phase": name})

    def progress(self, **fields: Any) -> None:
        """Fields of honed.v1.Progress; `eta_s` in seconds."""
        self._write("progress", {name: value for name, value in fields.items() if value is not None})

    def log(self, text: str) -> None:
        """A line for people."""
        self._write("log", {"text": text})

    def evaluation(self, summary: dict[str, Any]) -> None:
        """What a subject got: the fields of honed.v1.Evaluation."""
        self._write("evaluation", summary)

    def trial(self, trial: dict[str, Any]) -> None:
        """How a trial of a sweep ended: the fields of honed.v1.Trial."""
        self._write("trial", trial)

    def result(self, result: dict[str, Any]) -> None:
        """What was made: for each output folder its digest, size_bytes and facts."""
        self._write("result", result)

    def failure(self, error: HonedError) -> None:
        """Why nothing was made."""
        self._write("failure", asdict(Failure.of(error)))

    def rows(self) -> Callable[[int, int], None]:
        """A progress callback for rows done, at most twice a second, with the time left."""
        began = last = time.monotonic()

        def tell(done: int, total: int) -> None:
            nonlocal last
            moment = time.monotonic()
            if done == total or moment - last >= _QUIET_S:
                last = moment
                self.progress(step=done, total_steps=total, eta_s=(moment - began) / done * (total - done))

        return tell

    def _write(
        self,
        kind: Literal["phase", "progress", "log", "evaluation", "trial", "result", "failure"],
        data: dict[str, Any],
    ) -> None:
        self._sequence += 1
        self._file.write(Event(self._sequence, now(), kind, data).to_line())

"""Settings: a TOML file, then HONED_* from the environment, then flags; every mistake is reported at once."""

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from honed.errors import InvalidInput

ENVIRONMENT_PREFIX = "HONED_"
# Read by the client, or by us elsewhere; not settings of the daemon.
_OTHER_VARIABLES = frozenset({"HONED_ADDRESS", "HONED_TOKEN", "HONED_TOKEN_FILE"})


@dataclass(frozen=True)
class Config:
    """All settings of the daemon.

    Attributes:
        state_dir: folder of everything honed keeps.
        listen: addresses, `unix:PATH` or `HOST:PORT` with a loopback host.
        import_roots: folders below which ImportModel may read.
        threads: CPU threads of a worker or engine; 0 means all cores.
        max_queued_jobs: jobs that may wait before further ones are refused.
        max_engines: engines that may run at once; the idle one unused for longest makes room.
        engine_keep_alive_s: seconds after which an idle engine ends.
        kv_cache_bytes: upper bound of an engine's key/value cache.
        max_dataset_bytes: largest table that may be uploaded.
        max_model_bytes: largest model that may be uploaded.
        min_free_bytes: free disk below which nothing new is accepted.
        ingest_memory_bytes: memory of the worker that parses a table.
        ingest_timeout_s: seconds that parsing a table may take.
        tune_memory_bytes: memory that a tuning may use; 0 for what the machine has free.
        checkpoint_every_s: seconds between checkpoints of a tuning; 0 for one after every step.
    """

    state_dir: str = ""
    listen: tuple[str, ...] = ()
    import_roots: tuple[str, ...] = ()
    threads: int = 0
    max_queued_jobs: int = 100
    max_engines: int = 2
    engine_keep_alive_s: int = 600
    kv_cache_bytes: int = 2 << 30
    max_dataset_bytes: int = 256 << 20
    max_model_bytes: int = 64 << 30
    min_free_bytes: int = 256 << 20
    ingest_memory_bytes: int = 4 << 30
    ingest_timeout_s: int = 300
    tune_memory_bytes: int = 0
    checkpoint_every_s: int = 30

    @property
    def cpu_threads(self) -> int:
        """Threads of a worker or engine."""
        return self.threads or len(os.sched_getaffinity(0))


@dataclass
class _Reader:
    """Collects values and what is wrong with them."""

    values: dict[str, Any] = field(default_factory=dict[str, Any])
    mistakes: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def take(self, source: str, key: str, value: object) -> None:
        known = {setting.name: setting.default for setting in fields(Config)}
        if key not in known:
            self.mistakes.append((source, f"unknown setting; known are {', '.join(known)}"))
        elif isinstance(known[key], int):
            try:
                number = int(value) if isinstance(value, str) else value
            except ValueError:
                number = None
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                self.mistakes.append((source, f"expected a whole number of 0 or more, found {value!r}"))
            else:
                self.values[key] = number
        elif isinstance(known[key], tuple):
            parts = value.split(",") if isinstance(value, str) else value
            if not isinstance(parts, list | tuple) or not all(
                isinstance(part, str) for part in cast("list[Any]", parts)
            ):
                self.mistakes.append((source, f"expected a list of strings, found {value!r}"))
            else:
                self.values[key] = tuple(part.strip() for part in cast("list[str]", parts) if part.strip())
        elif isinstance(value, str):
            self.values[key] = value
        else:
            self.mistakes.append((source, f"expected a string, found {value!r}"))


def load_config(file: Path | None, environment: Mapping[str, str], flags: Mapping[str, object]) -> Config:
    """Settings from all sources, the later one winning.

    Raises:
        InvalidInput: anything is wrong; `violations` lists every mistake with its source.
    """
    reader = _Reader()
    if file is not None:
        try:
            table = tomllib.loads(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidInput(f"{file}: {error}", reason="CONFIG_INVALID") from None
        for key, value in table.items():
            reader.take(f"{file}: {key}", key, value)
    for variable, value in sorted(environment.items()):
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in _OTHER_VARIABLES:
            reader.take(variable, variable.removeprefix(ENVIRONMENT_PREFIX).lower(), value)
    for key, value in flags.items():
        if value:
            reader.take(f"--{key.replace('_', '-')}", key, value)
    config = Config(**reader.values)
    mistakes = [*reader.mistakes, *_check(config)]
    if mistakes:
        raise InvalidInput(
            "The settings have mistakes: " + "; ".join(f"{source}: {what}" for source, what in mistakes),
            reason="CONFIG_INVALID",
            violations=tuple(mistakes),
        )
    return config


def _check(config: Config) -> list[tuple[str, str]]:
    mistakes: list[tuple[str, str]] = []
    if not config.state_dir:
        mistakes.append(("state_dir", "missing; give --state-dir DIR"))
    if not config.listen:
        mistakes.append(("listen", "missing; give --listen unix:PATH or --listen 127.0.0.1:PORT"))
    problems = ((address, _address_problem(address)) for address in config.listen)
    return mistakes + [(f"listen {address}", problem) for address, problem in problems if problem]


def _address_problem(address: str) -> str | None:
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        if not path:
            return "expected unix:PATH"
        return "the path of a UNIX socket may have 107 bytes at most" if len(os.fsencode(path)) > 107 else None
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        return "expected unix:PATH or HOST:PORT"
    if host == "localhost":
        return None
    try:
        loopback = ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return "the host must be an IP address or localhost"
    return None if loopback else "only loopback addresses are allowed: without TLS the token would travel in the clear"

"""The console script `honed`."""

import argparse
import asyncio
import logging
import os
import sys
from importlib import metadata
from pathlib import Path

from honed.daemon.config import load_config
from honed.errors import AlreadyExists, HonedError, InvalidInput, Unavailable

# As the client's: 2 usage, 5 unavailable.
_EXIT_CODES = ((InvalidInput, 2), (AlreadyExists, 5), (Unavailable, 5))


def main() -> int:
    """Runs the daemon until it is told to stop; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="honed", description="Fine-tunes, proves and serves language models where the data lives."
    )
    parser.add_argument("--state-dir", metavar="DIR", help="folder of everything honed keeps (created, mode 0700)")
    parser.add_argument(
        "--listen", metavar="ADDRESS", action="append", help="unix:PATH or 127.0.0.1:PORT; may be given again"
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="TOML file with the settings")
    parser.add_argument("--version", action="version", version=f"honed {metadata.version('honed')}")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        flags = {"state_dir": arguments.state_dir, "listen": arguments.listen}
        config = load_config(arguments.config, os.environ, flags)
        from honed.daemon.app import serve  # noqa: PLC0415 - a usage error should not wait for grpc

        asyncio.run(serve(config))
    except HonedError as error:
        print(f"honed: {error.message}", file=sys.stderr)
        return next((code for error_type, code in _EXIT_CODES if isinstance(error, error_type)), 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())

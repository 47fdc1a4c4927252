"""The `hone` command line: `honed.client` for people and shell scripts.

Data goes to stdout, everything else to stderr. Modules here import gRPC, protobuf and rich inside the commands that
need them: `hone --help` answers at once.
"""

__all__ = ["main"]


def main() -> None:
    """Runs the command line; the console script `hone`."""
    from honed.client.cli.app import app  # noqa: PLC0415  - typer too waits until somebody types a command

    app()

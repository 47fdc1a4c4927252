"""`hone models`: base models."""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from pathlib import Path
from typing import Annotated

import typer
from honed.client.cli.options import AsJson, NoWait, pairs
from honed.client.cli.output import note
from honed.client.cli.progress import present, settle, upload_bar
from honed.client.cli.session import session
from honed.client.cli.values import moment, size

app = typer.Typer(no_args_is_help=True, help="Bring base models in and keep them.")

Name = Annotated[str, typer.Argument(metavar="MODEL", help="ID or models/ID.")]


@app.command("import")
def import_(
    ctx: typer.Context,
    model_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the new model.")],
    path: Annotated[str, typer.Argument(metavar="PATH", help="A GGUF file or a Hugging Face safetensors folder.")],
    *,
    sha256: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE=HEX", help="SHA-256 that a file must have on arrival; may be repeated."),
    ] = None,
    server_path: Annotated[
        bool, typer.Option("--server-path", help="PATH is on the daemon's machine, below one of its import roots.")
    ] = False,
    no_wait: NoWait = False,
    as_json: AsJson = False,
) -> None:
    """Import a base model.

    It is uploaded from here, or taken from a path on the daemon's machine.
    """
    expected = pairs("--sha256", "FILE=HEX", sha256)
    if server_path and expected:
        raise typer.BadParameter("digests are checked on upload; they do not go with --server-path")
    if not server_path and not Path(path).exists():
        raise typer.BadParameter(f"{path} does not exist here; with --server-path it is looked up by the daemon")
    with session(ctx, as_json) as (client, out):
        if server_path:
            job = client.import_model(model_id, path)
        else:
            from honed.client.uploads import model_files

            with upload_bar(sum(file.stat().st_size for file in model_files(path))) as advance:
                job = client.upload_model(model_id, path, expected, on_bytes=advance)
        if done := settle(client, out, job, wait=not no_wait):
            present(client, out, done)


@app.command("ls")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List models, the newest first."""
    with session(ctx, as_json) as (client, out):
        out.listing(
            client.list_models(),
            {
                "NAME": lambda model: model.name,
                "ARCHITECTURE": lambda model: model.architecture,
                "PARAMETERS": lambda model: f"{model.parameters:,}",
                "CONTEXT": lambda model: str(model.context_length),
                "FORMAT": lambda model: model.source_format,
                "SIZE": lambda model: size(model.size_bytes),
                "CREATED": lambda model: moment(model.create_time),
            },
        )


@app.command("show")
def show(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show one model."""
    with session(ctx, as_json) as (client, out):
        out.record(client.get_model(name))


@app.command("rm")
def remove(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Delete a model that nothing uses."""
    with session(ctx, as_json) as (client, _):
        client.delete_model(name)
        note(f"deleted {name}")

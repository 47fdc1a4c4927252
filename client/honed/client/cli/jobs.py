"""`hone jobs`: what the daemon does and has done."""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated, Final

import typer
from honed.client.cli.event_file import event_file
from honed.client.cli.options import AsJson, TensorBoard
from honed.client.cli.output import Output, note
from honed.client.cli.progress import describe, events_to_stop, picture, present, settle
from honed.client.cli.session import session
from honed.client.cli.values import job_state, moment

if TYPE_CHECKING:
    from honed.client import Connection
    from honed.v1.jobs_pb2 import Job, JobEvent

app = typer.Typer(no_args_is_help=True, help="Watch, pause, cancel and clear away jobs.")

Name = Annotated[str, typer.Argument(metavar="JOB", help="ID or jobs/ID.")]

_QUIET_S: Final = 1.0


@app.command("ls")
def list_(ctx: typer.Context, as_json: AsJson = False) -> None:
    """List jobs, the newest first."""
    with session(ctx, as_json) as (client, out):
        out.listing(
            client.list_jobs(),
            {
                "NAME": lambda job: job.name,
                "KIND": lambda job: (job.WhichOneof("spec") or "").removesuffix("_model"),
                "STATE": lambda job: job_state(job.state),
                "PHASE": lambda job: job.phase,
                "STEPS": _steps,
                "RESULT": lambda job: job.result,
                "CREATED": lambda job: moment(job.create_time),
            },
        )


@app.command("show")
def show(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Show one job."""
    with session(ctx, as_json) as (client, out):
        out.record(client.get_job(name))


@app.command("logs")
def logs(
    ctx: typer.Context,
    name: Name,
    to_end: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job has ended or is paused.")] = False,
    tensorboard: TensorBoard = None,
    as_json: AsJson = False,
) -> None:
    """Print what has happened to a job, a line an event; with -f on a terminal the training as a curve."""
    with session(ctx, as_json) as (client, out):
        drawn = to_end and not out.as_json and sys.stdout.isatty()

        def plain(event: JobEvent) -> None:
            out.item(event, _line(event))

        view = picture(_line, stderr=False) if drawn else nullcontext(plain)
        with view as show, event_file(tensorboard, name) as write:

            def take(event: JobEvent) -> None:
                show(event)
                write(event)

            if to_end:
                for event in events_to_stop(client, name):
                    take(event)
            else:
                import asyncio

                asyncio.run(_replay(client.connection, name, take))


@app.command("wait")
def wait(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Follow a job to its end; exit with 7 if it fails. A paused job is not waited for."""
    with session(ctx, as_json) as (client, out):
        if job := settle(client, out, client.get_job(name), wait=True):
            present(client, out, job)


@app.command("cancel")
def cancel(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Cancel a job: at once while it waits or is paused, within one step while it runs."""
    with session(ctx, as_json) as (client, out):
        _print_state(out, client.cancel_job(name))


@app.command("pause")
def pause(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Pause a job and free its memory.

    A tuning finishes its step and writes a checkpoint, from which it goes on when it is resumed. Other jobs start over.
    """
    with session(ctx, as_json) as (client, out):
        _print_state(out, client.pause_job(name))


@app.command("resume")
def resume(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Put a paused job back into the queue, at its old place."""
    with session(ctx, as_json) as (client, out):
        _print_state(out, client.resume_job(name))


@app.command("rm")
def remove(ctx: typer.Context, name: Name, as_json: AsJson = False) -> None:
    """Delete a finished job with its events."""
    with session(ctx, as_json) as (client, _):
        client.delete_job(name)
        note(f"deleted {name}")


def _steps(job: Job) -> str:
    return f"{job.progress.step}/{job.progress.total_steps}" if job.HasField("progress") else ""


def _print_state(out: Output, job: Job) -> None:
    out.item(job, f"{job.name} {job_state(job.state)}")


def _line(event: JobEvent) -> str:
    return f"{moment(event.time)}  {describe(event)}"


async def _replay(connection: Connection, name: str, show: Callable[[JobEvent], None]) -> None:
    """Shows the events so far. WatchJob does not say where the replay ends, so a second of silence is taken for it."""
    import asyncio

    from honed.client import AsyncClient

    async with AsyncClient(connection.address, token=connection.token) as client:
        events = client.watch_job(name)
        try:
            while True:
                async with asyncio.timeout(_QUIET_S):
                    event = await anext(events)
                show(event)
        except (StopAsyncIteration, TimeoutError):
            return

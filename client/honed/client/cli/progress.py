"""Following a job and an upload on stderr: a bar on a terminal, plain lines elsewhere."""
# ruff: noqa: PLC0415  - heavy imports wait for the command that needs them

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

import typer
from honed.client.cli.evaluations import evaluation_columns, evaluation_text
from honed.client.cli.output import Output, note
from honed.client.cli.reports import summary_text
from honed.client.cli.session import INTERRUPTED
from honed.client.cli.trials import TRIAL_COLUMNS, trial_text
from honed.client.cli.values import duration, job_state, visible

if TYPE_CHECKING:
    from honed.client import Client
    from honed.v1.jobs_pb2 import Job, JobEvent
    from honed.v1.types_pb2 import Progress

    ShowEvent = Callable[[JobEvent], None]


def settle(client: Client, out: Output, job: Job, *, wait: bool) -> Job | None:
    """Follows a job to its end, or, without `wait`, prints its name and returns None, as it does of one that is paused.

    Raises:
        JobFailed: The job ended FAILED or CANCELLED.
        typer.Exit: With 130, on Ctrl-C; the job goes on.
    """
    if wait:
        job = _follow(client, job.name)
        if job.state == job.STATE_SUCCEEDED:
            return job
    else:
        note(f"queued; follow it with: hone jobs wait {_id(job.name)}")
    if out.as_json:
        out.record(job)
    else:
        print(job.name)
    return None


def events_to_stop(client: Client, name: str) -> Generator[JobEvent]:
    """A job's events until it has ended or stands paused, which a note tells.

    A pause that the job has left behind is not the end: that one is taken for the last in which the job is paused and
    has been started no more often than its events have said.
    """
    from honed.v1.jobs_pb2 import Job

    starts = 0
    for event in client.watch_job(name):
        yield event
        if event.WhichOneof("event") != "state":
            continue
        starts += event.state == Job.STATE_RUNNING
        if event.state == Job.STATE_PAUSED:
            job = client.get_job(name)
            if job.state == Job.STATE_PAUSED and job.attempt == starts:
                note(f"paused; hone jobs resume {_id(job.name)} goes on")
                return


def _follow(client: Client, name: str) -> Job:
    """Follows a job until it has succeeded or stands paused, and returns it. Raises as `settle`."""
    from honed.client import JobFailed

    try:
        with progress_view() as show:
            for event in events_to_stop(client, name):
                show(event)
        job = client.get_job(name)
    except KeyboardInterrupt:
        note(f"\n{name} goes on. Follow it: hone jobs wait {_id(name)}. Cancel it: hone jobs cancel {_id(name)}.")
        raise typer.Exit(INTERRUPTED) from None
    if job.state in (job.STATE_FAILED, job.STATE_CANCELLED):
        raise JobFailed(job)
    return job


def present(client: Client, out: Output, job: Job) -> None:
    """Prints a finished job as JSON, or what came of it: trials, the report in short or the evaluations, the result."""
    if out.as_json:
        out.record(job)
        return
    if job.trials:
        out.listing(job.trials, TRIAL_COLUMNS)
    if text := _report_text(client, job):
        print(text)
    elif job.evaluations:
        out.listing(job.evaluations, evaluation_columns(job.evaluations))
    if job.result:
        print(job.result)


def report_of(client: Client, job: Job) -> str:
    """The name of a finished job's report; empty if it made none.

    Raises:
        NotFound: What the job made has been deleted.
    """
    match job.WhichOneof("spec"):
        case "evaluate":
            return job.result
        case "tune" | "sweep" | "combine":
            return client.get_adapter(job.result).report
        case _:
            return ""


def _report_text(client: Client, job: Job) -> str:
    """A finished job's report in short; empty if it made none, or it has been deleted since."""
    from honed.client import NotFound

    try:
        report = report_of(client, job)
        return summary_text(client, report) if report else ""
    except NotFound:
        return ""


def describe(event: JobEvent) -> str:
    """An event as one line of text."""
    match event.WhichOneof("event"):
        case "state":
            return job_state(event.state)
        case "phase":
            return event.phase
        case "progress":
            return f"{event.progress.step}/{event.progress.total_steps}  {_figures(event.progress)}".rstrip()
        case "evaluation":
            return evaluation_text(event.evaluation)
        case "trial":
            return trial_text(event.trial)
        case "log":
            return event.log
        case _:
            return "an event that this version of hone does not know"


@contextmanager
def upload_bar(total_bytes: int) -> Generator[Callable[[int], None]]:
    """A bar that is told how many bytes have been sent; silent where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    with Progress(
        TextColumn("uploading"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("", total=total_bytes)
        yield lambda n_bytes: bar.advance(task, n_bytes)


def progress_view() -> AbstractContextManager[ShowEvent]:
    """What shows a job's events: a bar on a terminal, plain lines elsewhere."""
    return _bar() if sys.stderr.isatty() else _lines()


@contextmanager
def _lines() -> Generator[ShowEvent]:
    """A line for each event, but of a phase's steps only those that complete another tenth of it."""
    tenth = 0

    def show(event: JobEvent) -> None:
        nonlocal tenth
        if event.WhichOneof("event") == "phase":
            tenth = 0
        elif event.WhichOneof("event") == "progress":
            done = 10 * event.progress.step // max(event.progress.total_steps, 1)
            if done <= tenth:
                return
            tenth = done
        note(visible(describe(event)))

    yield show


@contextmanager
def _bar() -> Generator[ShowEvent]:
    """A bar for the phase, with everything else as lines above it."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("waiting", total=None, figures="")

        def show(event: JobEvent) -> None:
            text = visible(describe(event))
            match event.WhichOneof("event"):
                case "phase":
                    bar.reset(task, total=None, description=text, figures="")
                case "progress":
                    progress = event.progress
                    bar.update(
                        task, completed=progress.step, total=progress.total_steps or None, figures=_figures(progress)
                    )
                case _:
                    bar.console.print(text, markup=False, highlight=False)

        yield show


def _figures(progress: Progress) -> str:
    figures: list[str] = []
    if progress.HasField("loss"):
        figures.append(f"loss {progress.loss:.4f}")
    if progress.HasField("validation_loss"):
        figures.append(f"validation loss {progress.validation_loss:.4f}")
    if progress.HasField("tokens_per_s"):
        figures.append(f"{progress.tokens_per_s:,.0f} tokens/s")
    if progress.HasField("eta"):
        figures.append(f"ETA {duration(progress.eta.ToTimedelta().total_seconds())}")
    return "  ".join(figures)


def _id(name: str) -> str:
    return name.removeprefix("jobs/")

"""Turns what a worker left in its output folder into published resources: folders first, then one database commit.

A crash between the two leaves folders that the database does not know; the next start removes them.
"""

import shutil
from pathlib import Path
from typing import Any

from honed.daemon.state import StateFolder
from honed.daemon.store import Job, Makes, NewResource, ResourceStore
from honed.worker.contract import OUTPUT_FOLDER


class Publisher:
    """Publishes the results of jobs.

    A result gives, for each output folder, its digest, size_bytes and facts. What the job could have made and the
    result does not name was not to be had: the serving graph of an encoder.
    """

    def __init__(self, state: StateFolder, resources: ResourceStore) -> None:
        self._state = state
        self._resources = resources

    def place(self, job: Job, folder: Path, result: dict[str, Any]) -> None:
        """Moves the output folders to their places and syncs them to disk (blocking)."""
        for part, made in _made(job, result).items():
            self._state.publish(folder / OUTPUT_FOLDER / part, _place(made.name, job))

    def record(self, job: Job, result: dict[str, Any]) -> None:
        """Commits the resources of placed folders, all or none.

        Raises:
            AlreadyExists: a name was taken meanwhile; the placed folders go with the next start.
        """
        self._resources.publish(
            *(
                NewResource(
                    name=made.name,
                    owner=job.owner,
                    job=job.name,
                    digest=result[part]["digest"],
                    size_bytes=result[part]["size_bytes"],
                    folder=_place(made.name, job),
                    facts=result[part]["facts"] | made.facts,
                    parents=made.parents,
                )
                for part, made in _made(job, result).items()
            )
        )

    def discard_inputs(self, job: Job) -> None:
        """Removes files that were uploaded for this job alone."""
        source = job.work.get("source")
        if source and Path(source).is_relative_to(self._state.uploads):
            shutil.rmtree(source, ignore_errors=True)


def _made(job: Job, result: dict[str, Any]) -> dict[str, Makes]:
    return {part: made for part, made in job.makes.items() if part in result}


def _place(name: str, job: Job) -> str:
    """Path below the state folder: made of the job's id and attempt, never of a user's words."""
    return f"{name.partition('/')[0]}/{job.id}-{job.attempt}"

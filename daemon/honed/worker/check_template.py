"""Checks a template that a user wrote. Runs under limits; loads no torch."""

from pathlib import Path
from typing import Any

from honed.data import Template
from honed.worker.contract import CheckTemplateWork
from honed.worker.report import Report


def run(work: CheckTemplateWork, output: Path, report: Report) -> dict[str, Any]:  # noqa: ARG001 - the handlers' signature
    """The template's digest, and the template as it is kept; writes nothing."""
    template = Template.from_json(work.template)
    template.check()
    return {"digest": template.digest(), "template": template.to_json()}

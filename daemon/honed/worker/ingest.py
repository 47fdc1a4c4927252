"""Parses, checks and splits an uploaded table. Runs under limits; loads no torch."""

from pathlib import Path
from typing import Any

from honed import manifest
from honed.data import Template, prepare
from honed.worker.contract import IngestWork
from honed.worker.report import Report


def run(work: IngestWork, output: Path, report: Report) -> dict[str, Any]:
    """Writes output/dataset; nothing of a bad table is written."""
    report.phase("checking rows")
    prepared = prepare(
        Path(work.train_file),
        Path(work.test_file) if work.test_file else None,
        work.format,
        Template.from_json(work.template),
        work.test_fraction,
        work.seed,
    )
    folder = output / "dataset"
    folder.mkdir()
    digest = prepared.write(folder)
    return {
        "digest": digest,
        "size_bytes": manifest.write(folder).size_bytes,
        "facts": {
            "template": work.template,
            "train_rows": len(prepared.train),
            "test_rows": len(prepared.test),
            "labels": list(prepared.labels),
        },
    }

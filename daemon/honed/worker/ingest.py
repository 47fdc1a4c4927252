"""Parses, checks and splits an uploaded table. Runs under limits; loads no torch."""

import json
from pathlib import Path
from typing import Any, cast

from honed import manifest
from honed.data import Template, load_renderer
from honed.data.intake import Intake, IntakeModel
from honed.data.reader import Wanted
from honed.worker.contract import IngestWork
from honed.worker.report import Report


def run(work: IngestWork, output: Path, report: Report) -> dict[str, Any]:
    """Writes output/dataset; nothing of a bad table is written."""
    report.phase("checking rows")
    folder = output / "dataset"
    folder.mkdir()
    wanted = Wanted(
        shape=cast("Any", work.shape),
        template=None if work.template is None else Template.from_json(work.template),
        columns=work.columns,
        parameters=work.parameters,
        verbalizer=work.verbalizer,
        instruction=work.instruction,
        group_column=work.group_column,
        id_column=work.id_column,
    )
    facts = Intake(folder, wanted, _model(work)).prepare(
        Path(work.train_file),
        Path(work.test_file) if work.test_file else None,
        cast("Any", work.format),
        work.test_fraction,
        work.seed,
    )
    return {"digest": facts.pop("digest"), "size_bytes": manifest.write(folder).size_bytes, "facts": facts}


def _model(work: IngestWork) -> IntakeModel | None:
    if work.model is None:
        return None
    folder = Path(work.model)
    context_length = json.loads((folder / "config.json").read_text("utf-8"))["max_position_embeddings"]
    return IntakeModel(work.model_name, load_renderer(folder), context_length, work.long_rows)

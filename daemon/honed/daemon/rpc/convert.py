"""Stored jobs and resources as messages of honed.v1. Pure."""

from datetime import datetime
from typing import Any

from google.protobuf import duration_pb2, json_format, timestamp_pb2
from honed.daemon.store import Job, Resource, TemplateVersion
from honed.errors import KINDS, Failure
from honed.rpc_edge import CODES
from honed.template_library import digest
from honed.v1 import (
    adapters_pb2,
    datasets_pb2,
    exports_pb2,
    jobs_pb2,
    models_pb2,
    reports_pb2,
    templates_pb2,
    types_pb2,
)
from honed.worker.contract import Event


def timestamp(time: datetime) -> timestamp_pb2.Timestamp:
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(time)
    return message


def duration(seconds: float) -> duration_pb2.Duration:
    message = duration_pb2.Duration()
    message.FromMilliseconds(round(seconds * 1000))
    return message


def job(stored: Job, evaluations: list[dict[str, Any]], trials: list[dict[str, Any]]) -> jobs_pb2.Job:
    message = jobs_pb2.Job.FromString(stored.request)
    message.name = stored.name
    message.owner = stored.owner
    message.state = getattr(jobs_pb2.Job, f"STATE_{stored.state}")
    message.phase = stored.phase
    message.attempt = stored.attempt
    message.create_time.CopyFrom(timestamp(stored.create_time))
    if stored.start_time:
        message.start_time.CopyFrom(timestamp(stored.start_time))
    if stored.end_time:
        message.end_time.CopyFrom(timestamp(stored.end_time))
    if stored.progress:
        message.progress.CopyFrom(progress(stored.progress))
    if stored.failure:
        message.error.CopyFrom(job_error(stored.failure))
    if stored.state == "SUCCEEDED":
        message.result = stored.target
    message.evaluations.extend(evaluation(each) for each in evaluations)
    message.trials.extend(trial(each) for each in trials)
    return message


def job_error(failure: Failure) -> jobs_pb2.JobError:
    code: int = CODES[KINDS[failure.kind]].value[0]
    return jobs_pb2.JobError(
        code=code, reason=failure.reason, message=failure.message, metadata=dict(failure.violations) | failure.metadata
    )


def job_event(event: Event) -> jobs_pb2.JobEvent:
    message = jobs_pb2.JobEvent(sequence=event.sequence, time=timestamp(datetime.fromisoformat(event.time)))
    if event.kind == "state":
        message.state = getattr(jobs_pb2.Job, f"STATE_{event.data['state']}")
    elif event.kind == "phase":
        message.phase = event.data["phase"]
    elif event.kind == "progress":
        message.progress.CopyFrom(progress(event.data))
    elif event.kind == "evaluation":
        message.evaluation.CopyFrom(evaluation(event.data))
    elif event.kind == "trial":
        message.trial.CopyFrom(trial(event.data))
    else:
        message.log = event.data["text"]
    return message


def progress(data: dict[str, Any]) -> types_pb2.Progress:
    fields = dict(data)
    eta_s = fields.pop("eta_s", None)
    return types_pb2.Progress(**fields, eta=None if eta_s is None else duration(eta_s))


def plan(result: dict[str, Any]) -> jobs_pb2.JobPlan:
    fields = dict(result)
    return jobs_pb2.JobPlan(duration=duration(fields.pop("duration_s")), **fields)


def evaluation(data: dict[str, Any]) -> types_pb2.Evaluation:
    return types_pb2.Evaluation(
        subject=data["subject"],
        mode=f"ANSWER_MODE_{data['mode'].upper()}",
        correct=data["correct"],
        total=data["total"],
        accuracy=data["correct"] / data["total"] if data["total"] else 0.0,
        metrics=[types_pb2.Metric(**metric) for metric in data["metrics"]],
    )


def trial(data: dict[str, Any]) -> jobs_pb2.Trial:
    fields = dict(data)
    state, seconds = fields.pop("state"), fields.pop("seconds")
    return jobs_pb2.Trial(**fields, state=f"STATE_{state.upper()}", duration=duration(seconds))


def model(stored: Resource) -> models_pb2.Model:
    return models_pb2.Model(
        **_common(stored),
        job=stored.job,
        size_bytes=stored.size_bytes,
        **stored.facts,
    )


def dataset(stored: Resource, *, report: bool = True) -> datasets_pb2.Dataset:
    facts = stored.facts
    return datasets_pb2.Dataset(
        **_common(stored),
        format=f"FILE_FORMAT_{facts['format'].upper()}",
        shape=f"SHAPE_{facts['shape'].upper()}",
        task=f"TASK_{facts['task'].upper()}",
        template=_template(facts["template"], digest(facts["template"])) if facts["template"] else None,
        columns={slot: datasets_pb2.Columns(names=names) for slot, names in facts["columns"].items()},
        parameters=facts["parameters"],
        **facts["upload"],
        train_rows=facts["train_rows"],
        test_rows=facts["test_rows"],
        labels=facts["labels"],
        slice_columns=facts["slice_columns"],
        size_bytes=stored.size_bytes,
        report=json_format.ParseDict(facts["report"], datasets_pb2.DataReport()) if report else None,
    )


def preview(result: dict[str, Any]) -> datasets_pb2.PreviewDatasetResponse:
    return datasets_pb2.PreviewDatasetResponse(
        rows=[
            datasets_pb2.PreviewRow(
                row=row["row"], tokens=[datasets_pb2.PreviewToken(**token) for token in row["tokens"]]
            )
            for row in result["rows"]
        ],
        lengths=json_format.ParseDict(result["lengths"], datasets_pb2.Distribution()),
        trained_tokens=result["trained_tokens"],
    )


def template(stored: TemplateVersion) -> templates_pb2.Template:
    message = _template(stored.template, stored.digest)
    message.owner = stored.owner
    if stored.create_time:
        message.create_time.CopyFrom(timestamp(stored.create_time))
    return message


def _template(plain: dict[str, Any], template_digest: str) -> templates_pb2.Template:
    """A template as the library and the workers write it."""
    return templates_pb2.Template(
        digest=template_digest,
        slots=[templates_pb2.TemplateSlot(**slot) for slot in plain["slots"]],
        parameters=[templates_pb2.TemplateParameter(**parameter) for parameter in plain["parameters"]],
        **{key: value for key, value in plain.items() if key not in ("slots", "parameters")},
    )


def adapter(stored: Resource) -> adapters_pb2.Adapter:
    facts = stored.facts
    spec = jobs_pb2.TuneSpec.FromString(bytes.fromhex(facts["spec"]))
    for name, value in facts.get("searched", {}).items():  # settings that a sweep has chosen
        setattr(spec, name, value)
    if "combine" in facts:
        combine = jobs_pb2.CombineSpec.FromString(bytes.fromhex(facts["combine"]))
        came_of: dict[str, Any] = {"combine": combine, "sources": [each.adapter for each in combine.adapters]}
    else:
        training = dict(facts["training"])
        came_of = {
            "training": adapters_pb2.TrainingSummary(duration=duration(training.pop("seconds")), **training),
            "augmented_rows": facts["augmented_rows"],
            "replayed_rows": facts["replayed_rows"],
            "sources": [spec.adapter] if spec.adapter else [],
        }
    return adapters_pb2.Adapter(
        **_common(stored),
        job=stored.job,
        model=spec.model,
        dataset=spec.dataset,
        spec=spec,
        size_bytes=stored.size_bytes,
        contract=adapters_pb2.Contract(
            **{name: value for name, value in facts["contract"].items() if name != "base_precision"}
        ),
        evaluations=[evaluation(each) for each in facts["evaluations"]],
        report=facts["report"],
        labels=facts.get("labels", []),
        **came_of,
        trials=[trial(each) for each in facts.get("trials", [])],
    )


def export(stored: Resource) -> exports_pb2.Export:
    facts = stored.facts
    return exports_pb2.Export(
        **_common(stored),
        job=stored.job,
        source=facts["source"],
        model=facts["model"],
        format=f"EXPORT_FORMAT_{facts['format'].replace('-', '_').upper()}",
        size_bytes=stored.size_bytes,
        parity=types_pb2.Parity(**facts["parity"]),
    )


def report(stored: Resource) -> reports_pb2.Report:
    return reports_pb2.Report(
        **_common(stored),
        job=stored.job,
        size_bytes=stored.size_bytes,
        **stored.facts,
    )


def _common(stored: Resource) -> dict[str, Any]:
    return {
        "name": stored.name,
        "owner": stored.owner,
        "create_time": timestamp(stored.create_time),
        "digest": stored.digest,
    }

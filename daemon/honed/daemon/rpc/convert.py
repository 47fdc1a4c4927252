"""Stored jobs and resources as messages of honed.v1. Pure."""

from datetime import datetime
from typing import Any

from google.protobuf import duration_pb2, timestamp_pb2
from honed.daemon.store import Job, Resource
from honed.errors import KINDS, Failure
from honed.rpc_edge import CODES
from honed.v1 import adapters_pb2, datasets_pb2, exports_pb2, jobs_pb2, models_pb2, types_pb2
from honed.worker.contract import Event


def timestamp(time: datetime) -> timestamp_pb2.Timestamp:
    message = timestamp_pb2.Timestamp()
    message.FromDatetime(time)
    return message


def duration(seconds: float) -> duration_pb2.Duration:
    message = duration_pb2.Duration()
    message.FromMilliseconds(round(seconds * 1000))
    return message


def job(stored: Job, evaluations: list[dict[str, Any]]) -> jobs_pb2.Job:
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
    else:
        message.log = event.data["text"]
    return message


def progress(data: dict[str, Any]) -> types_pb2.Progress:
    fields = dict(data)
    eta_s = fields.pop("eta_s", None)
    return types_pb2.Progress(**fields, eta=None if eta_s is None else duration(eta_s))


def evaluation(data: dict[str, Any]) -> types_pb2.Evaluation:
    return types_pb2.Evaluation(
        subject=data["subject"],
        mode=f"ANSWER_MODE_{data['mode'].upper()}",
        correct=data["correct"],
        total=data["total"],
        accuracy=data["correct"] / data["total"],
    )


def model(stored: Resource) -> models_pb2.Model:
    return models_pb2.Model(
        **_common(stored),
        job=stored.job,
        size_bytes=stored.size_bytes,
        **stored.facts,
    )


def dataset(stored: Resource) -> datasets_pb2.Dataset:
    facts = stored.facts
    template = facts["template"]
    if template["labelled"]:
        shape = datasets_pb2.DatasetShape(
            labelled=datasets_pb2.LabelledTable(
                text_column=template["prompt_column"],
                label_column=template["reply_column"],
                instruction=template["instruction"],
            )
        )
    else:
        shape = datasets_pb2.DatasetShape(
            prompt_completion=datasets_pb2.PromptCompletion(
                prompt_column=template["prompt_column"],
                completion_column=template["reply_column"],
                instruction=template["instruction"],
            )
        )
    return datasets_pb2.Dataset(
        **_common(stored),
        shape=shape,
        train_rows=facts["train_rows"],
        test_rows=facts["test_rows"],
        labels=facts["labels"],
        size_bytes=stored.size_bytes,
    )


def adapter(stored: Resource) -> adapters_pb2.Adapter:
    facts = stored.facts
    training = dict(facts["training"])
    spec = jobs_pb2.TuneSpec.FromString(bytes.fromhex(facts["spec"]))
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
        training=adapters_pb2.TrainingSummary(duration=duration(training.pop("seconds")), **training),
        evaluations=[evaluation(each) for each in facts["evaluations"]],
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


def _common(stored: Resource) -> dict[str, Any]:
    return {
        "name": stored.name,
        "owner": stored.owner,
        "create_time": timestamp(stored.create_time),
        "digest": stored.digest,
    }

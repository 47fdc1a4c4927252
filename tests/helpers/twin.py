"""A daemon without a daemon: every service of honed.v1 over a table of resources, for tests of the client alone."""

import hashlib
import json
import threading
import time

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo
from google.rpc.status_pb2 import Status as RpcStatus
from honed.v1 import (
    adapters_pb2,
    adapters_pb2_grpc,
    datasets_pb2,
    datasets_pb2_grpc,
    exports_pb2,
    exports_pb2_grpc,
    generation_pb2,
    generation_pb2_grpc,
    jobs_pb2,
    jobs_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    reports_pb2,
    reports_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
    templates_pb2,
    templates_pb2_grpc,
    types_pb2,
)

PAGE_SIZE = 2
LIVE = {jobs_pb2.Job.STATE_RUNNING, jobs_pb2.Job.STATE_PAUSED}
EVALUATIONS = [
    types_pb2.Evaluation(
        subject="base zero-shot",
        mode=types_pb2.ANSWER_MODE_FREE,
        correct=6,
        total=12,
        accuracy=0.5,
        metrics=[
            types_pb2.Metric(name="accuracy", value=0.5, low=0.25, high=0.75),
            types_pb2.Metric(name="macro_f1", value=0.4, low=0.2, high=0.7),
        ],
    ),
    types_pb2.Evaluation(
        subject="tuned",
        mode=types_pb2.ANSWER_MODE_LIKELIHOOD,
        correct=11,
        total=12,
        accuracy=11 / 12,
        metrics=[types_pb2.Metric(name="accuracy", value=11 / 12, low=0.75, high=1.0)],
    ),
]
TRIALS = [
    jobs_pb2.Trial(
        number=1,
        learning_rate=1e-3,
        rank=8,
        epochs=3,
        state=jobs_pb2.Trial.STATE_COMPLETE,
        validation_loss=0.25,
        steps=12,
    ),
    jobs_pb2.Trial(
        number=2,
        learning_rate=1,
        rank=8,
        epochs=3,
        state=jobs_pb2.Trial.STATE_FAILED,
        steps=2,
        message="The loss was no longer a number.",
    ),
]
HEADLINE = "tuned is better than base zero-shot on 12 rows: accuracy 0.917 against 0.500."
REPORT = {
    "format": "honed-report-1",
    "title": "tuned against its base",
    "created": "2025-11-21T12:00:00Z",
    "honed_version": "0.1.0",
    "headline": HEADLINE,
    "dataset": {
        "name": "datasets/d",
        "digest": "0" * 64,
        "task": "classify",
        "template": "templates/classify",
        "labels": ["bug", "praise"],
        "train_rows": 48,
        "test_rows": 12,
        "rows_asked": 12,
        "row_choice": "all test rows",
    },
    "choices": [],
    "training": None,
    "subjects": [
        {
            "label": f"{evaluation.subject} by likelihood" if mode == "likelihood" else evaluation.subject,
            "name": evaluation.subject,
            "resource": resource,
            "mode": mode,
            "runtime": "torch bfloat16",
            "metrics": [
                {"name": metric.name, "value": metric.value, "low": metric.low, "high": metric.high}
                for metric in evaluation.metrics
            ],
            "per_class": None,
            "confusion": None,
            "calibration": None,
            "latency": None,
            "slices": [],
        }
        for evaluation, resource, mode in zip(
            EVALUATIONS, ("models/m", "adapters/a"), ("free", "likelihood"), strict=True
        )
    ],
    "comparisons": [],
    "forgetting": [],
    "mistakes": [],
    "samples": [],
}
CLASSIFY = templates_pb2.Template(
    name="templates/classify",
    version=1,
    owner="honed",
    digest="c" * 64,
    description="One label for a text.",
    task="classify",
    system="Classify the {{ what }}.",
    user="{{ text }}\n\nLabel:",
    reply="{{ label }}",
    slots=[
        templates_pb2.TemplateSlot(name="text", description="What is classified."),
        templates_pb2.TemplateSlot(name="label", description="Its label."),
        templates_pb2.TemplateSlot(name="facts", description="What else is known.", optional=True, many=True),
    ],
    parameters=[templates_pb2.TemplateParameter(name="what", description="Kind of text.", default_value="message")],
    verbalizer={"bug": "a defect"},
)
FINDINGS = [
    datasets_pb2.Finding(
        severity=datasets_pb2.Finding.SEVERITY_INFO, code="COLUMN_CONSTANT", message="one value only", column="region"
    ),
    datasets_pb2.Finding(
        severity=datasets_pb2.Finding.SEVERITY_ERROR,
        code="LEAKAGE",
        message="3 test rows stand among the training rows\x1b[2J",
        count=3,
        rows=["test 1", "test 7"],
    ),
]
LENGTHS = datasets_pb2.Distribution(
    total=4000, median=31, p95=70, longest=96, bin_ends=[31, 63, 1023], bin_counts=[1200, 1, 0]
)


def abort(context, code, message, *details):
    """Fails a call the way the daemon does: a google.rpc.Status in the trailing metadata."""
    status = RpcStatus(code=code.value[0], message=message)
    for detail in details:
        packed = AnyMessage()
        packed.Pack(detail)
        status.details.append(packed)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)


class Bookkeeper(grpc.ServerInterceptor):
    """Writes down each method that was called and the authorization it carried."""

    def __init__(self):
        self.calls = []

    def intercept_service(self, continuation, handler_call_details):
        metadata = dict(handler_call_details.invocation_metadata)
        self.calls.append((handler_call_details.method, metadata.get("authorization")))
        return continuation(handler_call_details)


class Twin(
    adapters_pb2_grpc.AdapterServiceServicer,
    datasets_pb2_grpc.DatasetServiceServicer,
    exports_pb2_grpc.ExportServiceServicer,
    generation_pb2_grpc.GenerationServiceServicer,
    jobs_pb2_grpc.JobServiceServicer,
    models_pb2_grpc.ModelServiceServicer,
    reports_pb2_grpc.ReportServiceServicer,
    system_pb2_grpc.SystemServiceServicer,
    templates_pb2_grpc.TemplateServiceServicer,
):
    """Keeps resources in dictionaries. A job runs to its end when it is created, but for two ids: "doomed" fails and
    "endless" goes on until it is paused or cancelled. datasets/untested has no test rows: its tuning has no report."""

    def __init__(self):
        self.resources = {CLASSIFY.name: CLASSIFY}  # by full name, in order of creation
        self.versions = {CLASSIFY.name: [CLASSIFY]}  # of templates, by full name
        self.events = {}  # by job
        self.requests = []  # CreateJob and Generate, as they arrived
        self.uploads = {}  # bytes by file name, of the last upload
        self.connection_losses = []  # how many events each coming watch sends before its connection is lost
        self.delay_s = 0.0  # before GetStatus and PreviewDataset answer
        self.breaks_off = False  # whether DownloadReport fails before its last piece
        self.status_asked = False
        self.watchers = 0  # watches under way
        self.changed = threading.Condition()

    # What several services do

    def get(self, request, context):
        if request.name not in self.resources:
            kind, _, _ = request.name.partition("/")
            reason = f"{kind.removesuffix('s').upper()}_NOT_FOUND"
            abort(
                context,
                grpc.StatusCode.NOT_FOUND,
                f"there is no {request.name}",
                ErrorInfo(reason=reason, domain="honed", metadata={"name": request.name}),
                ResourceInfo(resource_type=kind, resource_name=request.name),
            )
        return self.resources[request.name]

    def delete(self, request, context):
        self.get(request, context)
        del self.resources[request.name]
        return Empty()

    def page(self, request, response_type, collection):
        found = [item for name, item in self.resources.items() if name.startswith(f"{collection}/")][::-1]
        if collection == "templates":
            found.sort(key=lambda template: template.owner != "honed")
        start = int(request.page_token or 0)
        end = start + PAGE_SIZE
        return response_type(**{collection: found[start:end]}, next_page_token=str(end) if end < len(found) else "")

    def put(self, message):
        self.resources[message.name] = message
        return message

    # The services

    def GetStatus(self, request, context):
        self.status_asked = True
        time.sleep(self.delay_s)
        return system_pb2.Status(version="0.1.0", daemon_rss_bytes=50 << 20, disk_free_bytes=3 << 30)

    def ImportModel(self, request, context):
        return self.start(
            jobs_pb2.Job(import_model=jobs_pb2.ImportModelSpec(model_id=request.model_id, source=request.path))
        )

    def UploadModel(self, request_iterator, context):
        header = next(request_iterator).header
        if f"models/{header.model_id}" in self.resources:
            abort(
                context,
                grpc.StatusCode.ALREADY_EXISTS,
                f"models/{header.model_id} exists",
                ErrorInfo(reason="MODEL_EXISTS", domain="honed"),
            )
        self.uploads = {}
        for message in request_iterator:
            self.uploads.setdefault(message.chunk.file_name, bytearray()).extend(message.chunk.data)
        for file_name, digest in header.expected_sha256.items():
            if hashlib.sha256(self.uploads[file_name]).hexdigest() != digest:
                abort(
                    context,
                    grpc.StatusCode.INVALID_ARGUMENT,
                    "a file arrived damaged",
                    ErrorInfo(reason="DIGEST_MISMATCH", domain="honed"),
                    BadRequest(
                        field_violations=[BadRequest.FieldViolation(field=file_name, description="digest differs")]
                    ),
                )
        return self.start(
            jobs_pb2.Job(import_model=jobs_pb2.ImportModelSpec(model_id=header.model_id, source="upload"))
        )

    def GetModel(self, request, context):
        return self.get(request, context)

    def ListModels(self, request, context):
        return self.page(request, models_pb2.ListModelsResponse, "models")

    def DeleteModel(self, request, context):
        return self.delete(request, context)

    def UploadDataset(self, request_iterator, context):
        header = next(request_iterator).header
        self.uploads = {"train_data": bytearray(), "test_data": bytearray()}
        for message in request_iterator:
            kind = message.WhichOneof("payload")
            self.uploads[kind].extend(getattr(message, kind))
        rows = {kind: max(data.count(b"\n") - 1, 0) for kind, data in self.uploads.items()}
        self.requests.append(header)
        dataset = datasets_pb2.Dataset(
            name=f"datasets/{header.dataset_id}",
            format=header.format or datasets_pb2.FILE_FORMAT_CSV,
            shape=header.shape or datasets_pb2.SHAPE_TABLE,
            task=datasets_pb2.TASK_CLASSIFY,
            template=CLASSIFY,
            columns=header.columns,
            parameters=header.parameters,
            instruction=header.instruction,
            verbalizer=header.verbalizer,
            test_fraction=None if self.uploads["test_data"] else 0.2,
            seed=header.seed,
            group_column=header.group_column,
            train_rows=rows["train_data"],
            test_rows=rows["test_data"],
            labels=["bug", "praise"],
            slice_columns=["region"],
            report=datasets_pb2.DataReport(
                rows=sum(rows.values()),
                findings=FINDINGS,
                labels=[
                    datasets_pb2.LabelCount(label="bug", train=1),
                    datasets_pb2.LabelCount(label="praise", train=1200, test=3),
                ],
                characters=LENGTHS,
            ),
        )
        if header.model:
            tokens = datasets_pb2.TokenStatistics(
                model=header.model, context_length=2048, row=LENGTHS, trained=1200, tuning_time_basis="1,000 tokens/s"
            )
            tokens.tuning_time.seconds = 90
            dataset.report.tokens.CopyFrom(tokens)
        return self.put(dataset)

    def GetDataset(self, request, context):
        return self.get(request, context)

    def ListDatasets(self, request, context):
        return self.page(request, datasets_pb2.ListDatasetsResponse, "datasets")

    def DeleteDataset(self, request, context):
        return self.delete(request, context)

    def PreviewDataset(self, request, context):
        time.sleep(self.delay_s)
        tokens = [
            datasets_pb2.PreviewToken(id=1, text="<user>\n"),
            datasets_pb2.PreviewToken(id=2, text="\x1b[31mhelp"),
            datasets_pb2.PreviewToken(id=3, text="bug", trained=True),
            datasets_pb2.PreviewToken(id=4, text="<end>", trained=True),
        ]
        rows = [datasets_pb2.PreviewRow(row=str(row + 1), tokens=tokens) for row in range(request.rows)]
        return datasets_pb2.PreviewDatasetResponse(rows=rows, lengths=LENGTHS, trained_tokens=1200)

    def CreateTemplate(self, request, context):
        template = request.template
        if not template.reply:
            abort(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                "the template is malformed",
                ErrorInfo(reason="TEMPLATE_INVALID", domain="honed"),
                BadRequest(
                    field_violations=[
                        BadRequest.FieldViolation(field="template.reply", description="must not be empty")
                    ]
                ),
            )
        versions = self.versions.setdefault(template.name, [])
        template.version = len(versions) + 1
        template.owner = "somebody"
        versions.append(template)
        return self.put(template)

    def GetTemplate(self, request, context):
        newest = self.get(request, context)
        return self.versions[request.name][request.version - 1] if request.version else newest

    def ListTemplates(self, request, context):
        return self.page(request, templates_pb2.ListTemplatesResponse, "templates")

    def DeleteTemplate(self, request, context):
        self.versions.pop(request.name, None)
        return self.delete(request, context)

    def CreateJob(self, request, context):
        self.requests.append(request)
        if request.job.tune.rank > 512:
            abort(
                context,
                grpc.StatusCode.INVALID_ARGUMENT,
                "the request is malformed",
                ErrorInfo(reason="FIELD_INVALID", domain="honed"),
                BadRequest(
                    field_violations=[
                        BadRequest.FieldViolation(field="job.tune.rank", description="must be 1 to 512, found 1000")
                    ]
                ),
            )
        if request.job.tune.batch_size > 1000:
            abort(
                context,
                grpc.StatusCode.FAILED_PRECONDITION,
                "this can never fit",
                ErrorInfo(reason="MEMORY_EXCEEDED", domain="honed", metadata={"needed_bytes": "99"}),
            )
        return self.start(request.job)

    def start(self, job):
        job.name = f"jobs/{len(self.events) + 1}"
        job.state = jobs_pb2.Job.STATE_RUNNING
        job.attempt = 1
        events = [
            jobs_pb2.JobEvent(state=jobs_pb2.Job.STATE_QUEUED),
            jobs_pb2.JobEvent(state=jobs_pb2.Job.STATE_RUNNING),
            jobs_pb2.JobEvent(phase="working"),
            jobs_pb2.JobEvent(
                progress=types_pb2.Progress(step=1, total_steps=2, loss=1.25, tokens_per_s=1500, memory_bytes=3 << 30)
            ),
        ]
        identity = (
            job.tune.adapter_id
            or job.sweep.tune.adapter_id
            or job.export.export_id
            or job.combine.adapter_id
            or job.import_model.model_id
        )
        if identity == "doomed":
            job.state = jobs_pb2.Job.STATE_FAILED
            job.error.code = grpc.StatusCode.INTERNAL.value[0]
            job.error.reason = "WORKER_DIED"
            job.error.message = "the worker was killed"
        elif identity != "endless":
            self.finish(job)
            events += [jobs_pb2.JobEvent(trial=trial) for trial in job.trials]
            events += [jobs_pb2.JobEvent(evaluation=evaluation) for evaluation in job.evaluations]
        if job.state != jobs_pb2.Job.STATE_RUNNING:
            events.append(jobs_pb2.JobEvent(state=job.state))
        self.events[job.name] = events
        for sequence, event in enumerate(events, start=1):
            event.sequence = sequence
            event.time.GetCurrentTime()
        return self.put(job)

    def finish(self, job):
        """Makes what a job is there to make."""
        job.state = jobs_pb2.Job.STATE_SUCCEEDED
        match job.WhichOneof("spec"):
            case "import_model":
                made = models_pb2.Model(name=f"models/{job.import_model.model_id}", parameters=1000)
            case "sweep":
                job.trials.extend(TRIALS)
                tune = job.sweep.tune
                made = adapters_pb2.Adapter(name=f"adapters/{tune.adapter_id}", spec=tune, trials=TRIALS)
                if not tune.skip_evaluation:
                    made.report = self.report(job, tune.dataset, [made.name]).name
            case "tune":
                made = adapters_pb2.Adapter(name=f"adapters/{job.tune.adapter_id}", spec=job.tune)
                if not job.tune.skip_evaluation and job.tune.dataset != "datasets/untested":
                    made.report = self.report(job, job.tune.dataset, [made.name]).name
                    job.evaluations.extend(EVALUATIONS)
            case "combine":
                made = adapters_pb2.Adapter(name=f"adapters/{job.combine.adapter_id}", combine=job.combine)
                made.sources.extend(each.adapter for each in job.combine.adapters)
                if not job.combine.skip_evaluation:
                    made.report = self.report(job, job.combine.dataset, [made.name]).name
                    job.evaluations.extend(EVALUATIONS[1:])
            case "export":
                parity = types_pb2.Parity(rows=12, tokens=24, top1_agreement=0.96, near_ties=1, source="datasets/t")
                made = exports_pb2.Export(name=f"exports/{job.export.export_id}", parity=parity)
            case _:
                made = self.report(job, job.evaluate.dataset, job.evaluate.subjects)
                job.evaluations.extend(EVALUATIONS)
        job.result = self.put(made).name

    def report(self, job, dataset, subjects):
        return self.put(
            reports_pb2.Report(
                name=f"reports/{job.name.removeprefix('jobs/')}",
                job=job.name,
                dataset=dataset,
                subjects=subjects,
                headline=HEADLINE,
                size_bytes=2048,
            )
        )

    def GetJob(self, request, context):
        return self.get(request, context)

    def ListJobs(self, request, context):
        return self.page(request, jobs_pb2.ListJobsResponse, "jobs")

    def WatchJob(self, request, context):
        job = self.get(request, context)
        events_until_loss = self.connection_losses.pop(0) if self.connection_losses else None
        sequence = request.after_sequence
        yield jobs_pb2.WatchJobResponse()
        self.watchers += 1
        context.add_callback(self.watch_has_ended)
        while context.is_active():
            ended = self.resources[job.name].state not in LIVE  # looked at first: the last event was there before
            for event in self.events[job.name][sequence:]:
                if events_until_loss == 0:
                    abort(context, grpc.StatusCode.UNAVAILABLE, "the daemon restarts")
                if events_until_loss is not None:
                    events_until_loss -= 1
                sequence = event.sequence
                yield jobs_pb2.WatchJobResponse(event=event)
            if ended:
                return
            with self.changed:
                self.changed.wait(timeout=0.05)

    def watch_has_ended(self):
        self.watchers -= 1

    def CancelJob(self, request, context):
        return self.move(request, context, LIVE, "JOB_NOT_RUNNING", jobs_pb2.Job.STATE_CANCELLED)

    def PauseJob(self, request, context):
        return self.move(request, context, LIVE, "JOB_NOT_RUNNING", jobs_pb2.Job.STATE_PAUSED)

    def ResumeJob(self, request, context):
        """Back to work at once."""
        job = self.move(request, context, {jobs_pb2.Job.STATE_PAUSED}, "JOB_NOT_PAUSED", jobs_pb2.Job.STATE_RUNNING)
        job.attempt += 1
        return job

    def move(self, request, context, allowed, reason, state):
        """Moves a job from one of the allowed states to another."""
        job = self.get(request, context)
        if job.state not in allowed:
            abort(
                context,
                grpc.StatusCode.FAILED_PRECONDITION,
                f"{job.name} is in another state",
                ErrorInfo(reason=reason, domain="honed"),
            )
        if job.state != state:
            events = self.events[job.name]
            events.append(jobs_pb2.JobEvent(sequence=len(events) + 1, state=state))
            job.state = state
        with self.changed:
            self.changed.notify_all()
        return job

    def DeleteJob(self, request, context):
        return self.delete(request, context)

    def GetAdapter(self, request, context):
        return self.get(request, context)

    def ListAdapters(self, request, context):
        return self.page(request, adapters_pb2.ListAdaptersResponse, "adapters")

    def DeleteAdapter(self, request, context):
        return self.delete(request, context)

    def GetExport(self, request, context):
        return self.get(request, context)

    def ListExports(self, request, context):
        return self.page(request, exports_pb2.ListExportsResponse, "exports")

    def DeleteExport(self, request, context):
        return self.delete(request, context)

    def GetReport(self, request, context):
        return self.get(request, context)

    def ListReports(self, request, context):
        return self.page(request, reports_pb2.ListReportsResponse, "reports")

    def DeleteReport(self, request, context):
        return self.delete(request, context)

    def DownloadReport(self, request, context):
        """The file in pieces of 100 bytes."""
        self.get(request, context)
        as_json = request.format == reports_pb2.REPORT_FORMAT_JSON
        data = (json.dumps(REPORT) if as_json else f"<!doctype html><title>{HEADLINE}</title>").encode()
        for start in range(0, len(data), 100):
            if self.breaks_off and start + 100 >= len(data):
                abort(context, grpc.StatusCode.INTERNAL, "the disk is gone")
            yield reports_pb2.DownloadReportResponse(data=data[start : start + 100])

    def Generate(self, request, context):
        """Says the last thing it was told, word by word, at most max_tokens of them."""
        self.requests.append(request)
        if request.model == "exports/private":
            abort(context, grpc.StatusCode.PERMISSION_DENIED, "this is not yours")
        match request.WhichOneof("input"):
            case "prompt":
                words = request.prompt.split(" ")
            case "row":
                words = [f"{slot}={value}" for slot, value in sorted(request.row.values.items())]
            case _:
                words = request.chat.messages[-1].content.split(" ")
        limit = request.max_tokens or len(words)
        for index, word in enumerate(words[:limit]):
            yield generation_pb2.GenerateResponse(delta=f" {word}" if index else word)
        cut = len(words) > limit
        reason = generation_pb2.FINISH_REASON_LENGTH if cut else generation_pb2.FINISH_REASON_END_OF_TURN
        yield generation_pb2.GenerateResponse(
            done=generation_pb2.GenerateDone(finish_reason=reason, completion_tokens=min(limit, len(words)))
        )

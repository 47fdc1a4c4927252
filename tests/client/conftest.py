"""A twin of the daemon, in this process and on a UNIX socket: the wire is real, the work behind it is not."""

import asyncio
import hashlib
import inspect
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.empty_pb2 import Empty
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo
from google.rpc.status_pb2 import Status as RpcStatus
from honed.client import AsyncClient, Client
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
    system_pb2,
    system_pb2_grpc,
    types_pb2,
)

PAGE_SIZE = 2
EVALUATIONS = [
    types_pb2.Evaluation(subject="base zero-shot", mode=types_pb2.ANSWER_MODE_FREE, correct=6, total=12, accuracy=0.5),
    types_pb2.Evaluation(
        subject="tuned", mode=types_pb2.ANSWER_MODE_LIKELIHOOD, correct=11, total=12, accuracy=11 / 12
    ),
]


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
    system_pb2_grpc.SystemServiceServicer,
):
    """Keeps resources in dictionaries. A job runs to its end when it is created, but for two ids: "doomed" fails and
    "endless" goes on until it is cancelled."""

    def __init__(self):
        self.resources = {}  # by full name, in order of creation
        self.events = {}  # by job
        self.requests = []  # CreateJob and Generate, as they arrived
        self.uploads = {}  # bytes by file name, of the last upload
        self.connection_losses = []  # how many events each coming watch sends before its connection is lost
        self.delay_s = 0.0  # before GetStatus answers
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
        return self.put(
            datasets_pb2.Dataset(
                name=f"datasets/{header.dataset_id}",
                shape=header.shape,
                train_rows=rows["train_data"],
                test_rows=rows["test_data"],
                labels=["bug", "praise"],
            )
        )

    def GetDataset(self, request, context):
        return self.get(request, context)

    def ListDatasets(self, request, context):
        return self.page(request, datasets_pb2.ListDatasetsResponse, "datasets")

    def DeleteDataset(self, request, context):
        return self.delete(request, context)

    def PreviewDataset(self, request, context):
        tokens = [
            datasets_pb2.PreviewToken(id=1, text="<user>\n"),
            datasets_pb2.PreviewToken(id=2, text="\x1b[31mhelp"),
            datasets_pb2.PreviewToken(id=3, text="bug", trained=True),
            datasets_pb2.PreviewToken(id=4, text="<end>", trained=True),
        ]
        rows = [datasets_pb2.PreviewRow(row=row + 1, tokens=tokens) for row in range(request.rows)]
        return datasets_pb2.PreviewDatasetResponse(rows=rows, longest_tokens=4, total_tokens=40)

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
        events = [
            jobs_pb2.JobEvent(state=jobs_pb2.Job.STATE_QUEUED),
            jobs_pb2.JobEvent(state=jobs_pb2.Job.STATE_RUNNING),
            jobs_pb2.JobEvent(phase="working"),
            jobs_pb2.JobEvent(progress=types_pb2.Progress(step=1, total_steps=2, loss=1.25, tokens_per_s=1500)),
        ]
        identity = job.tune.adapter_id or job.export.export_id or job.import_model.model_id
        if identity == "doomed":
            job.state = jobs_pb2.Job.STATE_FAILED
            job.error.code = grpc.StatusCode.INTERNAL.value[0]
            job.error.reason = "WORKER_DIED"
            job.error.message = "the worker was killed"
        elif identity != "endless":
            self.finish(job)
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
            case "tune":
                made = adapters_pb2.Adapter(name=f"adapters/{job.tune.adapter_id}", spec=job.tune)
                job.evaluations.extend(EVALUATIONS)
            case "export":
                parity = types_pb2.Parity(rows=12, tokens=24, top1_agreement=0.96, near_ties=1, source="datasets/t")
                made = exports_pb2.Export(name=f"exports/{job.export.export_id}", parity=parity)
            case _:
                job.evaluations.extend(EVALUATIONS)
                return
        job.result = self.put(made).name

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
            for event in self.events[job.name][sequence:]:
                if events_until_loss == 0:
                    abort(context, grpc.StatusCode.UNAVAILABLE, "the daemon restarts")
                if events_until_loss is not None:
                    events_until_loss -= 1
                sequence = event.sequence
                yield jobs_pb2.WatchJobResponse(event=event)
            if self.resources[job.name].state != jobs_pb2.Job.STATE_RUNNING:
                return
            with self.changed:
                self.changed.wait(timeout=0.05)

    def watch_has_ended(self):
        self.watchers -= 1

    def CancelJob(self, request, context):
        job = self.get(request, context)
        if job.state != jobs_pb2.Job.STATE_RUNNING:
            abort(
                context,
                grpc.StatusCode.FAILED_PRECONDITION,
                f"{job.name} has ended",
                ErrorInfo(reason="JOB_NOT_RUNNING", domain="honed"),
            )
        events = self.events[job.name]
        events.append(jobs_pb2.JobEvent(sequence=len(events) + 1, state=jobs_pb2.Job.STATE_CANCELLED))
        job.state = jobs_pb2.Job.STATE_CANCELLED
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

    def Generate(self, request, context):
        """Says the last thing it was told, word by word, at most max_tokens of them."""
        self.requests.append(request)
        if request.model == "exports/private":
            abort(context, grpc.StatusCode.PERMISSION_DENIED, "this is not yours")
        words = (request.prompt or request.chat.messages[-1].content).split(" ")
        limit = request.max_tokens or len(words)
        for index, word in enumerate(words[:limit]):
            yield generation_pb2.GenerateResponse(delta=f" {word}" if index else word)
        cut = len(words) > limit
        reason = generation_pb2.FINISH_REASON_LENGTH if cut else generation_pb2.FINISH_REASON_END_OF_TURN
        yield generation_pb2.GenerateResponse(
            done=generation_pb2.GenerateDone(finish_reason=reason, completion_tokens=min(limit, len(words)))
        )


@contextmanager
def serving(twin, bookkeeper, address):
    """A server with the twin behind it. Leaving it breaks off all calls, as a daemon does that is stopped."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        server = grpc.server(pool, interceptors=[bookkeeper])
        adapters_pb2_grpc.add_AdapterServiceServicer_to_server(twin, server)
        datasets_pb2_grpc.add_DatasetServiceServicer_to_server(twin, server)
        exports_pb2_grpc.add_ExportServiceServicer_to_server(twin, server)
        generation_pb2_grpc.add_GenerationServiceServicer_to_server(twin, server)
        jobs_pb2_grpc.add_JobServiceServicer_to_server(twin, server)
        models_pb2_grpc.add_ModelServiceServicer_to_server(twin, server)
        system_pb2_grpc.add_SystemServiceServicer_to_server(twin, server)
        server.add_insecure_port(address)
        server.start()
        yield
        server.stop(grace=None).wait()


@pytest.fixture
def bookkeeper():
    return Bookkeeper()


@pytest.fixture
def twin():
    return Twin()


@pytest.fixture
def socket_address(monkeypatch) -> Iterator[str]:
    """The address of a socket that nobody serves yet; HONED_ADDRESS names it too."""
    with tempfile.TemporaryDirectory() as folder:  # tmp_path may be longer than a socket's path can be
        address = f"unix:{Path(folder) / 'honed.sock'}"
        monkeypatch.setenv("HONED_ADDRESS", address)
        monkeypatch.delenv("HONED_TOKEN", raising=False)
        monkeypatch.delenv("HONED_TOKEN_FILE", raising=False)
        yield address


@pytest.fixture
def address(twin, bookkeeper, socket_address) -> Iterator[str]:
    """The same address, with the twin behind it."""
    with serving(twin, bookkeeper, socket_address):
        yield socket_address


@pytest.fixture
def serve(twin, bookkeeper, socket_address):
    """Serves the twin as long as a `with` lasts, as often as a test wants."""
    return lambda: serving(twin, bookkeeper, socket_address)


class Driver:
    """Runs a client's methods to their end, so that one test holds for both: streams become lists."""

    def __init__(self, client, run):
        self._client = client
        self._run = run

    def __getattr__(self, name):
        return lambda *args, **options: self._run(getattr(self._client, name)(*args, **options))


def run_sync(result):
    return list(result) if inspect.isgenerator(result) else result


async def run_async(result):
    return [item async for item in result] if inspect.isasyncgen(result) else await result


@pytest.fixture(params=["Client", "AsyncClient"])
def client(request, address):
    """Each client in turn, behind a driver."""
    if request.param == "Client":
        with Client(address, token="secret") as sync_client:
            yield Driver(sync_client, run_sync)
        return

    async def make():
        return AsyncClient(address, token="secret")

    with asyncio.Runner() as runner:
        async_client = runner.run(make())
        yield Driver(async_client, lambda result: runner.run(run_async(result)))
        runner.run(async_client.close())

"""The client for synchronous code: one method per RPC of honed.v1, and a few that make RPCs pleasant.

Resources are the protobuf messages themselves. Every call that fails raises an exception of `honed.client.errors`.
A client may be used from several threads; it may not cross a fork. AsyncClient has the same methods.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self, Unpack

from honed.client import requests, uploads
from honed.client.calls import Calls
from honed.client.connection import Connection
from honed.client.errors import Internal, JobFailed, Unavailable
from honed.client.requests import (
    CombineMethod,
    GraphFormat,
    Messages,
    ReportFormat,
    Sampling,
    ShotChoice,
    TableOptions,
    full_name,
)
from honed.client.uploads import FilePath, OnBytes
from honed.client.watch import WatchCursor
from honed.v1 import (
    adapters_pb2,
    datasets_pb2,
    exports_pb2,
    jobs_pb2,
    models_pb2,
    reports_pb2,
    system_pb2,
    templates_pb2,
)
from honed.v1.adapters_pb2 import Adapter
from honed.v1.adapters_pb2_grpc import AdapterServiceStub
from honed.v1.datasets_pb2 import Dataset, PreviewDatasetResponse
from honed.v1.datasets_pb2_grpc import DatasetServiceStub
from honed.v1.exports_pb2 import Export
from honed.v1.exports_pb2_grpc import ExportServiceStub
from honed.v1.generation_pb2 import GenerateDone, GenerateResponse
from honed.v1.generation_pb2_grpc import GenerationServiceStub
from honed.v1.jobs_pb2 import Job, JobEvent, SweepSpec, TuneSpec
from honed.v1.jobs_pb2_grpc import JobServiceStub
from honed.v1.models_pb2 import Model, UploadModelHeader
from honed.v1.models_pb2_grpc import ModelServiceStub
from honed.v1.reports_pb2 import Report
from honed.v1.reports_pb2_grpc import ReportServiceStub
from honed.v1.system_pb2_grpc import SystemServiceStub
from honed.v1.templates_pb2 import Template
from honed.v1.templates_pb2_grpc import TemplateServiceStub


class Client:
    """A connection to one daemon.

    The address and the token are worked out by `Connection.resolve`. Nothing is sent before the first call.
    `timeout_s` bounds each call that is neither an upload, a preview, a pause nor a stream.

    Raises:
        InvalidArgument: The address or the token is malformed.
        OSError: The token's file cannot be read.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        token: str | None = None,
        token_file: str | os.PathLike[str] | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self.connection = Connection.resolve(address, token=token, token_file=token_file)
        self._calls = Calls(self.connection, timeout_s)
        self._system = SystemServiceStub(self._calls.channel)
        self._models = ModelServiceStub(self._calls.channel)
        self._datasets = DatasetServiceStub(self._calls.channel)
        self._templates = TemplateServiceStub(self._calls.channel)
        self._jobs = JobServiceStub(self._calls.channel)
        self._adapters = AdapterServiceStub(self._calls.channel)
        self._exports = ExportServiceStub(self._calls.channel)
        self._reports = ReportServiceStub(self._calls.channel)
        self._generation = GenerationServiceStub(self._calls.channel)

    def close(self) -> None:
        """Ends all calls under way and closes the connection."""
        self._calls.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    # The daemon

    def get_status(self) -> system_pb2.Status:
        """The daemon's version, memory, free disk, queue and engines."""
        return self._calls.unary(self._system.GetStatus, system_pb2.GetStatusRequest())

    # Models

    def import_model(self, model_id: str, path: str, *, request_id: str = "") -> Job:
        """Imports a model from a path on the server, below one of its import roots. Returns the queued job.

        Repeating the call with the same `request_id` returns the job of the first.
        """
        request = models_pb2.ImportModelRequest(model_id=model_id, path=path, request_id=request_id)
        return self._calls.unary(self._models.ImportModel, request)

    def upload_model(
        self,
        model_id: str,
        path: FilePath,
        expected_sha256: dict[str, str] | None = None,
        on_bytes: OnBytes | None = None,
    ) -> Job:
        """Uploads a GGUF file or a safetensors folder of this machine. Returns the queued import job.

        Args:
            model_id: Id of the new model.
            path: The file or the folder; see `uploads.model_files` for what is sent of a folder.
            expected_sha256: SHA-256 (hex) by file name, which the daemon compares with what arrives.
            on_bytes: Told the length of each piece sent, on another thread.

        Raises:
            InvalidArgument: The folder holds sub-folders or nothing to send.
            OSError: A file cannot be read.
        """
        header = UploadModelHeader(model_id=model_id, expected_sha256=expected_sha256)
        return self._calls.upload(self._models.UploadModel, uploads.model_stream(header, path, on_bytes))

    def get_model(self, name: str) -> Model:
        """Gets one model."""
        return self._calls.unary(self._models.GetModel, models_pb2.GetModelRequest(name=full_name(name, "models")))

    def list_models(self) -> Iterator[Model]:
        """All models, the newest first."""
        for page in self._calls.pages(self._models.ListModels, models_pb2.ListModelsRequest()):
            yield from page.models

    def delete_model(self, name: str) -> None:
        """Deletes a model that no adapter, export or waiting job uses."""
        self._calls.unary(self._models.DeleteModel, models_pb2.DeleteModelRequest(name=full_name(name, "models")))

    # Data sets

    def upload_dataset(
        self,
        dataset_id: str,
        train: FilePath,
        *,
        test: FilePath | None = None,
        on_bytes: OnBytes | None = None,
        **options: Unpack[TableOptions],
    ) -> Dataset:
        """Uploads a table and waits until every row has been checked; on a bad row nothing is kept.

        Args:
            dataset_id: Id of the new data set.
            train: The table: CSV, TSV, JSON lines, a JSON array or Parquet, each plain or compressed with gzip or zstd.
            test: A separate test table; without one, a share of the rows is held out.
            on_bytes: Told the length of each piece sent, on another thread.
            **options: See `TableOptions`.

        Raises:
            InvalidArgument: The options contradict each other, or the daemon refuses rows (`field_violations`).
            OSError: A file cannot be read.
        """
        header = requests.dataset_header(dataset_id, options)
        return self._calls.upload(self._datasets.UploadDataset, uploads.dataset_stream(header, train, test, on_bytes))

    def get_dataset(self, name: str) -> Dataset:
        """Gets one data set."""
        return self._calls.unary(
            self._datasets.GetDataset, datasets_pb2.GetDatasetRequest(name=full_name(name, "datasets"))
        )

    def list_datasets(self) -> Iterator[Dataset]:
        """All data sets, the newest first."""
        for page in self._calls.pages(self._datasets.ListDatasets, datasets_pb2.ListDatasetsRequest()):
            yield from page.datasets

    def delete_dataset(self, name: str) -> None:
        """Deletes a data set that no adapter or waiting job uses."""
        self._calls.unary(
            self._datasets.DeleteDataset, datasets_pb2.DeleteDatasetRequest(name=full_name(name, "datasets"))
        )

    def preview_dataset(self, name: str, model: str, rows: int = 3) -> PreviewDatasetResponse:
        """The first training rows as `model` sees them: token by token, with the part under the loss marked.

        The lengths are those of all training rows, so that it takes its time with many.
        """
        request = datasets_pb2.PreviewDatasetRequest(
            name=full_name(name, "datasets"), model=full_name(model, "models"), rows=rows
        )
        return self._calls.unary(self._datasets.PreviewDataset, request, patient=True)

    # Templates

    def create_template(self, template: Template) -> Template:
        """Creates a template, or the next version of one that exists.

        Data sets keep the version they were made with. The name may be bare; what the daemon gives (version, owner,
        time, digest) is not read.

        Raises:
            InvalidArgument: The template is malformed; `field_violations` says where.
        """
        return self._calls.unary(self._templates.CreateTemplate, requests.template_request(template))

    def get_template(self, name: str, version: int = 0) -> Template:
        """Gets one template; version 0 is the newest."""
        request = templates_pb2.GetTemplateRequest(name=full_name(name, "templates"), version=version)
        return self._calls.unary(self._templates.GetTemplate, request)

    def list_templates(self) -> Iterator[Template]:
        """The newest version of every template: the built-in ones, then the others, the newest first."""
        for page in self._calls.pages(self._templates.ListTemplates, templates_pb2.ListTemplatesRequest()):
            yield from page.templates

    def delete_template(self, name: str) -> None:
        """Deletes a template with all its versions; data sets made with it keep theirs."""
        self._calls.unary(
            self._templates.DeleteTemplate, templates_pb2.DeleteTemplateRequest(name=full_name(name, "templates"))
        )

    # Jobs

    def tune(self, spec: TuneSpec) -> Job:
        """Queues fine-tuning. What the spec leaves unset is the daemon's default; names in it may be bare."""
        return self.create_job(requests.tune_job(spec))

    def plan(self, spec: TuneSpec) -> Job:
        """What a tuning would do, in the job's `plan`; nothing is queued."""
        return self.create_job(requests.tune_job(spec), validate_only=True)

    def sweep(self, spec: SweepSpec) -> Job:
        """Queues fine-tuning with several settings, of which the best is kept. The job's `trials` say how each did."""
        return self.create_job(requests.sweep_job(spec))

    def evaluate(
        self,
        subjects: str | Sequence[str],
        dataset: str,
        *,
        shots: Sequence[int] = (),
        shot_choice: ShotChoice = "per_label",
        slice_columns: Sequence[str] = (),
        earlier_datasets: Sequence[str] = (),
        max_rows: int | None = None,
        seed: int | None = None,
    ) -> Job:
        """Queues an evaluation of all subjects on the same test rows. The job's result is its report.

        Args:
            subjects: One or up to eight of "models/…" (asked zero-shot and few-shot), "adapters/…" and "exports/…".
            dataset: Whose test rows are asked.
            shots: Numbers of worked examples to try with a model, on held-out training rows; none: the default number.
            shot_choice: The same examples for every row, label by label in turn, or for every row the most similar.
            slice_columns: Columns by whose values the metrics are sliced; none: all that the data set has.
            earlier_datasets: On whose test rows forgetting is measured, beside the built-in probe.
            max_rows: Test rows asked at most, drawn by `seed`; None: all.
            seed: Of every draw.
        """
        job = requests.evaluate_job(
            subjects,
            dataset,
            shots=shots,
            shot_choice=shot_choice,
            slice_columns=slice_columns,
            earlier_datasets=earlier_datasets,
            max_rows=max_rows,
            seed=seed,
        )
        return self.create_job(job)

    def combine(
        self,
        adapter_id: str,
        adapters: Mapping[str, float],
        *,
        method: CombineMethod = "cat",
        rank: int | None = None,
        density: float | None = None,
        seed: int | None = None,
        dataset: str | None = None,
        skip_evaluation: bool = False,
        max_evaluation_rows: int | None = None,
    ) -> Job:
        """Queues the combination of adapters of one base into a new one, which is then evaluated.

        Args:
            adapter_id: Id of the new adapter.
            adapters: 2 to 8 adapters with their weights. A request is put into the template of the first.
            method: See CombineMethod in jobs.proto; "cat" is exactly the weighted sum, at the sum of the ranks.
            rank: Of the new adapter, for "svd" alone; None: the highest of theirs.
            density: Share of the values that is kept, for "ties" and "dare-…" alone; None: 0.5.
            seed: Of the values that "dare-…" drops, and of the evaluation's draws.
            dataset: Whose test rows are asked; None: that of the first adapter.
            skip_evaluation: Leaves out the evaluation.
            max_evaluation_rows: Test rows asked at most; None: 500.
        """
        job = requests.combine_job(
            adapter_id,
            adapters,
            method=method,
            rank=rank,
            density=density,
            seed=seed,
            dataset=dataset,
            skip_evaluation=skip_evaluation,
            max_evaluation_rows=max_evaluation_rows,
        )
        return self.create_job(job)

    def export(
        self,
        export_id: str,
        source: str,
        *,
        format: GraphFormat = "onnx-int8",  # noqa: A002  - the word of the contract
        dataset: str | None = None,
    ) -> Job:
        """Queues the conversion of "adapters/…" or "models/…" into what the engine serves.

        `dataset` measures the parity; None means the adapter's own, or a built-in probe for a model.
        """
        return self.create_job(requests.export_job(export_id, source, format, dataset))

    def create_job(self, job: Job, *, request_id: str = "", validate_only: bool = False) -> Job:
        """Queues a job, of which `spec` alone is read.

        Repeating the call with the same `request_id` returns the job of the first. With `validate_only` nothing is
        queued: the job comes back as it would be.
        """
        return self._calls.unary(
            self._jobs.CreateJob, jobs_pb2.CreateJobRequest(job=job, request_id=request_id, validate_only=validate_only)
        )

    def get_job(self, name: str) -> Job:
        """Gets one job."""
        return self._calls.unary(self._jobs.GetJob, jobs_pb2.GetJobRequest(name=full_name(name, "jobs")))

    def list_jobs(self) -> Iterator[Job]:
        """All jobs, the newest first."""
        for page in self._calls.pages(self._jobs.ListJobs, jobs_pb2.ListJobsRequest()):
            yield from page.jobs

    def watch_job(self, name: str, after_sequence: int = 0) -> Iterator[JobEvent]:
        """A job's events after the one with sequence `after_sequence`, without gaps, until the job has ended.

        A paused job has not ended: the events go on when it is resumed. A connection that is lost is taken up again
        after the last event seen.

        Raises:
            Unavailable: The daemon was not there from the start, or five tries to reach it again have failed.
        """
        cursor = WatchCursor(full_name(name, "jobs"), after_sequence)
        while True:
            try:
                for response in self._calls.stream(self._jobs.WatchJob, cursor.request()):
                    if event := cursor.take(response):
                        yield event
            except Unavailable as error:
                time.sleep(cursor.delay_s(error))
            else:
                return

    def wait_job(self, name: str, on_event: Callable[[JobEvent], None] | None = None) -> Job:
        """Waits until a job has ended, telling `on_event` what happens meanwhile. Returns the SUCCEEDED job.

        A paused job is waited for too, until it is resumed and ends, or is cancelled.

        Raises:
            JobFailed: The job ended FAILED or CANCELLED.
            Unavailable: As in `watch_job`.
        """
        for event in self.watch_job(name):
            if on_event is not None:
                on_event(event)
        job = self.get_job(name)
        if job.state != Job.STATE_SUCCEEDED:
            raise JobFailed(job)
        return job

    def cancel_job(self, name: str) -> Job:
        """Cancels a job: at once while it waits or is paused, within one step while it runs."""
        return self._calls.unary(self._jobs.CancelJob, jobs_pb2.CancelJobRequest(name=full_name(name, "jobs")))

    def pause_job(self, name: str) -> Job:
        """Pauses a job and returns it once its memory is free; one that ended meanwhile is returned as it ended.

        A tuning finishes its step and writes a checkpoint, from which it goes on when it is resumed. Other jobs start
        over.
        """
        request = jobs_pb2.PauseJobRequest(name=full_name(name, "jobs"))
        return self._calls.unary(self._jobs.PauseJob, request, patient=True)

    def resume_job(self, name: str) -> Job:
        """Puts a paused job back into the queue, at its old place."""
        return self._calls.unary(self._jobs.ResumeJob, jobs_pb2.ResumeJobRequest(name=full_name(name, "jobs")))

    def delete_job(self, name: str) -> None:
        """Deletes a finished job with its events."""
        self._calls.unary(self._jobs.DeleteJob, jobs_pb2.DeleteJobRequest(name=full_name(name, "jobs")))

    # Adapters

    def get_adapter(self, name: str) -> Adapter:
        """Gets one adapter."""
        return self._calls.unary(
            self._adapters.GetAdapter, adapters_pb2.GetAdapterRequest(name=full_name(name, "adapters"))
        )

    def list_adapters(self) -> Iterator[Adapter]:
        """All adapters, the newest first."""
        for page in self._calls.pages(self._adapters.ListAdapters, adapters_pb2.ListAdaptersRequest()):
            yield from page.adapters

    def delete_adapter(self, name: str) -> None:
        """Deletes an adapter that no export or waiting job uses."""
        self._calls.unary(
            self._adapters.DeleteAdapter, adapters_pb2.DeleteAdapterRequest(name=full_name(name, "adapters"))
        )

    # Exports

    def get_export(self, name: str) -> Export:
        """Gets one export."""
        return self._calls.unary(self._exports.GetExport, exports_pb2.GetExportRequest(name=full_name(name, "exports")))

    def list_exports(self) -> Iterator[Export]:
        """All exports, the newest first."""
        for page in self._calls.pages(self._exports.ListExports, exports_pb2.ListExportsRequest()):
            yield from page.exports

    def delete_export(self, name: str) -> None:
        """Deletes an export."""
        self._calls.unary(self._exports.DeleteExport, exports_pb2.DeleteExportRequest(name=full_name(name, "exports")))

    # Reports

    def get_report(self, name: str) -> Report:
        """Gets one report's facts."""
        return self._calls.unary(self._reports.GetReport, reports_pb2.GetReportRequest(name=full_name(name, "reports")))

    def list_reports(self) -> Iterator[Report]:
        """All reports, the newest first."""
        for page in self._calls.pages(self._reports.ListReports, reports_pb2.ListReportsRequest()):
            yield from page.reports

    def delete_report(self, name: str) -> None:
        """Deletes a report."""
        self._calls.unary(self._reports.DeleteReport, reports_pb2.DeleteReportRequest(name=full_name(name, "reports")))

    def download_report(
        self,
        name: str,
        format: ReportFormat = "html",  # noqa: A002  - the word of the contract
    ) -> Iterator[bytes]:
        """A report's file in pieces: one page that needs no network, or every figure as JSON."""
        for response in self._calls.stream(self._reports.DownloadReport, requests.report_request(name, format)):
            yield response.data

    def report_json(self, name: str) -> dict[str, Any]:
        """A report's figures, as docs/evaluation.md describes them."""
        return json.loads(b"".join(self.download_report(name, "json")))

    # Generation

    def generate(
        self,
        model: str,
        messages: Messages | None = None,
        *,
        prompt: str | None = None,
        row: Mapping[str, str] | None = None,
        **sampling: Unpack[Sampling],
    ) -> Iterator[GenerateResponse]:
        """Streams a reply: deltas, then one `done`. Dropping the iterator stops the generation.

        Args:
            model: "exports/…", or "adapters/…" or "models/…" for its newest export.
            messages: The conversation, as messages or {"role": …, "content": …}; rendered with the chat template.
            prompt: Text put before the model as it is, in place of messages.
            row: Values for the slots of the template that the adapter was tuned with, in place of messages; a slot that
                takes many is given as a JSON object.
            **sampling: See `Sampling`.

        Raises:
            InvalidArgument: A value is out of range, or the prompt does not fit the context; nothing is cut off.
        """
        request = requests.generate_request(model, messages, prompt, row, sampling)
        return self._calls.stream(self._generation.Generate, request)

    def complete(
        self,
        model: str,
        messages: Messages | None = None,
        *,
        prompt: str | None = None,
        row: Mapping[str, str] | None = None,
        **sampling: Unpack[Sampling],
    ) -> tuple[str, GenerateDone]:
        """As `generate`, but returns the whole reply, with why it ended and what it used."""
        pieces: list[str] = []
        done: GenerateDone | None = None
        for response in self.generate(model, messages, prompt=prompt, row=row, **sampling):
            if response.HasField("done"):
                done = response.done
            else:
                pieces.append(response.delta)
        if done is None:
            raise Internal("the reply ended without its last message")
        return "".join(pieces), done

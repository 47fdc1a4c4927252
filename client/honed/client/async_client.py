"""The client for asyncio: the methods of `Client`, awaited; their arguments and errors are documented there.

A client belongs to the event loop in which it is made. Files of an upload are read off the loop.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Self, Unpack

from honed.client import requests, uploads
from honed.client.async_calls import AsyncCalls
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


class AsyncClient:
    """A connection to one daemon, for one event loop.

    The address and the token are worked out by `Connection.resolve`. Nothing is sent before the first call.
    `timeout_s` bounds each call that is neither an upload, a preview nor a stream.

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
        self._calls = AsyncCalls(self.connection, timeout_s)
        self._system = SystemServiceStub(self._calls.channel)
        self._models = ModelServiceStub(self._calls.channel)
        self._upload_model = ModelServiceStub(self._calls.upload_channel).UploadModel
        self._datasets = DatasetServiceStub(self._calls.channel)
        self._upload_dataset = DatasetServiceStub(self._calls.upload_channel).UploadDataset
        self._templates = TemplateServiceStub(self._calls.channel)
        self._jobs = JobServiceStub(self._calls.channel)
        self._adapters = AdapterServiceStub(self._calls.channel)
        self._exports = ExportServiceStub(self._calls.channel)
        self._reports = ReportServiceStub(self._calls.channel)
        self._generation = GenerationServiceStub(self._calls.channel)

    async def close(self) -> None:
        """Ends all calls under way and closes the connection."""
        await self._calls.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    # The daemon

    async def get_status(self) -> system_pb2.Status:
        """The daemon's version, memory, free disk, queue and engines."""
        return await self._calls.unary(self._system.GetStatus, system_pb2.GetStatusRequest())

    # Models

    async def import_model(self, model_id: str, path: str, *, request_id: str = "") -> Job:
        """Imports a model from a path on the server, below one of its import roots. Returns the queued job."""
        request = models_pb2.ImportModelRequest(model_id=model_id, path=path, request_id=request_id)
        return await self._calls.unary(self._models.ImportModel, request)

    async def upload_model(
        self,
        model_id: str,
        path: FilePath,
        expected_sha256: dict[str, str] | None = None,
        on_bytes: OnBytes | None = None,
    ) -> Job:
        """Uploads a GGUF file or a safetensors folder of this machine. Returns the queued import job."""
        header = UploadModelHeader(model_id=model_id, expected_sha256=expected_sha256)
        return await self._calls.upload(self._upload_model, uploads.model_stream(header, path, on_bytes))

    async def get_model(self, name: str) -> Model:
        """Gets one model."""
        return await self._calls.unary(
            self._models.GetModel, models_pb2.GetModelRequest(name=full_name(name, "models"))
        )

    async def list_models(self) -> AsyncIterator[Model]:
        """All models, the newest first."""
        async for page in self._calls.pages(self._models.ListModels, models_pb2.ListModelsRequest()):
            for item in page.models:
                yield item

    async def delete_model(self, name: str) -> None:
        """Deletes a model that no adapter, export or waiting job uses."""
        await self._calls.unary(self._models.DeleteModel, models_pb2.DeleteModelRequest(name=full_name(name, "models")))

    # Data sets

    async def upload_dataset(
        self,
        dataset_id: str,
        train: FilePath,
        *,
        test: FilePath | None = None,
        on_bytes: OnBytes | None = None,
        **options: Unpack[TableOptions],
    ) -> Dataset:
        """Uploads a table and waits until every row has been checked; on a bad row nothing is kept."""
        header = requests.dataset_header(dataset_id, options)
        return await self._calls.upload(self._upload_dataset, uploads.dataset_stream(header, train, test, on_bytes))

    async def get_dataset(self, name: str) -> Dataset:
        """Gets one data set."""
        return await self._calls.unary(
            self._datasets.GetDataset, datasets_pb2.GetDatasetRequest(name=full_name(name, "datasets"))
        )

    async def list_datasets(self) -> AsyncIterator[Dataset]:
        """All data sets, the newest first."""
        async for page in self._calls.pages(self._datasets.ListDatasets, datasets_pb2.ListDatasetsRequest()):
            for item in page.datasets:
                yield item

    async def delete_dataset(self, name: str) -> None:
        """Deletes a data set that no adapter or waiting job uses."""
        await self._calls.unary(
            self._datasets.DeleteDataset, datasets_pb2.DeleteDatasetRequest(name=full_name(name, "datasets"))
        )

    async def preview_dataset(self, name: str, model: str, rows: int = 3) -> PreviewDatasetResponse:
        """The first training rows as `model` sees them: token by token, with the part under the loss marked."""
        request = datasets_pb2.PreviewDatasetRequest(
            name=full_name(name, "datasets"), model=full_name(model, "models"), rows=rows
        )
        return await self._calls.unary(self._datasets.PreviewDataset, request, patient=True)

    # Templates

    async def create_template(self, template: Template) -> Template:
        """Creates a template, or the next version of one that exists."""
        return await self._calls.unary(self._templates.CreateTemplate, requests.template_request(template))

    async def get_template(self, name: str, version: int = 0) -> Template:
        """Gets one template; version 0 is the newest."""
        request = templates_pb2.GetTemplateRequest(name=full_name(name, "templates"), version=version)
        return await self._calls.unary(self._templates.GetTemplate, request)

    async def list_templates(self) -> AsyncIterator[Template]:
        """The newest version of every template: the built-in ones, then the others, the newest first."""
        async for page in self._calls.pages(self._templates.ListTemplates, templates_pb2.ListTemplatesRequest()):
            for item in page.templates:
                yield item

    async def delete_template(self, name: str) -> None:
        """Deletes a template with all its versions; data sets made with it keep theirs."""
        await self._calls.unary(
            self._templates.DeleteTemplate, templates_pb2.DeleteTemplateRequest(name=full_name(name, "templates"))
        )

    # Jobs

    async def tune(self, spec: TuneSpec) -> Job:
        """Queues fine-tuning. What the spec leaves unset is the daemon's default; names in it may be bare."""
        return await self.create_job(requests.tune_job(spec))

    async def plan(self, spec: TuneSpec) -> Job:
        """What a tuning would do, in the job's `plan`; nothing is queued."""
        return await self.create_job(requests.tune_job(spec), validate_only=True)

    async def sweep(self, spec: SweepSpec) -> Job:
        """Queues fine-tuning with several settings, of which the best is kept. The job's `trials` say how each did."""
        return await self.create_job(requests.sweep_job(spec))

    async def evaluate(
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
        """Queues an evaluation of all subjects on the same test rows. The job's result is its report."""
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
        return await self.create_job(job)

    async def combine(
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
        """Queues the combination of adapters into a new one, which is then evaluated."""
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
        return await self.create_job(job)

    async def export(
        self,
        export_id: str,
        source: str,
        *,
        format: GraphFormat = "onnx-int8",  # noqa: A002  - the word of the contract
        dataset: str | None = None,
    ) -> Job:
        """Queues the conversion of "adapters/…" or "models/…" into what the engine serves."""
        return await self.create_job(requests.export_job(export_id, source, format, dataset))

    async def create_job(self, job: Job, *, request_id: str = "", validate_only: bool = False) -> Job:
        """Queues a job, of which `spec` alone is read."""
        return await self._calls.unary(
            self._jobs.CreateJob, jobs_pb2.CreateJobRequest(job=job, request_id=request_id, validate_only=validate_only)
        )

    async def get_job(self, name: str) -> Job:
        """Gets one job."""
        return await self._calls.unary(self._jobs.GetJob, jobs_pb2.GetJobRequest(name=full_name(name, "jobs")))

    async def list_jobs(self) -> AsyncIterator[Job]:
        """All jobs, the newest first."""
        async for page in self._calls.pages(self._jobs.ListJobs, jobs_pb2.ListJobsRequest()):
            for item in page.jobs:
                yield item

    async def watch_job(self, name: str, after_sequence: int = 0) -> AsyncIterator[JobEvent]:
        """A job's events after the one with sequence `after_sequence`, without gaps, until the job has ended."""
        cursor = WatchCursor(full_name(name, "jobs"), after_sequence)
        while True:
            try:
                async with aclosing(self._calls.stream(self._jobs.WatchJob, cursor.request())) as responses:
                    async for response in responses:
                        if event := cursor.take(response):
                            yield event
            except Unavailable as error:
                await asyncio.sleep(cursor.delay_s(error))
            else:
                return

    async def wait_job(self, name: str, on_event: Callable[[JobEvent], None] | None = None) -> Job:
        """Waits until a job has ended, telling `on_event` what happens meanwhile. Returns the SUCCEEDED job."""
        async for event in self.watch_job(name):
            if on_event is not None:
                on_event(event)
        job = await self.get_job(name)
        if job.state != Job.STATE_SUCCEEDED:
            raise JobFailed(job)
        return job

    async def cancel_job(self, name: str) -> Job:
        """Cancels a job: at once while it waits or is paused, within one step while it runs."""
        return await self._calls.unary(self._jobs.CancelJob, jobs_pb2.CancelJobRequest(name=full_name(name, "jobs")))

    async def pause_job(self, name: str) -> Job:
        """Pauses a job and returns it once its memory is free; one that ended meanwhile is returned as it ended."""
        request = jobs_pb2.PauseJobRequest(name=full_name(name, "jobs"))
        return await self._calls.unary(self._jobs.PauseJob, request, patient=True)

    async def resume_job(self, name: str) -> Job:
        """Puts a paused job back into the queue, at its old place."""
        return await self._calls.unary(self._jobs.ResumeJob, jobs_pb2.ResumeJobRequest(name=full_name(name, "jobs")))

    async def delete_job(self, name: str) -> None:
        """Deletes a finished job with its events."""
        await self._calls.unary(self._jobs.DeleteJob, jobs_pb2.DeleteJobRequest(name=full_name(name, "jobs")))

    # Adapters

    async def get_adapter(self, name: str) -> Adapter:
        """Gets one adapter."""
        return await self._calls.unary(
            self._adapters.GetAdapter, adapters_pb2.GetAdapterRequest(name=full_name(name, "adapters"))
        )

    async def list_adapters(self) -> AsyncIterator[Adapter]:
        """All adapters, the newest first."""
        async for page in self._calls.pages(self._adapters.ListAdapters, adapters_pb2.ListAdaptersRequest()):
            for item in page.adapters:
                yield item

    async def delete_adapter(self, name: str) -> None:
        """Deletes an adapter that no export or waiting job uses."""
        await self._calls.unary(
            self._adapters.DeleteAdapter, adapters_pb2.DeleteAdapterRequest(name=full_name(name, "adapters"))
        )

    # Exports

    async def get_export(self, name: str) -> Export:
        """Gets one export."""
        return await self._calls.unary(
            self._exports.GetExport, exports_pb2.GetExportRequest(name=full_name(name, "exports"))
        )

    async def list_exports(self) -> AsyncIterator[Export]:
        """All exports, the newest first."""
        async for page in self._calls.pages(self._exports.ListExports, exports_pb2.ListExportsRequest()):
            for item in page.exports:
                yield item

    async def delete_export(self, name: str) -> None:
        """Deletes an export."""
        await self._calls.unary(
            self._exports.DeleteExport, exports_pb2.DeleteExportRequest(name=full_name(name, "exports"))
        )

    # Reports

    async def get_report(self, name: str) -> Report:
        """Gets one report's facts."""
        return await self._calls.unary(
            self._reports.GetReport, reports_pb2.GetReportRequest(name=full_name(name, "reports"))
        )

    async def list_reports(self) -> AsyncIterator[Report]:
        """All reports, the newest first."""
        async for page in self._calls.pages(self._reports.ListReports, reports_pb2.ListReportsRequest()):
            for item in page.reports:
                yield item

    async def delete_report(self, name: str) -> None:
        """Deletes a report."""
        await self._calls.unary(
            self._reports.DeleteReport, reports_pb2.DeleteReportRequest(name=full_name(name, "reports"))
        )

    async def download_report(
        self,
        name: str,
        format: ReportFormat = "html",  # noqa: A002  - the word of the contract
    ) -> AsyncIterator[bytes]:
        """A report's file in pieces: one page that needs no network, or every figure as JSON."""
        call = self._calls.stream(self._reports.DownloadReport, requests.report_request(name, format))
        async with aclosing(call) as responses:
            async for response in responses:
                yield response.data

    async def report_json(self, name: str) -> dict[str, Any]:
        """A report's figures, as docs/evaluation.md describes them."""
        return json.loads(b"".join([piece async for piece in self.download_report(name, "json")]))

    # Generation

    def generate(
        self,
        model: str,
        messages: Messages | None = None,
        *,
        prompt: str | None = None,
        row: Mapping[str, str] | None = None,
        **sampling: Unpack[Sampling],
    ) -> AsyncIterator[GenerateResponse]:
        """Streams a reply: deltas, then one `done`. Dropping the iterator stops the generation."""
        request = requests.generate_request(model, messages, prompt, row, sampling)
        return self._calls.stream(self._generation.Generate, request)

    async def complete(
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
        async for response in self.generate(model, messages, prompt=prompt, row=row, **sampling):
            if response.HasField("done"):
                done = response.done
            else:
                pieces.append(response.delta)
        if done is None:
            raise Internal("the reply ended without its last message")
        return "".join(pieces), done

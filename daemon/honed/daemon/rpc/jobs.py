"""JobService: puts jobs into the queue, shows them, streams their events, pauses and ends them."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from google.protobuf import empty_pb2
from grpc.aio import ServicerContext
from honed.daemon.core import Core
from honed.daemon.rpc import convert
from honed.daemon.rpc.combining import complete_combine, require_one_contract, require_several
from honed.daemon.rpc.methods import require_combinable, require_continued, require_served, unserved
from honed.daemon.rpc.names import check_name, check_names, new_name
from honed.daemon.rpc.paging import page_bounds, page_of
from honed.daemon.rpc.specs import (
    complete_evaluate,
    complete_export,
    complete_sweep,
    complete_tune,
    require_learnable,
    require_used,
    take_over,
)
from honed.daemon.store import LIVE, Job, Makes, NewJob, cannot_generate
from honed.errors import InvalidInput, WrongState
from honed.rpc_edge import principal
from honed.v1 import jobs_pb2, jobs_pb2_grpc
from honed.worker.contract import (
    CombineWork,
    EvaluateWork,
    Event,
    ExportWork,
    Limits,
    PlanWork,
    SweepWork,
    TuneWork,
    Work,
    now,
)

Context = ServicerContext[Any, Any]
_HEARTBEAT_S = 15.0
_MAX_SUBJECTS = 8
_PLAN_LIMITS = Limits(wall_s=300.0)  # what it reads has been checked at its upload


class JobService(jobs_pb2_grpc.JobServiceServicer):
    """See jobs.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def CreateJob(self, request: jobs_pb2.CreateJobRequest, context: Context) -> jobs_pb2.Job:
        if not request.validate_only and (earlier := self._core.jobs.of_request(request.request_id)):
            return self._message(earlier)
        spec = jobs_pb2.Job()
        kind = request.job.WhichOneof("spec")
        if kind == "tune":
            spec.tune.CopyFrom(request.job.tune)
            self._take_over(spec.tune)
            work, inputs, makes = self._tune(spec.tune, complete_tune(spec.tune), "job.tune")
        elif kind == "sweep":
            spec.sweep.CopyFrom(request.job.sweep)
            work, inputs, makes = self._sweep(spec.sweep)
        elif kind == "evaluate":
            spec.evaluate.CopyFrom(request.job.evaluate)
            work, inputs, makes = self._evaluate(spec.evaluate)
        elif kind == "export":
            spec.export.CopyFrom(request.job.export)
            work, inputs, makes = self._export(spec.export)
        elif kind == "combine":
            spec.combine.CopyFrom(request.job.combine)
            work, inputs, makes = self._combine(spec.combine)
        else:
            raise InvalidInput.of_field(
                "job.spec", "expected tune, sweep, evaluate, export or combine; models come with ImportModel"
            )
        if request.validate_only:
            return await self._planned(spec, work, inputs, makes)
        job = self._core.enqueue(
            NewJob(
                owner=principal.get(),
                kind=work.kind,
                request=spec.SerializeToString(),
                work=asdict(work),
                inputs=inputs,
                makes=makes,
                request_id=request.request_id or None,
            )
        )
        if kind == "tune" and (word := unserved(spec.tune)):
            text = f"No export can serve what {word} makes yet; it can be evaluated: hone eval {job.target}."
            self._core.jobs.record(job, Event(0, now(), "log", {"text": text}))
        return self._message(job)

    async def _planned(
        self, spec: jobs_pb2.Job, work: Work, inputs: Sequence[str], makes: dict[str, Makes]
    ) -> jobs_pb2.Job:
        """The job as it would be, and what a tuning would do."""
        for made in makes.values():
            self._core.resources.require_free(made.name)
        if isinstance(work, TuneWork):
            with self._core.resources.held(*inputs):
                spec.plan.CopyFrom(convert.plan(await self._core.ask(PlanWork(asdict(work)), _PLAN_LIMITS)))
        return spec

    async def GetJob(self, request: jobs_pb2.GetJobRequest, context: Context) -> jobs_pb2.Job:
        return self._message(self._job(request.name))

    async def ListJobs(self, request: jobs_pb2.ListJobsRequest, context: Context) -> jobs_pb2.ListJobsResponse:
        before, limit = page_bounds(request.page_size, request.page_token)
        stored = self._core.jobs.page(before, limit)
        jobs, token = page_of(((each.number, self._message(each)) for each in stored), limit)
        return jobs_pb2.ListJobsResponse(jobs=jobs, next_page_token=token)

    async def WatchJob(
        self, request: jobs_pb2.WatchJobRequest, context: Context
    ) -> AsyncIterator[jobs_pb2.WatchJobResponse]:
        if request.after_sequence < 0:
            raise InvalidInput.of_field("after_sequence", f"expected 0 or more, found {request.after_sequence}")
        job = self._job(request.name)
        cursor = request.after_sequence
        sent = time.monotonic()
        while True:
            job = self._job(request.name)  # read before the events, so that an ended job has no later ones
            if events := self._core.jobs.events(job, cursor):
                for event in events:
                    yield jobs_pb2.WatchJobResponse(event=convert.job_event(event))
                cursor = events[-1].sequence
                sent = time.monotonic()
                continue  # the job may have ended meanwhile
            if job.state not in LIVE:
                return
            changed = await self._core.supervisor.changed(max(0.0, sent + _HEARTBEAT_S - time.monotonic()))
            if not changed:
                yield jobs_pb2.WatchJobResponse()
                sent = time.monotonic()

    async def CancelJob(self, request: jobs_pb2.CancelJobRequest, context: Context) -> jobs_pb2.Job:
        return self._message(await self._core.supervisor.cancel(self._live_job(request.name, "cancel")))

    async def PauseJob(self, request: jobs_pb2.PauseJobRequest, context: Context) -> jobs_pb2.Job:
        return self._message(await self._core.supervisor.pause(self._live_job(request.name, "pause")))

    async def ResumeJob(self, request: jobs_pb2.ResumeJobRequest, context: Context) -> jobs_pb2.Job:
        job = self._job(request.name)
        self._core.state.require_room()  # a job that starts without room fails, and its checkpoints go with it
        return self._message(self._core.supervisor.resume(job))

    async def DeleteJob(self, request: jobs_pb2.DeleteJobRequest, context: Context) -> empty_pb2.Empty:
        job = self._job(request.name)
        self._core.jobs.delete(job)
        await asyncio.to_thread(self._core.state.remove_job_folder, job.id)
        return empty_pb2.Empty()

    def _job(self, name: str) -> Job:
        return self._core.jobs.get(check_name(name, "name", "jobs").removeprefix("jobs/"))

    def _live_job(self, name: str, verb: str) -> Job:
        job = self._job(name)
        if job.state not in LIVE:
            raise WrongState(
                f"{job.name} has ended ({job.state}); there is nothing to {verb}.",
                reason="JOB_NOT_RUNNING",
                resource=job.name,
            )
        return job

    def _message(self, job: Job) -> jobs_pb2.Job:
        return convert.job(job, self._core.jobs.evaluations(job), self._core.jobs.trials(job))

    def _take_over(self, spec: jobs_pb2.TuneSpec) -> None:
        """Fills in what an adapter to go on from settles."""
        if spec.adapter:
            check_name(spec.adapter, "job.tune.adapter", "adapters")
            earlier = convert.adapter(self._core.resources.get(spec.adapter)).spec
            self._require_text(spec.adapter, "job.tune.adapter", "no tuning can go on from it yet")
            require_continued(spec.adapter, earlier)
            take_over(spec, earlier)

    def _tune(
        self, spec: jobs_pb2.TuneSpec, settings: dict[str, Any], where: str
    ) -> tuple[TuneWork, tuple[str, ...], dict[str, Makes]]:
        """`settings`: of the spec, completed; `where`: the field that the spec is."""
        check_name(spec.model, f"{where}.model", "models")
        check_name(spec.dataset, f"{where}.dataset", "datasets")
        name = new_name("adapters", spec.adapter_id, f"{where}.adapter_id")
        core = self._core
        data = core.resources.get(spec.dataset).facts
        require_learnable(spec, data, core.resources.get(spec.model).facts["architecture"], where)
        if spec.earlier_datasets:
            self._require_test_rows(spec.dataset, f"{where}.dataset")
        check_names(spec.replay_datasets, f"{where}.replay_datasets", "datasets")
        if spec.dataset in spec.replay_datasets:
            raise InvalidInput.of_field(
                f"{where}.replay_datasets", f"{spec.dataset} is the job's own data set; expected other ones"
            )
        evaluate = not spec.skip_evaluation and self._has_test_rows(spec.dataset)
        replayed = [name for name in spec.replay_datasets if self._has_test_rows(name)] if evaluate else []
        work = TuneWork(
            model=core.folder(spec.model),
            dataset=core.folder(spec.dataset),
            model_name=spec.model,
            dataset_name=spec.dataset,
            adapter_name=name,
            evaluate=evaluate,
            checkpoint_every_s=core.config.checkpoint_every_s,
            memory_bytes=core.config.tune_memory_bytes or None,
            earlier=self._earlier(spec.earlier_datasets, spec.dataset, f"{where}.earlier_datasets", replayed),
            adapter=core.folder(spec.adapter) if spec.adapter else None,
            replay=self._folders(spec.replay_datasets),
            **settings,
        )
        report = _new_report() if evaluate else {}
        facts = {
            "spec": spec.SerializeToString().hex(),
            "report": next((made.name for made in report.values()), ""),
        }
        parents = (spec.model, spec.dataset)
        source = (spec.adapter,) if spec.adapter else ()
        inputs = (*parents, *spec.earlier_datasets, *spec.replay_datasets, *source)
        return work, inputs, {"adapter": Makes(name, parents, facts)} | report

    def _sweep(self, spec: jobs_pb2.SweepSpec) -> tuple[Work, tuple[str, ...], dict[str, Makes]]:
        settings, search = complete_sweep(spec)
        tune, inputs, makes = self._tune(spec.tune, settings, "job.sweep.tune")
        return SweepWork(tune=asdict(tune), **search), inputs, makes

    def _evaluate(self, spec: jobs_pb2.EvaluateSpec) -> tuple[Work, tuple[str, ...], dict[str, Makes]]:
        if not 1 <= len(spec.subjects) <= _MAX_SUBJECTS:
            raise InvalidInput.of_field(
                "job.evaluate.subjects", f"expected 1 to {_MAX_SUBJECTS}, found {len(spec.subjects)}"
            )
        check_names(spec.subjects, "job.evaluate.subjects", "models", "adapters", "exports")
        check_name(spec.dataset, "job.evaluate.dataset", "datasets")
        self._require_test_rows(spec.dataset, "job.evaluate.dataset")
        core = self._core
        facts = core.resources.get(spec.dataset).facts
        for name in spec.subjects:
            self._require_answers(name, spec.dataset, facts)
        settings = complete_evaluate(spec, facts["slice_columns"])
        work = EvaluateWork(
            dataset=core.folder(spec.dataset),
            dataset_name=spec.dataset,
            subjects=[self._subject(name) for name in spec.subjects],
            earlier=self._earlier(spec.earlier_datasets, spec.dataset, "job.evaluate.earlier_datasets"),
            **settings,
        )
        require_used(
            spec,
            takes_shots=facts["task"] != "text" and facts["shape"] != "preference",
            forgets=any(name.startswith("adapters/") and not self._labels_of(name) for name in spec.subjects),
        )
        return work, (*spec.subjects, spec.dataset, *spec.earlier_datasets), _new_report()

    def _export(self, spec: jobs_pb2.ExportSpec) -> tuple[Work, tuple[str, ...], dict[str, Makes]]:
        check_name(spec.source, "job.export.source", "adapters", "models")
        name = new_name("exports", spec.export_id, "job.export.export_id")
        export_format = complete_export(spec)
        core = self._core
        model = self._base_of(spec.source)
        self._require_text(spec.source, "job.export.source", "it cannot be exported yet")
        if spec.source != model:
            require_served(spec.source, convert.adapter(core.resources.get(spec.source)).spec)
        if spec.dataset:
            check_name(spec.dataset, "job.export.dataset", "datasets")
            self._require_test_rows(spec.dataset, "job.export.dataset")
        elif spec.source != model:
            dataset = convert.adapter(core.resources.get(spec.source)).dataset
            spec.dataset = dataset if dataset and self._has_test_rows(dataset) else ""
        work = ExportWork(
            model=core.folder(model),
            adapter=core.folder(spec.source) if spec.source != model else None,
            dataset=core.folder(spec.dataset) if spec.dataset else None,
            dataset_name=spec.dataset,
            format=export_format,
        )
        inputs = tuple(dict.fromkeys(each for each in (spec.source, model, spec.dataset) if each))
        facts = {"source": spec.source, "model": model}
        return work, inputs, {"export": Makes(name, tuple(dict.fromkeys((spec.source, model))), facts)}

    def _combine(self, spec: jobs_pb2.CombineSpec) -> tuple[Work, tuple[str, ...], dict[str, Makes]]:
        core = self._core
        require_several(spec)
        names = tuple(each.adapter for each in spec.adapters)
        check_names(names, "job.combine.adapters", "adapters")
        name = new_name("adapters", spec.adapter_id, "job.combine.adapter_id")
        for each in names:
            self._require_text(each, "job.combine.adapters", "it cannot be combined yet")
        sources = [convert.adapter(core.resources.get(each)) for each in names]
        require_one_contract({each: core.resources.get(each).facts["contract"] for each in names})
        require_combinable({each.name: each.spec for each in sources})
        settings = complete_combine(spec, [source.spec.rank for source in sources])
        if spec.dataset:
            check_name(spec.dataset, "job.combine.dataset", "datasets")
            self._require_test_rows(spec.dataset, "job.combine.dataset")
        else:
            spec.dataset = sources[0].dataset
        evaluate = not spec.skip_evaluation and bool(spec.dataset) and self._has_test_rows(spec.dataset)
        others = {source.dataset: None for source in sources if source.dataset not in ("", spec.dataset)}
        earlier = [each for each in others if self._has_test_rows(each)] if evaluate else []
        model = sources[0].model
        work = CombineWork(
            model=core.folder(model),
            sources=self._folders(names),
            adapter_name=name,
            dataset=core.folder(spec.dataset) if evaluate else None,
            dataset_name=spec.dataset,
            earlier=self._folders(earlier),
            target_modules=list(sources[0].spec.target_modules),
            **settings,
        )
        came_to = jobs_pb2.TuneSpec(
            model=model,
            dataset=spec.dataset,
            adapter_id=spec.adapter_id,
            base_precision=sources[0].spec.base_precision,
            method=jobs_pb2.METHOD_LORA,
            target_modules=work.target_modules,
            rank=work.rank,
            alpha=work.rank,
        )
        report = _new_report() if evaluate else {}
        facts = {
            "spec": came_to.SerializeToString().hex(),
            "combine": spec.SerializeToString().hex(),
            "report": next((made.name for made in report.values()), ""),
        }
        # The adapters are no parents: they may go, since nothing of them is needed any more.
        parents = (model, spec.dataset) if spec.dataset else (model,)
        return work, (*parents, *names, *earlier), {"adapter": Makes(name, parents, facts)} | report

    def _subject(self, name: str) -> dict[str, str]:
        """A subject as EvaluateWork takes it."""
        folder = self._core.folder(name)
        return {
            "name": name,
            "model": self._core.folder(self._base_of(name)),
            "adapter": folder if name.startswith("adapters/") else "",
            "export": folder if name.startswith("exports/") else "",
        }

    def _require_text(self, name: str, field: str, what: str) -> None:
        """Raises InvalidInput if a model or adapter writes no text; `what`: what cannot be done with it."""
        if why := cannot_generate(self._core.resources.get(name)):
            raise InvalidInput.of_field(field, f"{name} {why}; {what}")

    def _require_answers(self, name: str, dataset: str, facts: dict[str, Any]) -> None:
        """Raises InvalidInput if a subject cannot answer rows of this data set."""
        field, labels = "job.evaluate.subjects", self._labels_of(name)
        unknown = sorted(set(facts["labels"]) - set(labels))
        if labels and (unknown or not facts["labels"]):
            others = f"others: {', '.join(unknown)[:300]}" if unknown else "none"
            raise InvalidInput.of_field(
                field, f"{name} has a head for its own labels alone, and {dataset} has {others}"
            )
        if name.startswith("models/"):
            self._require_text(name, field, "evaluate an adapter that was tuned on it")

    def _labels_of(self, name: str) -> list[str]:
        """Labels of an adapter's classification head; empty for all else."""
        return self._core.resources.get(name).facts.get("labels", []) if name.startswith("adapters/") else []

    def _earlier(
        self, names: Sequence[str], dataset: str, field: str, also: Sequence[str] = ()
    ) -> list[dict[str, str]]:
        """The data sets on which forgetting is measured, those named and others, as workers take them."""
        check_names(names, field, "datasets")
        if dataset in names:
            raise InvalidInput.of_field(field, f"{dataset} is the job's own data set; expected other ones")
        for name in names:
            self._require_test_rows(name, field)
        return self._folders(dict.fromkeys((*names, *also)))

    def _folders(self, names: Iterable[str]) -> list[dict[str, str]]:
        return [{"name": name, "folder": self._core.folder(name)} for name in names]

    def _base_of(self, name: str) -> str:
        """The model below a model, adapter or export."""
        resource = self._core.resources.get(name)
        if name.startswith("adapters/"):
            return convert.adapter(resource).model
        return resource.facts["model"] if name.startswith("exports/") else name

    def _has_test_rows(self, dataset: str) -> bool:
        return self._core.resources.get(dataset).facts["test_rows"] > 0

    def _require_test_rows(self, dataset: str, field: str) -> None:
        if not self._has_test_rows(dataset):
            raise InvalidInput.of_field(field, f"{dataset} has no test rows; add it with a test split or a test file")


def _new_report() -> dict[str, Makes]:
    """A report under a name that is free; it outlives what it is about."""
    return {"report": Makes(f"reports/{secrets.token_hex(6)}", (), {})}

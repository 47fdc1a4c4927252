import re

import pytest
from honed.daemon.rpc.jobs import JobService
from honed.errors import InvalidInput, NoRoom, NotFound, WrongState
from honed.v1.jobs_pb2 import (
    OBJECTIVE_CLASSIFICATION,
    Augmentation,
    CreateJobRequest,
    EvaluateSpec,
    ExportSpec,
    Job,
    ResumeJobRequest,
    TuneSpec,
)
from honed.worker.contract import EvaluateWork, TuneWork


@pytest.fixture
def service(core, publish, dataset_facts):
    """With two models, an adapter and an export of each, an encoder, an adapter with a head, and data sets."""

    def tuned(name, model, **facts):
        spec = TuneSpec(model=model, dataset="datasets/d").SerializeToString().hex()
        made = {"contract": {}, "training": {"seconds": 1.0}, "evaluations": [], "report": "", "augmented_rows": {}}
        publish(name, (model, "datasets/d"), spec=spec, **made | facts)

    publish("datasets/d", **dataset_facts)
    publish("datasets/old", **dataset_facts)
    publish("datasets/untested", **dataset_facts | {"test_rows": 0})
    publish("datasets/tales", **dataset_facts | {"shape": "text", "task": "text", "labels": []})
    publish("datasets/pairs", **dataset_facts | {"shape": "preference", "task": "generate", "labels": []})
    publish("datasets/other", **dataset_facts | {"labels": ["card", "loan"]})
    publish("models/reader", architecture="bert")
    for model, adapter, export in (("m", "a", "e"), ("n", "b", "f")):
        publish(f"models/{model}", architecture="llama")
        tuned(f"adapters/{adapter}", f"models/{model}")
        publish(
            f"exports/{export}",
            (f"adapters/{adapter}", f"models/{model}"),
            source=f"adapters/{adapter}",
            model=f"models/{model}",
        )
    tuned("adapters/head", "models/m", labels=["card", "refund"])
    return JobService(core)


@pytest.fixture
def create(core, service):
    """Queues a job and gives it as the store keeps it."""

    async def create(job):
        message = await service.CreateJob(CreateJobRequest(job=job), None)
        return core.jobs.get(message.name.removeprefix("jobs/"))

    return create


HEAD, ALL_TOKENS = "OBJECTIVE_CLASSIFICATION", "OBJECTIVE_ALL_TOKENS"


def tuning(**values):
    return Job(tune=TuneSpec(**{"model": "models/m", "dataset": "datasets/d", "adapter_id": "new", **values}))


def evaluation(*subjects, **values):
    return Job(evaluate=EvaluateSpec(subjects=subjects, **{"dataset": "datasets/d", **values}))


async def refusal(create, job):
    with pytest.raises(InvalidInput) as caught:
        await create(job)
    ((field, what),) = caught.value.violations
    return field, what


async def test_a_tuning_reaches_the_worker_with_names_folders_and_defaults(core, create):
    job = await create(tuning(earlier_datasets=["datasets/old"], augmentation=Augmentation(casing=2)))
    work = TuneWork(**job.work)
    assert (work.model, work.model_name) == (core.folder("models/m"), "models/m")
    assert (work.dataset, work.dataset_name) == (core.folder("datasets/d"), "datasets/d")
    assert (work.adapter_name, work.evaluate, work.max_evaluation_rows) == ("adapters/new", True, 500)
    assert work.earlier == [{"name": "datasets/old", "folder": core.folder("datasets/old")}]
    assert work.augmentation == {"casing": 2}


async def test_every_objective_reaches_the_worker_under_its_name(create):
    names = {"OBJECTIVE_UNSPECIFIED": "completion", ALL_TOKENS: "all_tokens", HEAD: "classification"}
    for number, (objective, name) in enumerate(names.items()):
        job = await create(tuning(objective=objective, adapter_id=f"new-{number}"))
        assert job.work["objective"] == name
    spec = TuneSpec.FromString(bytes.fromhex(job.makes["adapter"].facts["spec"]))
    assert spec.objective == OBJECTIVE_CLASSIFICATION


async def test_an_encoder_learns_to_classify(create):
    job = await create(tuning(model="models/reader", objective=HEAD, augmentation=Augmentation(typos=1)))
    assert job.work["objective"] == "classification"


async def test_a_tuning_that_measures_makes_an_adapter_and_its_report(create):
    job = await create(tuning())
    adapter, report = job.makes["adapter"], job.makes["report"]
    assert list(job.makes) == ["adapter", "report"]
    assert (job.target, adapter.name, adapter.parents) == ("adapters/new", "adapters/new", ("models/m", "datasets/d"))
    assert re.fullmatch(r"reports/[0-9a-f]{12}", report.name)
    assert (report.parents, report.facts) == ((), {})
    assert adapter.facts["report"] == report.name
    spec = TuneSpec.FromString(bytes.fromhex(adapter.facts["spec"]))
    assert (spec.rank, spec.max_evaluation_rows) == (16, 500)


@pytest.mark.parametrize("values", [{"skip_evaluation": True}, {"dataset": "datasets/untested"}])
async def test_a_tuning_that_measures_nothing_makes_no_report(create, values):
    job = await create(tuning(**values))
    assert list(job.makes) == ["adapter"]
    assert job.makes["adapter"].facts["report"] == ""
    assert job.work["evaluate"] is False


async def test_an_earlier_data_set_is_read_but_nothing_is_made_from_it(core, create):
    job = await create(tuning(earlier_datasets=["datasets/old"]))
    with pytest.raises(WrongState, match=job.name):
        core.resources.delete("datasets/old")
    core.jobs.set_state(job, "CANCELLED")
    core.resources.delete("datasets/old")


async def test_every_subject_of_an_evaluation_comes_with_its_base(core, create):
    job = await create(evaluation("models/m", "adapters/b", "exports/e", shots=[0, 4], max_rows=10))
    work = EvaluateWork(**job.work)
    assert work.subjects == [
        {"name": "models/m", "model": core.folder("models/m"), "adapter": "", "export": ""},
        {"name": "adapters/b", "model": core.folder("models/n"), "adapter": core.folder("adapters/b"), "export": ""},
        {"name": "exports/e", "model": core.folder("models/m"), "adapter": "", "export": core.folder("exports/e")},
    ]
    assert (work.dataset, work.dataset_name) == (core.folder("datasets/d"), "datasets/d")
    assert (work.shots, work.shot_choice, work.max_rows, work.seed) == ([0, 4], "per_label", 10, 0)
    assert work.slice_columns == ["region", "product"]


async def test_an_evaluation_makes_a_report_of_its_own(core, create):
    first = await create(evaluation("adapters/a", "adapters/b", earlier_datasets=["datasets/old"]))
    second = await create(evaluation("adapters/a"))
    assert first.target != second.target
    assert re.fullmatch(r"reports/[0-9a-f]{12}", first.target)
    assert first.makes["report"].parents == ()
    with pytest.raises(WrongState, match=first.name):
        core.resources.delete("datasets/old")


@pytest.mark.parametrize(
    ("job", "field", "part"),
    [
        (evaluation(), "job.evaluate.subjects", "found 0"),
        (evaluation(*["models/m"] * 9), "job.evaluate.subjects", "found 9"),
        (evaluation("models/m", "exports/e", "models/m"), "job.evaluate.subjects", "models/m is given twice"),
        (evaluation("datasets/d"), "job.evaluate.subjects", "'datasets/d'"),
        (evaluation("models/m", dataset="d"), "job.evaluate.dataset", "'d'"),
        (evaluation("models/m", dataset="datasets/untested"), "job.evaluate.dataset", "no test rows"),
        (evaluation("models/m", slice_columns=["colour"]), "job.evaluate.slice_columns", "region, product"),
        (
            evaluation("adapters/a", earlier_datasets=["datasets/untested"]),
            "job.evaluate.earlier_datasets",
            "datasets/untested has no test rows",
        ),
        (evaluation("adapters/a", earlier_datasets=["datasets/d"]), "job.evaluate.earlier_datasets", "own data set"),
        (
            evaluation("adapters/a", earlier_datasets=["datasets/old", "datasets/old"]),
            "job.evaluate.earlier_datasets",
            "twice",
        ),
        (evaluation("models/m", earlier_datasets=["datasets/old"]), "job.evaluate.earlier_datasets", "an adapter"),
        (evaluation("adapters/a", "exports/e", shots=[3]), "job.evaluate.shots", "a model"),
        (evaluation("adapters/a", shot_choice="SHOT_CHOICE_SIMILAR"), "job.evaluate.shot_choice", "a model"),
        (evaluation("models/m", shots=[3], dataset="datasets/tales"), "job.evaluate.shots", "are read"),
        (tuning(skip_evaluation=True, few_shot=3), "job.tune.few_shot", "skip_evaluation"),
        (tuning(skip_evaluation=True, max_evaluation_rows=3), "job.tune.max_evaluation_rows", "skip_evaluation"),
        (tuning(earlier_datasets=["models/m"]), "job.tune.earlier_datasets", "'models/m'"),
        (tuning(earlier_datasets=["datasets/untested"]), "job.tune.earlier_datasets", "no test rows"),
        (
            tuning(dataset="datasets/untested", earlier_datasets=["datasets/old"]),
            "job.tune.dataset",
            "datasets/untested has no test rows",
        ),
        (tuning(max_evaluation_rows=0), "job.tune.max_evaluation_rows", "found 0"),
        (tuning(dataset="datasets/tales", objective=HEAD), "job.tune.objective", "datasets/tales has no labels"),
        (tuning(dataset="datasets/pairs", objective=ALL_TOKENS), "job.tune.objective", "expected COMPLETION"),
        (tuning(objective=7), "job.tune.objective", "found 7"),
        (tuning(objective=HEAD, earlier_datasets=["datasets/old"]), "job.tune.earlier_datasets", "CLASSIFICATION"),
        (tuning(model="models/reader"), "job.tune.objective", "is an encoder (bert), which writes no text"),
        (tuning(model="models/reader", objective=HEAD, few_shot=2), "job.tune.few_shot", "encoder"),
        (
            tuning(model="models/reader", objective=HEAD, augmentation=Augmentation(paraphrase=1)),
            "job.tune.augmentation.paraphrase",
            "encoder",
        ),
        (evaluation("models/reader"), "job.evaluate.subjects", "models/reader is an encoder"),
        (evaluation("adapters/head", dataset="datasets/tales"), "job.evaluate.subjects", "its own labels alone"),
        (evaluation("adapters/head", dataset="datasets/other"), "job.evaluate.subjects", "has others: loan"),
        (
            evaluation("adapters/head", earlier_datasets=["datasets/old"]),
            "job.evaluate.earlier_datasets",
            "an adapter that writes text",
        ),
        (
            Job(export=ExportSpec(source="adapters/head", export_id="new")),
            "job.export.source",
            "adapters/head has a classification head, which writes no text, and cannot be exported yet",
        ),
        (Job(export=ExportSpec(source="models/reader", export_id="new")), "job.export.source", "is an encoder"),
    ],
)
async def test_a_job_that_cannot_be_done_is_refused_by_its_field(core, create, job, field, part):
    name, what = await refusal(create, job)
    assert name == field
    assert part in what
    assert core.jobs.live() == []


async def test_a_paused_job_is_not_resumed_without_room_for_it(core, service, create, monkeypatch):
    job = core.jobs.set_state(await create(tuning()), "PAUSED")
    monkeypatch.setattr(core.state, "_min_free_bytes", 1 << 62)
    with pytest.raises(NoRoom) as caught:
        await service.ResumeJob(ResumeJobRequest(name=job.name), None)
    assert caught.value.reason == "DISK_FULL"
    assert core.jobs.get(job.id).state == "PAUSED"


async def test_what_does_not_exist_is_not_found(create):
    for job, reason in (
        (evaluation("models/m", "exports/none"), "EXPORT_NOT_FOUND"),
        (evaluation("models/m", dataset="datasets/none"), "DATASET_NOT_FOUND"),
        (evaluation("adapters/a", earlier_datasets=["datasets/none"]), "DATASET_NOT_FOUND"),
        (tuning(earlier_datasets=["datasets/none"]), "DATASET_NOT_FOUND"),
    ):
        with pytest.raises(NotFound) as caught:
            await create(job)
        assert caught.value.reason == reason


async def test_the_parity_of_an_export_is_measured_on_the_adapters_own_test_rows(core, create):
    job = await create(Job(export=ExportSpec(source="adapters/a", export_id="new")))
    assert job.work["dataset_name"] == "datasets/d"
    assert (job.work["adapter"], job.target) == (core.folder("adapters/a"), "exports/new")

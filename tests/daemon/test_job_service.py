import re

import pytest
from honed.daemon.rpc.jobs import JobService
from honed.errors import Failure, InvalidInput, NoRoom, NotFound, WrongState
from honed.v1.jobs_pb2 import (
    OBJECTIVE_CLASSIFICATION,
    Augmentation,
    CombineSpec,
    CreateJobRequest,
    DeleteJobRequest,
    EvaluateSpec,
    ExportSpec,
    GetJobRequest,
    Job,
    ResumeJobRequest,
    SweepSpec,
    Trial,
    TuneSpec,
    WeightedAdapter,
)
from honed.worker.contract import CombineWork, EvaluateWork, Event, SweepWork, TuneWork, now


@pytest.fixture
def service(core, publish, dataset_facts):
    """With two models, an adapter and an export of each, an encoder, an adapter with a head, and data sets."""
    publish("datasets/d", **dataset_facts)
    publish("datasets/old", **dataset_facts)
    publish("datasets/untested", **dataset_facts | {"test_rows": 0})
    publish("datasets/tales", **dataset_facts | {"shape": "text", "task": "text", "labels": []})
    publish("datasets/pairs", **dataset_facts | {"shape": "preference", "task": "generate", "labels": []})
    publish("datasets/other", **dataset_facts | {"labels": ["card", "loan"]})
    publish("models/reader", architecture="bert")
    for model, adapter, export in (("m", "a", "e"), ("n", "b", "f")):
        spec = TuneSpec(
            model=f"models/{model}",
            dataset="datasets/d",
            base_precision="BASE_PRECISION_NF4",
            rank=4,
            alpha=2,
        )
        publish(f"models/{model}", architecture="llama")
        publish(
            f"adapters/{adapter}",
            (f"models/{model}", "datasets/d"),
            spec=spec.SerializeToString().hex(),
            contract={"base_precision": "nf4", "weights": model},
            training={"seconds": 1.0},
            evaluations=[],
            report="",
            augmented_rows={},
            replayed_rows={},
        )
        publish(
            f"exports/{export}",
            (f"adapters/{adapter}", f"models/{model}"),
            source=f"adapters/{adapter}",
            model=f"models/{model}",
        )
    publish(
        "adapters/p",
        ("models/m", "datasets/d"),
        spec=TuneSpec(model="models/m", dataset="datasets/d", method="METHOD_PREFIX").SerializeToString().hex(),
        contract={},
        training={"seconds": 1.0},
        evaluations=[],
        report="",
        augmented_rows={},
        replayed_rows={},
    )
    spec = TuneSpec(model="models/m", dataset="datasets/d", objective=HEAD, base_precision="BASE_PRECISION_NF4", rank=4)
    publish(
        "adapters/head",
        ("models/m", "datasets/d"),
        spec=spec.SerializeToString().hex(),
        contract={"base_precision": "nf4", "weights": "m"},
        training={"seconds": 1.0},
        evaluations=[],
        report="",
        augmented_rows={},
        replayed_rows={},
        labels=["card", "refund"],
    )
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


def sweeping(**values):
    return Job(sweep=SweepSpec(tune=tuning(**values).tune, ranks=[4, 8]))


def combination(*names, **values):
    adapters = [WeightedAdapter(adapter=f"adapters/{name}", weight=0.5) for name in names]
    return Job(combine=CombineSpec(**{"adapter_id": "new", "adapters": adapters, **values}))


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


async def test_a_sweep_reaches_the_worker_as_a_tuning_with_what_is_searched(core, create):
    job = await create(sweeping(earlier_datasets=["datasets/old"]))
    work = SweepWork(**job.work)
    tune = TuneWork(**work.tune)
    assert (tune.model, tune.adapter_name, tune.evaluate) == (core.folder("models/m"), "adapters/new", True)
    assert (work.ranks, work.learning_rates, work.strategy) == ([4, 8], [1e-3], "grid")
    assert (job.kind, job.target, list(job.makes)) == ("sweep", "adapters/new", ["adapter", "report"])
    spec = TuneSpec.FromString(bytes.fromhex(job.makes["adapter"].facts["spec"]))
    assert (spec.batch_size, spec.HasField("rank"), spec.HasField("alpha")) == (16, False, False)
    with pytest.raises(WrongState, match=job.name):
        core.resources.delete("datasets/old")


async def test_the_trials_of_a_sweep_are_those_that_its_current_attempt_knows(core, service, create):
    job = await create(sweeping())
    trial = {"number": 1, "learning_rate": 0.5, "rank": 4, "epochs": 3.0, "state": "pruned", "steps": 7}
    for attempt in (1, 2):
        core.jobs.set_state(job, "RUNNING")
        for number in range(1, attempt + 1):
            event = Event(number, now(), "trial", trial | {"number": number, "seconds": 1.5, "message": "slow"})
            core.jobs.record(job, event)
    message = await service.GetJob(GetJobRequest(name=job.name), None)
    assert [each.number for each in message.trials] == [1, 2]
    first = message.trials[0]
    assert (first.state, first.steps, first.duration.ToMilliseconds()) == (Trial.STATE_PRUNED, 7, 1500)
    assert (first.message, first.HasField("validation_loss")) == ("slow", False)


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
            "adapters/head has a classification head, which writes no text; it cannot be exported yet",
        ),
        (Job(export=ExportSpec(source="models/reader", export_id="new")), "job.export.source", "is an encoder"),
        (
            tuning(objective=HEAD, method="METHOD_IA3"),
            "job.tune.method",
            "expected lora beside CLASSIFICATION, found ia3",
        ),
        (tuning(objective=HEAD, replay_datasets=["datasets/old"]), "job.tune.replay_datasets", "CLASSIFICATION"),
        (tuning(objective=HEAD, adapter="adapters/a"), "job.tune.adapter", "with fresh adapters"),
        (tuning(model="", adapter="adapters/head"), "job.tune.adapter", "no tuning can go on from it yet"),
        (sweeping(objective=HEAD), "job.sweep.tune.objective", "refused in a sweep"),
        (sweeping(model="models/reader"), "job.sweep.tune.objective", "is an encoder (bert)"),
        (combination("a", "head"), "job.combine.adapters", "cannot be combined yet"),
        (sweeping(model="datasets/d"), "job.sweep.tune.model", "'datasets/d'"),
        (sweeping(adapter_id=""), "job.sweep.tune.adapter_id", ""),
        (sweeping(rank=4), "job.sweep.tune.rank", "refused beside ranks"),
        (
            sweeping(earlier_datasets=["datasets/untested"]),
            "job.sweep.tune.earlier_datasets",
            "datasets/untested has no test rows",
        ),
    ],
)
async def test_a_job_that_cannot_be_done_is_refused_by_its_field(core, create, job, field, part):
    name, what = await refusal(create, job)
    assert name == field
    assert part in what
    assert core.jobs.live() == []


@pytest.mark.parametrize("method", ["PREFIX", "PROMPT", "BOTTLENECK"])
async def test_a_method_that_no_export_serves_says_so_when_its_job_is_created(core, create, method):
    job = await create(tuning(method=f"METHOD_{method}"))
    said = [event.data["text"] for event in core.jobs.events(job, 0) if event.kind == "log"]
    assert said == [
        f"No export can serve what {method.lower()} makes yet; it can be evaluated: hone eval adapters/new."
    ]


async def test_a_method_that_an_export_serves_needs_no_word(core, create):
    job = await create(tuning(method="METHOD_IA3"))
    assert [event.kind for event in core.jobs.events(job, 0)] == ["state"]


async def test_an_export_of_an_adapter_that_cannot_be_served_is_refused_by_its_method(core, create):
    with pytest.raises(InvalidInput, match="adapters/p was tuned with prefix, which no export can serve") as caught:
        await create(Job(export=ExportSpec(source="adapters/p", export_id="new")))
    assert caught.value.reason == "METHOD_NOT_SERVED"
    assert caught.value.metadata == {"resource": "adapters/p", "method": "prefix"}
    assert core.jobs.live() == []


async def test_a_method_reaches_the_worker_with_its_options_and_no_others(create):
    spec = {"method": "METHOD_OFT", "target_modules": ["*.q_proj"], "block_size": 16}
    work = TuneWork(**(await create(tuning(**spec))).work)
    assert (work.method, work.target_modules, work.block_size) == ("oft", ["*.q_proj"], 16)
    assert (work.rank, work.alpha, work.dropout, work.virtual_tokens, work.width) == (None,) * 5


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


# Continuing and combining


@pytest.fixture
def more(service, publish):
    """Further adapters on models/m: one of datasets/old, one whose data set has no test rows, one of a higher rank."""
    for name, dataset, rank in (
        ("old", "datasets/old", 4),
        ("blind", "datasets/untested", 4),
        ("wide", "datasets/d", 8),
    ):
        spec = TuneSpec(model="models/m", dataset=dataset, base_precision="BASE_PRECISION_NF4", rank=rank, alpha=rank)
        publish(
            f"adapters/{name}",
            ("models/m", dataset),
            spec=spec.SerializeToString().hex(),
            contract={"base_precision": "nf4", "weights": "m"},
            training={"seconds": 1.0},
            evaluations=[],
            report="",
            augmented_rows={},
            replayed_rows={},
        )


async def test_a_continued_tuning_shows_what_it_took_over_and_keeps_its_adapter(core, create):
    job = await create(tuning(model="", adapter="adapters/a"))
    work = TuneWork(**job.work)
    assert (work.model, work.adapter) == (core.folder("models/m"), core.folder("adapters/a"))
    assert (work.rank, work.alpha, work.base_precision) == (4, 2, "nf4")
    shown = Job.FromString(job.request).tune
    assert (shown.model, shown.rank, shown.alpha) == ("models/m", 4, 2)
    assert job.makes["adapter"].parents == ("models/m", "datasets/d")  # the adapter may be deleted afterwards
    core.resources.delete("exports/e")
    with pytest.raises(WrongState, match=job.name):
        core.resources.delete("adapters/a")


async def test_replayed_data_sets_are_read_and_measured_for_forgetting_if_they_can_be(core, create):
    replayed = ["datasets/untested", "datasets/tales"]
    job = await create(tuning(replay_datasets=replayed, earlier_datasets=["datasets/old", "datasets/tales"]))
    work = TuneWork(**job.work)
    assert [each["name"] for each in work.replay] == replayed
    assert work.replay[0]["folder"] == core.folder("datasets/untested")
    assert work.replay_fraction == 0.2
    assert [each["name"] for each in work.earlier] == ["datasets/old", "datasets/tales"]
    with pytest.raises(WrongState, match=job.name):
        core.resources.delete("datasets/untested")


@pytest.mark.parametrize("values", [{"skip_evaluation": True}, {"dataset": "datasets/untested"}])
async def test_where_nothing_is_measured_no_forgetting_is(create, values):
    job = await create(tuning(replay_datasets=["datasets/old"], **values))
    assert job.work["earlier"] == []
    assert [each["name"] for each in job.work["replay"]] == ["datasets/old"]


async def test_a_combination_reaches_the_worker_and_makes_an_adapter_and_its_report(core, create, more):
    job = await create(combination("a", "old", "blind", max_evaluation_rows=9))
    work = CombineWork(**job.work)
    assert work.model == core.folder("models/m")
    assert work.sources == [
        {"name": f"adapters/{name}", "folder": core.folder(f"adapters/{name}")} for name in ("a", "old", "blind")
    ]
    assert (work.weights, work.method, work.rank) == ([0.5, 0.5, 0.5], "cat", 12)
    assert (work.dataset, work.dataset_name) == (core.folder("datasets/d"), "datasets/d")
    assert (work.max_evaluation_rows, [each["name"] for each in work.earlier]) == (9, ["datasets/old"])
    assert list(job.makes) == ["adapter", "report"]
    made = job.makes["adapter"]
    assert (job.target, made.parents) == ("adapters/new", ("models/m", "datasets/d"))
    spec = TuneSpec.FromString(bytes.fromhex(made.facts["spec"]))
    assert spec == TuneSpec(
        model="models/m",
        dataset="datasets/d",
        adapter_id="new",
        base_precision="BASE_PRECISION_NF4",
        method="METHOD_LORA",
        rank=12,
        alpha=12,
    )
    assert made.facts["report"] == job.makes["report"].name
    for name in ("adapters/old", "datasets/old"):
        with pytest.raises(WrongState):
            core.resources.delete(name)


async def test_a_combination_is_evaluated_where_there_is_something_to_evaluate_on(core, create, more):
    for number, (job, dataset, evaluated) in enumerate(
        (
            (combination("blind", "a"), "datasets/untested", False),
            (combination("a", "old", skip_evaluation=True), "datasets/d", False),
            (combination("blind", "a", dataset="datasets/old"), "datasets/old", True),
        )
    ):
        job.combine.adapter_id = f"new-{number}"
        made = await create(job)
        assert made.work["dataset_name"] == dataset
        assert (made.work["dataset"] is not None) == ("report" in made.makes) == evaluated
        assert made.makes["adapter"].parents == ("models/m", dataset)


async def test_adapters_of_two_bases_are_not_combined(core, create):
    with pytest.raises(WrongState, match="adapters/a and adapters/b") as caught:
        await create(combination("a", "b"))
    assert (caught.value.reason, caught.value.metadata["part"]) == ("CONTRACT_MISMATCH", "weights")
    assert core.jobs.live() == []


@pytest.mark.parametrize(
    ("job", "field", "part"),
    [
        (tuning(adapter="models/m"), "job.tune.adapter", "'models/m'"),
        (tuning(adapter="adapters/b"), "job.tune.model", "expected models/n, that of adapters/b, found models/m"),
        (tuning(adapter="adapters/a", rank=8), "job.tune.rank", "expected 4"),
        (tuning(model=""), "job.tune.model", "found ''"),
        (tuning(replay_datasets=["datasets/d"]), "job.tune.replay_datasets", "own data set"),
        (tuning(replay_datasets=["datasets/old", "datasets/old"]), "job.tune.replay_datasets", "twice"),
        (tuning(replay_datasets=["models/m"]), "job.tune.replay_datasets", "'models/m'"),
        (tuning(replay_fraction=0.5), "job.tune.replay_fraction", "without replay_datasets"),
        (combination("a"), "job.combine.adapters", "found 1"),
        (combination("a", "a"), "job.combine.adapters", "twice"),
        (combination("a", "old", adapter_id=""), "job.combine.adapter_id", "found ''"),
        (combination("a", "old", dataset="datasets/untested"), "job.combine.dataset", "no test rows"),
        (combination("a", "wide", method="COMBINE_METHOD_LINEAR"), "job.combine.adapters", "of one rank"),
    ],
)
async def test_what_cannot_be_continued_or_combined_is_refused_by_its_field(core, create, more, job, field, part):
    name, what = await refusal(create, job)
    assert name == field
    assert part in what
    assert core.jobs.live() == []


async def test_an_adapter_that_does_not_exist_is_not_found(create):
    for job in (tuning(adapter="adapters/none"), combination("a", "none")):
        with pytest.raises(NotFound) as caught:
            await create(job)
        assert caught.value.reason == "ADAPTER_NOT_FOUND"


async def test_the_parity_of_a_combined_adapter_without_a_data_set_is_measured_on_the_probe(core, create, publish):
    spec = TuneSpec(model="models/m", rank=8, alpha=8)
    publish(
        "adapters/bare",
        ("models/m",),
        spec=spec.SerializeToString().hex(),
        combine=CombineSpec().SerializeToString().hex(),
        contract={},
        evaluations=[],
        report="",
    )
    job = await create(Job(export=ExportSpec(source="adapters/bare", export_id="new")))
    assert (job.work["dataset"], job.work["dataset_name"]) == (None, "")


async def test_deleting_a_failed_job_removes_the_checkpoints_it_has_left(core, service, create):
    job = await create(tuning())
    folder = core.state.clear_job_folder(job.id)
    (folder / "checkpoints" / "step-1").mkdir(parents=True)
    with pytest.raises(WrongState):
        await service.DeleteJob(DeleteJobRequest(name=job.name), None)
    assert folder.exists()
    core.jobs.set_state(job, "FAILED", Failure("invalid_input", "LOSS_EXPLODED", "m"))
    await service.DeleteJob(DeleteJobRequest(name=job.name), None)
    assert not folder.exists()

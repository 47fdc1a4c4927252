import asyncio
import threading

import pytest
from honed.daemon.rpc.datasets import DatasetService
from honed.daemon.rpc.specs import complete_tune
from honed.errors import AlreadyExists, InvalidInput, NotFound, WrongState
from honed.template_library import BUILT_IN
from honed.v1.datasets_pb2 import (
    Columns,
    Dataset,
    DeleteDatasetRequest,
    GetDatasetRequest,
    ListDatasetsRequest,
    PreviewDatasetRequest,
    UploadDatasetHeader,
    UploadDatasetRequest,
)
from honed.v1.jobs_pb2 import TuneSpec

CLASSIFIED = {"text": Columns(names=["message"]), "label": Columns(names=["category"])}


@pytest.fixture
def service(core, dataset_facts):
    core.supervisor.result = {"digest": "cd" * 32, "size_bytes": 9, "facts": dataset_facts}
    return DatasetService(core)


@pytest.fixture
def upload(service):
    async def upload(*payloads, **header):
        async def stream():
            yield UploadDatasetRequest(header=UploadDatasetHeader(dataset_id="d", **header))
            for field, data in payloads or [("train_data", b"rows")]:
                yield UploadDatasetRequest(**{field: data})

        return await service.UploadDataset(stream(), None)

    return upload


def refused(caught):
    return [field for field, _ in caught.value.violations]


async def test_a_table_goes_to_a_worker_and_what_it_makes_is_published(core, upload):
    made = await upload(("train_data", b"ro"), ("train_data", b"ws"), columns=CLASSIFIED, seed=3)
    (work,) = core.supervisor.works
    assert (work.template, work.shape, work.seed) == (BUILT_IN["classify"], "table", 3)
    assert (work.test_file, work.model) == (None, None)
    assert (made.name, made.owner, made.digest, made.train_rows) == ("datasets/d", "owner", "cd" * 32, 80)
    stored = core.resources.get("datasets/d")
    assert (core.state.path / stored.folder / "rows").read_bytes() == b"rows"
    assert not list(core.state.uploads.iterdir())


async def test_lists_leave_the_report_out(service, upload):
    await upload(columns=CLASSIFIED)
    assert (await service.GetDataset(GetDatasetRequest(name="datasets/d"), None)).HasField("report")
    (listed,) = (await service.ListDatasets(ListDatasetsRequest(), None)).datasets
    assert (listed.name, listed.train_rows, listed.HasField("report")) == ("datasets/d", 80, False)


async def test_the_worker_may_use_all_threads_within_its_limits(core, upload):
    await upload()
    limits = core.supervisor.limits
    assert (limits.cpu_s, limits.memory_bytes, limits.wall_s) == (2 * 10, 1 << 30, 10)


async def test_a_shape_that_is_detected_gets_no_template(core, upload):
    await upload()
    assert (core.supervisor.works[0].template, core.supervisor.works[0].shape) == (None, None)


async def test_a_users_template_goes_along_in_its_newest_version(core, upload):
    for digest in ("1", "2"):
        core.templates.add("templates/mine", "owner", digest, {"task": "extract", "user": digest})
    await upload(template="templates/mine")
    assert core.supervisor.works[0].template == {
        "name": "templates/mine",
        "version": 2,
        "task": "extract",
        "user": "2",
    }


async def test_a_template_or_model_that_does_not_exist_is_not_found(core, upload):
    for values, reason in (
        ({"template": "templates/none"}, "TEMPLATE_NOT_FOUND"),
        ({"model": "models/none"}, "MODEL_NOT_FOUND"),
    ):
        with pytest.raises(NotFound) as caught:
            await upload(**values)
        assert caught.value.reason == reason
    assert core.supervisor.works == []


async def test_words_for_labels_are_refused_where_there_are_none(core, upload):
    with pytest.raises(InvalidInput) as caught:
        await upload(template="templates/extract", verbalizer={"1": "good"})
    assert refused(caught) == ["header.verbalizer"]
    assert core.supervisor.works == []


async def test_the_tuning_time_is_estimated_from_the_newest_tuning_of_the_same_model(
    core, upload, publish, dataset_facts
):
    publish("models/m")
    publish("models/n")
    dataset_facts["report"]["tokens"] = {"model": "models/m", "row": {"total": 1000}}
    tokens = (await upload(model="models/m")).report.tokens
    assert not tokens.HasField("tuning_time")
    assert "nothing was tuned here yet" in tokens.tuning_time_basis
    for name, model, speed in (("a", "m", 100.0), ("b", "m", 50.4), ("c", "n", 5.0)):
        publish(f"adapters/{name}", (f"models/{model}",), training={"tokens_per_s": speed})
    core.resources.delete("datasets/d")
    tokens = (await upload(model="models/m")).report.tokens
    assert core.supervisor.works[-1].model == core.folder("models/m")
    epochs = complete_tune(TuneSpec())["epochs"]
    assert tokens.tuning_time.seconds == round(1000 * epochs / 50.4)
    assert tokens.tuning_time_basis == f"adapters/b was tuned here at 50 tokens/s; {epochs:g} epochs"


async def test_a_data_set_does_not_hold_the_model_it_was_measured_with(core, upload, publish):
    publish("models/m")
    await upload(model="models/m")
    core.resources.delete("models/m")


async def test_a_test_table_comes_after_the_training_table(core, upload):
    await upload(("train_data", b"a"), ("test_data", b"b"))
    assert core.supervisor.works[0].test_file is not None
    core.resources.delete("datasets/d")
    for payloads in (
        [("train_data", b"a"), ("test_data", b"b"), ("train_data", b"c")],
        [("test_data", b"b"), ("train_data", b"c")],
    ):
        with pytest.raises(InvalidInput) as caught:
            await upload(*payloads)
        assert refused(caught) == ["train_data"]
    assert not list(core.state.uploads.iterdir())


@pytest.mark.parametrize("drawn", [{"test_fraction": 0.0}, {"seed": 0}, {"group_column": "customer"}])
async def test_a_test_table_and_a_draw_exclude_each_other(core, upload, drawn):
    with pytest.raises(InvalidInput) as caught:
        await upload(("train_data", b"a"), ("test_data", b"b"), **drawn)
    assert refused(caught) == [f"header.{field}" for field in drawn]
    assert core.supervisor.works == []


async def test_a_data_set_remembers_what_it_was_made_with(core, upload):
    drawn = await upload(columns=CLASSIFIED, instruction="Sort.", verbalizer={"1": "card"}, seed=3, group_column="who")
    assert (drawn.instruction, dict(drawn.verbalizer)) == ("Sort.", {"1": "card"})
    assert (drawn.test_fraction, drawn.seed, drawn.group_column) == (0.2, 3, "who")
    core.resources.delete("datasets/d")
    given = await upload(("train_data", b"a"), ("test_data", b"b"))
    assert not given.HasField("test_fraction")
    assert not given.HasField("seed")


async def test_a_model_that_goes_while_the_table_arrives_is_not_found(core, service, publish):
    publish("models/m")

    async def stream():
        yield UploadDatasetRequest(header=UploadDatasetHeader(dataset_id="d", model="models/m"))
        core.resources.delete("models/m")
        yield UploadDatasetRequest(train_data=b"rows")

    with pytest.raises(NotFound) as caught:
        await service.UploadDataset(stream(), None)
    assert caught.value.reason == "MODEL_NOT_FOUND"
    assert not list(core.state.uploads.iterdir())


async def test_what_a_worker_reads_cannot_be_deleted_meanwhile(core, service, upload, publish, monkeypatch):
    publish("models/m")
    run, refusals = core.supervisor.run_once, []

    async def run_once(work, limits, folder):
        for name in {"models/m", "datasets/d"} & set(core.resources._held):
            with pytest.raises(WrongState) as caught:
                core.resources.delete(name)
            refusals.append(caught.value.reason)
        return await run(work, limits, folder)

    monkeypatch.setattr(core.supervisor, "run_once", run_once)
    await upload(model="models/m")
    assert refusals == ["MODEL_IN_USE"]
    core.supervisor.result = {"rows": [], "lengths": {}, "trained_tokens": 0}
    await service.PreviewDataset(PreviewDatasetRequest(name="datasets/d", model="models/m"), None)
    assert sorted(refusals) == ["DATASET_IN_USE", "MODEL_IN_USE", "MODEL_IN_USE"]
    core.resources.delete("datasets/d")
    core.resources.delete("models/m")


async def test_the_slower_of_two_uploads_of_one_id_leaves_nothing(core, upload, monkeypatch):
    place, both = core.state.publish, threading.Barrier(2, timeout=10)

    def placed_at_once(made, folder):
        place(made, folder)
        both.wait()

    monkeypatch.setattr(core.state, "publish", placed_at_once)
    made = await asyncio.gather(upload(), upload(), return_exceptions=True)
    assert {type(each) for each in made} == {Dataset, AlreadyExists}
    (folder,) = (core.state.path / "datasets").iterdir()
    assert core.resources.get("datasets/d").folder == f"datasets/{folder.name}"


async def test_a_refused_table_leaves_nothing(core, upload):
    core.supervisor.result = InvalidInput("bad", reason="ROWS_INVALID")
    with pytest.raises(InvalidInput, match="bad"):
        await upload()
    assert core.resources.find("datasets/d") is None
    assert not list(core.state.uploads.iterdir())
    assert not list((core.state.path / "datasets").iterdir())


async def test_a_preview_shows_rows_by_their_number(core, service, upload, publish):
    publish("models/m")
    await upload()
    core.supervisor.result = {
        "rows": [{"row": "4", "tokens": [{"id": 1, "text": "a", "trained": False}]}],
        "lengths": {"total": "1"},
        "trained_tokens": 0,
    }
    response = await service.PreviewDataset(PreviewDatasetRequest(name="datasets/d", model="models/m"), None)
    assert ([row.row for row in response.rows], response.lengths.total) == (["4"], 1)
    assert core.supervisor.works[-1].rows == 3
    with pytest.raises(InvalidInput):
        await service.PreviewDataset(PreviewDatasetRequest(name="datasets/d", model="models/m", rows=101), None)


async def test_a_deleted_data_set_takes_its_files_along(core, service, upload):
    await upload()
    await service.DeleteDataset(DeleteDatasetRequest(name="datasets/d"), None)
    assert not list((core.state.path / "datasets").iterdir())

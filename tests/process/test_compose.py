"""Tunings that go on from an adapter and replay earlier rows, and combined adapters, through the daemon."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.daemon import Daemon, refused
from helpers.tables import WRITE
from honed import manifest
from honed.client.errors import JobFailed
from honed.data import Prepared, Renderer
from honed.tune import base
from honed.tune.loop import evaluate_loss
from honed.v1.jobs_pb2 import BASE_PRECISION_BF16, BASE_PRECISION_NF4, Job, TuneSpec
from honed.worker import tuned as tuned_model
from safetensors.numpy import load_file

CARDS = [
    {"text": f"Customer {n} asks for {label} number {n * n}.", "label": label}
    for n in range(16)
    for label in ("card", "refund")
]
PETS = [{"text": f"My {pet} is {n} years old.", "label": pet} for n in range(6) for pet in ("cat", "dog")]


@pytest.fixture(scope="module")
def sets(client, tmp_path_factory) -> None:
    """datasets/cards, datasets/pets without test rows, and datasets/both with the rows of the two, split otherwise."""
    folder = tmp_path_factory.mktemp("composed")
    for name, rows, fraction in (("cards", CARDS, 0.25), ("pets", PETS, 0), ("both", CARDS + PETS, 0.25)):
        (folder / name).write_bytes(WRITE["jsonl"](rows))
        client.upload_dataset(
            name, folder / name, text_column="text", label_column="label", test_fraction=fraction, seed=1
        )


def losses(client, job) -> list[float]:
    return [event.progress.loss for event in client.watch_job(job.name) if event.progress.HasField("loss")]


def log(client, job) -> list[str]:
    return [event.log for event in client.watch_job(job.name) if event.WhichOneof("event") == "log"]


def tune(client, adapter_id, **values) -> Job:
    """A finished tuning on all rows of datasets/cards at once, so that the losses of steps can be compared."""
    spec = {"dataset": "cards", "validation_fraction": 0, "batch_size": 4096, "warmup_fraction": 0, **values}
    return client.wait_job(client.tune(TuneSpec(adapter_id=adapter_id, **spec)).name)


def prepared(client, daemon: Daemon, name: str) -> Prepared:
    """A data set as workers read it."""
    digest = client.get_dataset(name).digest
    return next(data for data in map(Prepared.load, (daemon.state / "datasets").iterdir()) if data.digest == digest)


def folder_of(daemon: Daemon, collection: str, job: Job) -> Path:
    return daemon.state / collection / f"{job.name.removeprefix('jobs/')}-1"


@pytest.fixture(scope="module")
def first(client, sets) -> SimpleNamespace:
    """adapters/first: 12 steps on datasets/cards, of a rank and an alpha that are nobody's default."""
    job = tune(client, "first", model="tiny", rank=4, alpha=6, epochs=12, learning_rate=5e-3, skip_evaluation=True)
    return SimpleNamespace(job=job, losses=losses(client, job))


@pytest.fixture(scope="module")
def second(client, first) -> Job:
    """adapters/second: goes on from adapters/first."""
    return tune(client, "second", adapter="first", epochs=6, learning_rate=5e-3, max_evaluation_rows=4)


# Going on


def test_a_continued_tuning_starts_where_its_adapter_is(client, daemon, first, second):
    continued = losses(client, second)
    model_folder = folder_of(daemon, "models", next(job for job in client.list_jobs() if job.result == "models/tiny"))
    renderer = Renderer.load(model_folder)
    cards = prepared(client, daemon, "cards")
    adapter = tuned_model.load(model_folder, folder_of(daemon, "adapters", first.job), renderer, base.compute_dtype())
    reference = evaluate_loss(adapter, renderer.examples(cards.train), 4096)
    assert continued[0] == pytest.approx(reference, rel=1e-2)  # another attention, and bfloat16 where there are units
    assert continued[0] == pytest.approx(first.losses[-1], rel=0.1)  # that of before the last, smallest step
    assert continued[-1] < continued[0] < 0.9 * first.losses[0]


def test_what_its_adapter_settles_is_shown_and_recorded(client, first, second):
    for spec in (second.tune, client.get_adapter("second").spec):
        assert (spec.model, spec.rank, spec.alpha) == ("models/tiny", 4, 6)
        assert (spec.base_precision, spec.adapter) == (BASE_PRECISION_NF4, "adapters/first")
    assert list(client.get_adapter("second").sources) == ["adapters/first"]
    assert not client.get_adapter("first").sources
    assert client.get_adapter("second").evaluations  # of the base and of the adapter, as ever


def test_a_chain_goes_on_and_outlives_its_links(client, first):
    tune(client, "gone", adapter="first", max_steps=1, skip_evaluation=True)
    last = tune(client, "last", adapter="gone", max_steps=1, skip_evaluation=True)
    assert (last.tune.rank, last.tune.alpha) == (4, 6)
    client.delete_adapter("gone")
    assert list(client.get_adapter("last").sources) == ["adapters/gone"]
    with refused("NOT_FOUND", "ADAPTER_NOT_FOUND"):
        client.tune(TuneSpec(adapter_id="x", adapter="gone", dataset="cards"))


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"base_precision": BASE_PRECISION_BF16}, "base_precision"),
        ({"rank": 8}, "rank"),
        ({"alpha": 8}, "alpha"),
        ({"adapter": "adapters/../first"}, "adapter"),
        ({"replay_datasets": ["cards"]}, "replay_datasets"),
        ({"replay_fraction": 0.5}, "replay_fraction"),
        ({"replay_datasets": ["pets"], "replay_fraction": 0.91}, "replay_fraction"),
    ],
)
def test_what_cannot_be_continued_so_is_refused_by_its_field(client, first, values, field):
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        client.tune(TuneSpec(**{"adapter_id": "x", "adapter": "first", "dataset": "cards", **values}))
    assert [name for name, _ in error.value.field_violations] == [f"job.tune.{field}"]


def test_another_model_than_the_adapters_is_refused_with_both_named(client, first):
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        client.tune(TuneSpec(adapter_id="x", adapter="first", model="other", dataset="cards"))
    assert "models/tiny" in error.value.message
    assert "models/other" in error.value.message


def test_an_adapter_that_was_changed_or_fits_no_more_is_neither_gone_on_from_nor_combined(client, daemon, first):
    job = tune(client, "spoilt", model="tiny", rank=4, max_steps=1, skip_evaluation=True)
    folder = folder_of(daemon, "adapters", job)
    contract = json.loads((folder / "contract.json").read_text())
    (folder / "contract.json").write_text(json.dumps(contract | {"quantised_weights": "00" * 32}))

    def failure(job: Job) -> tuple[str, str]:
        with pytest.raises(JobFailed) as caught:
            client.wait_job(job.name)
        return caught.value.job.error.reason, caught.value.job.error.metadata.get("part", "")

    def continued() -> Job:
        return client.tune(TuneSpec(adapter_id="x", adapter="spoilt", dataset="cards", skip_evaluation=True))

    assert failure(continued())[0] == "DIGEST_MISMATCH"
    manifest.write(folder)  # as somebody would who knows honed, or another version of it
    assert failure(continued()) == ("CONTRACT_MISMATCH", "quantised_weights")
    combined = client.combine("x", {"spoilt": 1, "first": 1}, skip_evaluation=True)
    assert failure(combined) == ("CONTRACT_MISMATCH", "quantised_weights")
    weights = bytearray((folder / "adapter_model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "adapter_model.safetensors").write_bytes(weights)
    assert failure(client.combine("x", {"first": 1, "spoilt": 1}))[0] == "DIGEST_MISMATCH"
    client.delete_adapter("spoilt")


# Replay


@pytest.fixture(scope="module")
def replayed(client, first) -> Job:
    """adapters/replayed: datasets/pets alone, of which no row is held out, beside datasets/cards and datasets/both."""
    return tune(
        client,
        "replayed",
        adapter="first",
        replay_datasets=["pets", "both"],
        replay_fraction=0.25,
        max_steps=1,
        max_evaluation_rows=4,
    )


def test_the_share_that_was_asked_for_is_replayed_and_recorded(client, replayed):
    added = dict(client.get_adapter("replayed").replayed_rows)
    assert added.keys() == {"datasets/pets", "datasets/both"}
    assert sum(added.values()) == 8  # beside 24: a quarter
    (line,) = [line for line in log(client, replayed) if line.startswith("Replayed")]
    assert f"datasets/pets {added['datasets/pets']}" in line
    assert "25.0% of an epoch" in line
    report = client.report_json(client.get_adapter("replayed").report)
    assert report["training"]["replayed_rows"] == added
    assert not client.get_adapter("first").replayed_rows


def test_forgetting_is_measured_on_what_is_replayed_where_there_are_test_rows(client, replayed):
    report = client.report_json(client.get_adapter("replayed").report)
    assert [each["source"] for each in report["forgetting"]] == [
        "the built-in probe of general text",
        "datasets/both",
    ]


def test_no_test_row_is_replayed(client, daemon, first, replayed):
    job = tune(
        client,
        "all",
        adapter="first",
        replay_datasets=["both"],
        replay_fraction=0.9,
        max_steps=1,
        max_evaluation_rows=4,
    )
    cards, both = prepared(client, daemon, "cards"), prepared(client, daemon, "both")
    held_out = {row.messages for row in (*cards.test, *both.test)}
    expected = sum(row.messages not in held_out for row in both.train)
    assert 0 < expected < len(both.train)  # some are test rows of datasets/cards
    assert dict(client.get_adapter("all").replayed_rows) == {"datasets/both": expected}
    assert f"{expected + 24} training rows" in " ".join(log(client, job))


def test_a_replayed_data_set_stays_while_it_is_read(client, first):
    spec = TuneSpec(adapter_id="x", adapter="first", dataset="cards", replay_datasets=["pets"], epochs=1000)
    job = client.tune(spec)
    for delete, reason in (
        (lambda: client.delete_dataset("pets"), "DATASET_IN_USE"),
        (lambda: client.delete_adapter("first"), "ADAPTER_IN_USE"),
    ):
        with refused("FAILED_PRECONDITION", reason):
            delete()
    client.cancel_job(job.name)


# Combining


@pytest.fixture(scope="module")
def pets(client, first) -> Job:
    """adapters/pets, of the rank of adapters/first."""
    return tune(client, "pets", model="tiny", dataset="pets", rank=4, alpha=4, epochs=4, learning_rate=5e-3)


@pytest.fixture(scope="module")
def combined(client, pets) -> Job:
    """adapters/combined: cat of adapters/first and adapters/pets, evaluated on datasets/cards."""
    return client.wait_job(client.combine("combined", {"first": 0.75, "pets": 0.5}).name)


def test_a_combined_adapter_is_evaluated_and_recorded(client, combined):
    adapter = client.get_adapter("combined")
    assert (combined.result, list(adapter.sources)) == ("adapters/combined", ["adapters/first", "adapters/pets"])
    assert (adapter.model, adapter.dataset) == ("models/tiny", "datasets/cards")
    assert (adapter.spec.rank, adapter.spec.alpha, adapter.spec.base_precision) == (8, 8, BASE_PRECISION_NF4)
    assert adapter.combine == combined.combine
    assert [each.weight for each in adapter.combine.adapters] == [0.75, 0.5]
    assert not adapter.HasField("training")
    assert list(adapter.evaluations) == list(combined.evaluations)
    assert {(each.subject, each.total) for each in adapter.evaluations} == {("tuned", 8)}
    report = client.report_json(adapter.report)
    assert report["dataset"]["name"] == "datasets/cards"
    assert report["training"] is None
    assert [each["source"] for each in report["forgetting"]] == ["the built-in probe of general text"]
    assert client.get_adapter("first").contract == adapter.contract


def test_a_combined_adapters_update_is_the_weighted_sum_of_its_sources(client, daemon, first, pets, combined):
    files = [
        load_file(folder_of(daemon, "adapters", job) / "adapter_model.safetensors")
        for job in (first.job, pets, combined)
    ]
    for name in files[0]:
        if "lora_A" not in name:
            continue
        one, two, both = (file[name.replace("lora_A", "lora_B")] @ file[name] for file in files)
        expected = 0.75 * 6 / 4 * one + 0.5 * 4 / 4 * two
        assert both == pytest.approx(expected, rel=1e-4, abs=1e-6)  # float32


def test_a_combined_adapter_is_exported_and_served_with_its_first_sources_template(client, combined):
    export = client.get_export(client.wait_job(client.export("combined", "adapters/combined").name).result)
    assert (export.source, export.parity.source) == ("adapters/combined", "datasets/cards")
    text, _ = client.complete("adapters/combined", row={"text": "Where is my card?"}, max_tokens=4)
    assert text


def test_a_combined_adapter_is_gone_on_from_and_combined_again_and_may_go(client, combined):
    going = tune(client, "going", adapter="combined", max_steps=1, skip_evaluation=True)
    assert (going.tune.rank, going.tune.alpha) == (8, 8)
    job = client.combine("stays", {"going": 1, "first": -0.5}, method="svd", skip_evaluation=True)
    client.wait_job(job.name)
    client.delete_adapter("going")
    stays = client.get_adapter("stays")
    assert (list(stays.sources), stays.spec.rank) == (["adapters/going", "adapters/first"], 8)
    assert not stays.evaluations
    with refused("FAILED_PRECONDITION", "DATASET_IN_USE"):
        client.delete_dataset("cards")  # it measures the parity of exports


def test_the_same_seed_gives_the_same_bytes(client, pets):
    digests: list[str] = []
    for number, seed in enumerate((1, 1, 2)):
        name = f"dare-{number}"
        job = client.combine(name, {"first": 1, "pets": 1}, method="dare-ties", seed=seed, skip_evaluation=True)
        client.wait_job(job.name)
        digests.append(client.get_adapter(name).digest)
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("adapters", "options", "field"),
    [
        ({"first": 1}, {}, "adapters"),
        ({"first": 1, "adapters/first": 1}, {}, "adapters"),
        ({"first": 1, "pets": 0}, {}, "adapters"),
        ({"first": 1, "pets": float("nan")}, {}, "adapters"),
        ({"first": 1, "pets": -1}, {"method": "ties"}, "adapters"),
        ({"first": 1, "combined": 1}, {"method": "linear"}, "adapters"),
        ({"first": 1, "pets": 1}, {"rank": 4}, "rank"),
        ({"first": 1, "pets": 1}, {"method": "svd", "rank": 9}, "rank"),
        ({"first": 1, "pets": 1}, {"method": "svd", "density": 0.5}, "density"),
        ({"first": 1, "pets": 1}, {"method": "dare-ties", "density": 1.5}, "density"),
        ({"first": 1, "pets": 1}, {"seed": -1}, "seed"),
        ({"first": 1, "pets": 1}, {"dataset": "pets"}, "dataset"),
        ({"first": 1, "pets": 1}, {"skip_evaluation": True, "max_evaluation_rows": 3}, "max_evaluation_rows"),
    ],
)
def test_what_cannot_be_combined_so_is_refused_by_its_field(client, combined, adapters, options, field):
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        client.combine("x", adapters, **options)
    assert [name for name, _ in error.value.field_violations] == [f"job.combine.{field}"]


def test_adapters_of_two_precisions_or_of_none_are_not_combined(client, pets):
    tune(client, "rough", model="tiny", base_precision=BASE_PRECISION_BF16, rank=4, max_steps=1, skip_evaluation=True)
    with refused("FAILED_PRECONDITION", "CONTRACT_MISMATCH") as error:
        client.combine("x", {"first": 1, "rough": 1})
    assert error.value.metadata["part"] == "base_precision"
    with refused("NOT_FOUND", "ADAPTER_NOT_FOUND"):
        client.combine("x", {"first": 1, "none": 1})
    with refused("ALREADY_EXISTS", "ADAPTER_EXISTS"):
        client.combine("first", {"first": 1, "pets": 1})

import pytest
from honed.daemon.store import NewResource
from honed.errors import AlreadyExists, NotFound, WrongState


def resource(name, parents=(), **facts):
    return NewResource(
        name=name,
        owner="owner",
        job="jobs/1",
        digest="ab" * 32,
        size_bytes=7,
        folder=name.replace("/", "/folder-"),
        facts=facts,
        parents=parents,
    )


@pytest.fixture
def family(resources):
    """A model, a data set, an adapter of both, and an export of the adapter."""
    resources.publish(resource("models/m"), resource("datasets/d"))
    resources.publish(resource("adapters/a", ("models/m", "datasets/d")))
    resources.publish(resource("exports/e", ("adapters/a", "models/m"), source="adapters/a"))
    return resources


def test_a_published_resource_has_all_that_was_given(resources):
    resources.publish(resource("models/m", layers=2))
    found = resources.get("models/m")
    assert (found.name, found.owner, found.job, found.size_bytes) == ("models/m", "owner", "jobs/1", 7)
    assert (found.digest, found.folder, found.facts) == ("ab" * 32, "models/folder-m", {"layers": 2})
    assert resources.folders() == {"models/folder-m"}


def test_a_name_is_taken_once_and_all_or_none_are_published(resources):
    resources.publish(resource("models/m"))
    with pytest.raises(AlreadyExists) as caught:
        resources.publish(resource("models/new"), resource("models/m"))
    assert caught.value.reason == "MODEL_EXISTS"
    assert resources.find("models/new") is None


def test_what_is_not_there_is_named(resources):
    with pytest.raises(NotFound) as caught:
        resources.get("datasets/x")
    assert (caught.value.reason, caught.value.metadata["resource"]) == ("DATASET_NOT_FOUND", "datasets/x")
    with pytest.raises(NotFound):
        resources.delete("datasets/x")


@pytest.mark.parametrize(
    ("name", "user"), [("models/m", "adapters/a"), ("datasets/d", "adapters/a"), ("adapters/a", "exports/e")]
)
def test_what_others_were_made_from_is_not_deleted(family, name, user):
    with pytest.raises(WrongState) as caught:
        family.delete(name)
    assert caught.value.reason.endswith("_IN_USE")
    assert user in caught.value.metadata["used_by"].split(",")
    assert family.find(name)


def test_a_family_goes_from_the_youngest_to_the_oldest(family):
    for name in ("exports/e", "adapters/a", "models/m", "datasets/d"):
        (gone,) = family.delete(name)
        assert gone.name == name
    assert family.folders() == set()


def test_a_model_goes_together_with_its_own_export_or_not_at_all(resources):
    resources.publish(resource("models/m"), resource("exports/m", ("models/m",), source="models/m"))
    resources.publish(resource("adapters/a", ("models/m",)))
    with pytest.raises(WrongState):
        resources.delete("models/m", "exports/m")
    assert resources.find("exports/m")
    resources.delete("adapters/a")
    assert [gone.name for gone in resources.delete("models/m", "exports/m")] == ["exports/m", "models/m"]


@pytest.mark.parametrize("state", ["QUEUED", "RUNNING", "PAUSED"])
def test_what_a_live_job_reads_is_not_deleted(resources, jobs, new_job, state):
    resources.publish(resource("models/m"), resource("datasets/d"))
    job = jobs.create(new_job())
    if state != job.state:
        job = jobs.set_state(job, state)
    with pytest.raises(WrongState) as caught:
        resources.delete("datasets/d")
    assert (caught.value.reason, caught.value.metadata["used_by"]) == ("DATASET_IN_USE", job.name)
    jobs.set_state(job, "CANCELLED")
    resources.delete("datasets/d")


def test_pages_hold_one_collection_the_newest_first(resources):
    for number in range(4):
        resources.publish(resource(f"models/{number}"), resource(f"datasets/{number}"))
    page = resources.page("models", 2**63 - 1, 3)
    assert [each.name for each in page] == ["models/3", "models/2", "models/1"]
    assert [each.name for each in resources.page("models", page[-1].number, 3)] == ["models/0"]


def test_the_newest_export_of_a_source_is_its_own_not_its_adapters(family):
    assert family.newest_export_of("models/m") is None
    assert family.newest_export_of("adapters/a").name == "exports/e"
    family.publish(resource("exports/e2", ("adapters/a", "models/m"), source="adapters/a"))
    family.publish(resource("exports/m", ("models/m",), source="models/m"))
    assert family.newest_export_of("adapters/a").name == "exports/e2"
    assert family.newest_export_of("models/m").name == "exports/m"


def test_the_newest_adapter_of_a_model_is_not_that_of_another(family):
    assert family.newest_adapter_of("models/m").name == "adapters/a"
    family.publish(resource("models/n"), resource("adapters/b", ("models/m", "datasets/d")))
    family.publish(resource("adapters/c", ("models/n", "datasets/d")))
    assert family.newest_adapter_of("models/m").name == "adapters/b"
    assert family.newest_adapter_of("models/n").name == "adapters/c"
    family.publish(resource("adapters/combined", ("models/m", "datasets/d"), combine="00"))  # not tuned
    assert family.newest_adapter_of("models/m").name == "adapters/b"
    assert family.newest_adapter_of("models/gone") is family.newest_adapter_of("") is None


def test_a_report_outlives_what_it_is_about(family):
    family.publish(resource("reports/r", dataset="datasets/d"))
    for name in ("exports/e", "adapters/a", "datasets/d"):
        family.delete(name)
    assert [each.name for each in family.page("reports", 2**63 - 1, 10)] == ["reports/r"]
    with pytest.raises(NotFound) as caught:
        family.get("reports/s")
    assert caught.value.reason == "REPORT_NOT_FOUND"


def test_a_parent_must_exist(resources):
    with pytest.raises(Exception, match="FOREIGN KEY"):
        resources.publish(resource("adapters/a", ("models/gone",)))
    assert resources.find("adapters/a") is None

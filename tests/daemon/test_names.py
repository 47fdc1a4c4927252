import pytest
from honed.daemon.rpc.names import check_name, check_names, new_name, repeated
from honed.errors import InvalidInput

GOOD = ["a", "0", "smollm2-135m", "a.b_c-d", "a" * 63]
BAD = ["", "A", "-a", ".a", "..", "_a", "a/b", "a" * 64, "ä", "a\n", "a b", "a\0", "../../etc/passwd", "a%2f"]


@pytest.mark.parametrize("resource_id", GOOD)
def test_a_good_id_makes_a_name(resource_id):
    assert new_name("models", resource_id, "model_id") == f"models/{resource_id}"
    assert check_name(f"models/{resource_id}", "name", "models") == f"models/{resource_id}"


@pytest.mark.parametrize("resource_id", BAD)
def test_a_bad_id_is_refused_with_its_field(resource_id):
    for call in (
        lambda: new_name("models", resource_id, "model_id"),
        lambda: check_name(f"models/{resource_id}", "model_id", "models"),
    ):
        with pytest.raises(InvalidInput) as caught:
            call()
        assert caught.value.reason == "FIELD_INVALID"
        assert caught.value.violations[0][0] == "model_id"


def test_a_name_must_be_of_one_of_the_collections():
    assert check_name("adapters/a", "source", "models", "adapters") == "adapters/a"
    for name in ("jobs/a", "a", "/a", "modelsa", "models", "Models/a"):
        with pytest.raises(InvalidInput, match=r"models/\{id\} or adapters/\{id\}"):
            check_name(name, "source", "models", "adapters")


def test_names_are_each_of_one_of_the_collections_and_given_once():
    check_names([], "subjects", "models")
    check_names(["models/a", "adapters/a"], "subjects", "models", "adapters")
    for names, what in (
        (["models/a", "jobs/a"], "'jobs/a'"),
        (["models/a", "models/b", "models/a"], "models/a is given twice"),
    ):
        with pytest.raises(InvalidInput, match=what) as caught:
            check_names(names, "subjects", "models", "adapters")
        assert [field for field, _ in caught.value.violations] == ["subjects"]


def test_what_is_given_twice_or_more_is_named_once():
    assert repeated([3, 1, 3, 2, 3, 1]) == [3, 1]
    assert repeated("abc") == []


def test_an_endless_id_is_not_repeated_in_full():
    with pytest.raises(InvalidInput) as caught:
        new_name("models", "x" * 100_000, "model_id")
    assert len(caught.value.message) < 300

import pytest
from honed.errors import NotFound, WrongState
from honed.template_library import BUILT_IN

NAME = "templates/mine"


def template(user="{{ text }}"):
    return {"name": NAME, "version": 1, "task": "generate", "user": user}


def test_a_template_comes_back_as_it_was_given(templates):
    added = templates.add(NAME, "owner", "d1", template("ä"))
    assert (added.name, added.version, added.owner, added.digest) == (NAME, 1, "owner", "d1")
    assert added.template == template("ä")
    assert added.create_time.tzinfo is not None
    assert templates.get(NAME) == templates.get(NAME, 1) == added


def test_a_changed_template_is_the_next_version_and_the_old_one_stays(templates):
    first = templates.add(NAME, "owner", "d1", template("1"))
    second = templates.add(NAME, "owner", "d2", template("2"))
    assert (second.version, second.template["version"]) == (2, 2)
    assert templates.get(NAME) == second
    assert templates.get(NAME, 1) == first


def test_the_newest_version_is_not_repeated_but_an_older_one_may_come_back(templates):
    first = templates.add(NAME, "owner", "d1", template())
    assert templates.add(NAME, "other", "d1", template()) == first
    templates.add(NAME, "owner", "d2", template())
    assert templates.add(NAME, "owner", "d1", template()).version == 3


def test_what_is_not_there_is_named(templates):
    templates.add(NAME, "owner", "d1", template())
    for call, what in (
        (lambda: templates.get("templates/none"), "no templates/none"),
        (lambda: templates.get(NAME, 2), "no version 2 of templates/mine"),
        (lambda: templates.delete("templates/none"), "no templates/none"),
    ):
        with pytest.raises(NotFound, match=what) as caught:
            call()
        assert caught.value.reason == "TEMPLATE_NOT_FOUND"


def test_a_template_goes_with_all_its_versions_and_begins_anew(templates):
    templates.add("templates/other", "owner", "d", template())
    for digest in ("d1", "d2"):
        last = templates.add(NAME, "owner", digest, template())
    templates.delete(NAME)
    for version in (0, 1, 2):
        with pytest.raises(NotFound):
            templates.get(NAME, version)
    again = templates.add(NAME, "owner", "d2", template())
    assert again.version == 1
    assert again.number > last.number
    assert templates.get("templates/other")


def test_pages_hold_the_newest_version_of_each_template_the_newest_first(templates):
    for name, digest in (("a", "1"), ("b", "1"), ("c", "1"), ("a", "2")):
        templates.add(f"templates/{name}", "owner", digest, template())
    built_in = templates.page(2**63 - 1, len(BUILT_IN))
    page = templates.page(built_in[-1].number, 2)
    rest = templates.page(page[-1].number, 2)
    assert [each.template for each in built_in] == list(BUILT_IN.values())
    assert [(each.name[-1], each.version) for each in (*page, *rest)] == [("c", 1), ("b", 1), ("a", 2)]


@pytest.mark.parametrize("call", ["add", "delete"])
def test_built_in_templates_stay_as_they_are(templates, call):
    given = {"add": ("owner", "d", template()), "delete": ()}[call]
    with pytest.raises(WrongState, match="built-in"):
        getattr(templates, call)("templates/classify", *given)

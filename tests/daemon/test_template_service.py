import pytest
from honed.daemon.rpc.templates import TemplateService
from honed.errors import InvalidInput, NotFound, WrongState
from honed.template_library import BUILT_IN, digest
from honed.v1.templates_pb2 import (
    CreateTemplateRequest,
    DeleteTemplateRequest,
    GetTemplateRequest,
    ListTemplatesRequest,
    Template,
    TemplateParameter,
    TemplateSlot,
)

MINE = Template(
    name="templates/mine",
    version=9,
    owner="somebody",
    digest="x",
    description="Mine.",
    task="classify",
    user="{{ text }}",
    reply="{{ label }}",
    slots=[TemplateSlot(name="text"), TemplateSlot(name="label", description="l", optional=True, many=True)],
    parameters=[TemplateParameter(name="p", description="d", default_value="v")],
    verbalizer={"1": "good"},
)


@pytest.fixture
def service(core):
    return TemplateService(core)


@pytest.fixture
def create(core, service):
    async def create(template=MINE):
        """Creates a template that the worker, as a real one does, gives back with its digest."""

        async def check(work, limits, folder):
            core.supervisor.works.append(work)
            return {"digest": digest(work.template), "template": work.template}

        core.supervisor.run_once = check
        return await service.CreateTemplate(CreateTemplateRequest(template=template), None)

    return create


def changed(**values):
    template = Template()
    template.CopyFrom(MINE)
    template.MergeFrom(Template(**values))
    return template


async def test_a_template_is_checked_in_a_worker_and_kept_whole(core, service, create):
    created = await create()
    (work,) = core.supervisor.works
    assert work.kind == "check_template"
    assert work.template.keys() == BUILT_IN["classify"].keys()
    assert (created.name, created.version, created.owner) == ("templates/mine", 1, "owner")
    assert created.digest == digest(work.template)
    assert created.HasField("create_time")
    for field in ("description", "task", "system", "user", "reply", "slots", "parameters", "verbalizer"):
        assert getattr(created, field) == getattr(MINE, field)
    assert await service.GetTemplate(GetTemplateRequest(name="templates/mine"), None) == created
    assert not list(core.state.uploads.iterdir())


async def test_the_same_again_is_no_new_version_and_a_change_is_one(service, create):
    first = await create()
    assert await create() == first
    second = await create(changed(reply="Label: {{ label }}"))
    assert (second.version, second.reply) == (2, "Label: {{ label }}")
    assert await service.GetTemplate(GetTemplateRequest(name="templates/mine", version=1), None) == first
    assert await service.GetTemplate(GetTemplateRequest(name="templates/mine"), None) == second


async def test_a_template_that_the_worker_refuses_is_not_kept(core, service):
    core.supervisor.result = InvalidInput.of_field("template.user", "nothing")
    with pytest.raises(InvalidInput):
        await service.CreateTemplate(CreateTemplateRequest(template=MINE), None)
    with pytest.raises(NotFound):
        core.templates.get("templates/mine")
    assert not list(core.state.uploads.iterdir())


@pytest.mark.parametrize("name", ["", "mine", "templates/", "templates/Ä", "models/mine"])
async def test_a_name_out_of_form_is_refused_before_any_work(core, service, name):
    with pytest.raises(InvalidInput) as caught:
        await service.CreateTemplate(CreateTemplateRequest(template=Template(name=name)), None)
    assert [field for field, _ in caught.value.violations] == ["template.name"]
    assert core.supervisor.works == []


@pytest.mark.parametrize("identifier", BUILT_IN)
async def test_a_built_in_template_can_be_read_and_neither_changed_nor_deleted(core, service, identifier):
    name = f"templates/{identifier}"
    assert (await service.GetTemplate(GetTemplateRequest(name=name, version=1), None)).owner == "honed"
    for call in (
        service.CreateTemplate(CreateTemplateRequest(template=changed(name=name)), None),
        service.DeleteTemplate(DeleteTemplateRequest(name=name), None),
    ):
        with pytest.raises(WrongState) as caught:
            await call
        assert caught.value.reason == "TEMPLATE_BUILT_IN"
    assert core.supervisor.works == []


async def test_a_version_that_does_not_exist_is_not_found(service, create):
    await create()
    for name, version in (("templates/mine", 2), ("templates/classify", 2), ("templates/none", 0)):
        with pytest.raises(NotFound) as caught:
            await service.GetTemplate(GetTemplateRequest(name=name, version=version), None)
        assert caught.value.reason == "TEMPLATE_NOT_FOUND"
    with pytest.raises(InvalidInput):
        await service.GetTemplate(GetTemplateRequest(name="templates/mine", version=-1), None)


@pytest.mark.parametrize("page_size", [1, 2, len(BUILT_IN) - 1, len(BUILT_IN), len(BUILT_IN) + 1, 1000])
async def test_pages_hold_the_built_in_ones_first_then_the_others_the_newest_first(service, create, page_size):
    for name in ("a", "b", "c"):
        await create(changed(name=f"templates/{name}"))
    await create(changed(name="templates/a", description="Changed."))
    found, token = [], ""
    while True:
        request = ListTemplatesRequest(page_size=page_size, page_token=token)
        page = await service.ListTemplates(request, None)
        assert len(page.templates) <= page_size
        found += [(template.name, template.version) for template in page.templates]
        if not (token := page.next_page_token):
            break
    built_in = [(template["name"], template["version"]) for template in BUILT_IN.values()]
    assert found == [*built_in, ("templates/c", 1), ("templates/b", 1), ("templates/a", 2)]


async def test_a_template_that_changes_between_two_pages_is_still_on_one(service, create):
    for name in ("a", "b", "c"):
        await create(changed(name=f"templates/{name}"))
    first = await service.ListTemplates(ListTemplatesRequest(page_size=len(BUILT_IN) + 1), None)
    await create(changed(name="templates/a", description="Changed."))
    second = await service.ListTemplates(ListTemplatesRequest(page_token=first.next_page_token), None)
    assert [template.name for template in second.templates] == ["templates/b", "templates/a"]


@pytest.mark.parametrize(
    ("fits", "too_large", "field"),
    [
        ({"description": "x" * 2000}, {"description": "x" * 2001}, "description"),
        ({"verbalizer": {"a": "x" * 200}}, {"verbalizer": {"a": "x" * 201}}, "verbalizer"),
        ({}, {"verbalizer": {str(number): "x" for number in range(1001)}}, "verbalizer"),
        ({}, {"slots": [TemplateSlot(name="s")] * 65}, "slots"),
        ({}, {"parameters": [TemplateParameter(name="s")] * 65}, "parameters"),
        ({}, {"slots": [TemplateSlot(name="s", description="x" * 201)]}, "slots[2].description"),
        ({}, {"parameters": [TemplateParameter(name="x" * 201)]}, "parameters[1].name"),
        (
            {"parameters": [TemplateParameter(name="q", default_value="x" * 2000)]},
            {"parameters": [TemplateParameter(name="q", default_value="x" * 2001)]},
            "parameters[1].default_value",
        ),
    ],
)
async def test_a_template_larger_than_any_use_is_refused_before_a_worker_sees_it(core, create, fits, too_large, field):
    await create(changed(**fits))
    with pytest.raises(InvalidInput) as caught:
        await create(changed(**too_large))
    assert [where for where, _ in caught.value.violations] == [f"template.{field}"]
    assert len(core.supervisor.works) == 1


async def test_a_deleted_template_is_gone_with_all_its_versions(service, create):
    await create()
    await create(changed(reply="more {{ label }}"))
    await service.DeleteTemplate(DeleteTemplateRequest(name="templates/mine"), None)
    for version in (0, 1, 2):
        with pytest.raises(NotFound):
            await service.GetTemplate(GetTemplateRequest(name="templates/mine", version=version), None)
    with pytest.raises(NotFound):
        await service.DeleteTemplate(DeleteTemplateRequest(name="templates/mine"), None)


async def test_workers_get_the_newest_version_of_a_template(core, create):
    await create()
    await create(changed(reply="more {{ label }}"))
    assert core.templates.get("templates/mine").template["version"] == 2
    assert core.templates.get("templates/classify").template == BUILT_IN["classify"]
    with pytest.raises(NotFound):
        core.templates.get("templates/none")

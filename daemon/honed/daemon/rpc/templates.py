"""TemplateService: the built-in templates and those that users wrote. A template is checked in a short-lived worker;
here it is data that nobody parses."""

from typing import Any

from google.protobuf import empty_pb2
from grpc.aio import ServicerContext
from honed.daemon.core import Core
from honed.daemon.rpc import convert
from honed.daemon.rpc.names import check_name, next_token, page_bounds
from honed.daemon.store.templates import not_found
from honed.errors import InvalidInput, WrongState
from honed.rpc_edge import principal
from honed.template_library import BUILT_IN
from honed.v1 import templates_pb2, templates_pb2_grpc
from honed.worker.contract import CheckTemplateWork

Context = ServicerContext[Any, Any]
# The built-in templates stand before all others in the list: page tokens count down, and theirs begin here.
_FIRST_NUMBER = 10**18 - 1


class TemplateService(templates_pb2_grpc.TemplateServiceServicer):
    """See templates.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def CreateTemplate(
        self, request: templates_pb2.CreateTemplateRequest, context: Context
    ) -> templates_pb2.Template:
        name = check_name(request.template.name, "template.name", "templates")
        _require_not_built_in(name)
        checked = await self._core.ask(CheckTemplateWork(_plain(request.template)))
        added = self._core.templates.add(name, principal.get(), checked["digest"], checked["template"])
        return convert.user_template(added)

    async def GetTemplate(self, request: templates_pb2.GetTemplateRequest, context: Context) -> templates_pb2.Template:
        name = check_name(request.name, "name", "templates")
        if request.version < 0:
            raise InvalidInput.of_field("version", f"expected 0 or more, found {request.version}")
        if built_in := BUILT_IN.get(name.removeprefix("templates/")):
            if request.version not in (0, built_in["version"]):
                raise not_found(name, request.version)
            return convert.built_in_template(built_in)
        return convert.user_template(self._core.templates.get(name, request.version))

    async def ListTemplates(
        self, request: templates_pb2.ListTemplatesRequest, context: Context
    ) -> templates_pb2.ListTemplatesResponse:
        before, limit = page_bounds(request.page_size, request.page_token)
        numbered = [
            (number, convert.built_in_template(built_in))
            for number, built_in in zip(range(_FIRST_NUMBER, 0, -1), BUILT_IN.values(), strict=False)
            if number < before
        ][:limit]
        if rest := limit - len(numbered):
            numbered += [(each.number, convert.user_template(each)) for each in self._core.templates.page(before, rest)]
        return templates_pb2.ListTemplatesResponse(
            templates=[template for _, template in numbered],
            next_page_token=next_token([number for number, _ in numbered], limit),
        )

    async def DeleteTemplate(self, request: templates_pb2.DeleteTemplateRequest, context: Context) -> empty_pb2.Empty:
        name = check_name(request.name, "name", "templates")
        _require_not_built_in(name)
        self._core.templates.delete(name)
        return empty_pb2.Empty()


def find_template(core: Core, name: str) -> dict[str, Any]:
    """The newest version of a template as workers take it.

    Raises:
        NotFound: there is none of this name.
    """
    built_in = BUILT_IN.get(name.removeprefix("templates/"))
    return dict(built_in) if built_in else core.templates.get(name).template


def _require_not_built_in(name: str) -> None:
    if name.removeprefix("templates/") in BUILT_IN:
        raise WrongState(
            f"{name} is a built-in template and stays as it is; choose another id.",
            reason="TEMPLATE_BUILT_IN",
            resource=name,
        )


def _plain(template: templates_pb2.Template) -> dict[str, Any]:
    """A template of the wire as workers take it. Its version is given when it is stored."""
    return {
        "name": template.name,
        "version": 1,
        "description": template.description,
        "task": template.task,
        "system": template.system,
        "user": template.user,
        "reply": template.reply,
        "slots": [
            {"name": slot.name, "description": slot.description, "optional": slot.optional, "many": slot.many}
            for slot in template.slots
        ],
        "parameters": [
            {"name": each.name, "description": each.description, "default_value": each.default_value}
            for each in template.parameters
        ],
        "verbalizer": dict(template.verbalizer),
    }

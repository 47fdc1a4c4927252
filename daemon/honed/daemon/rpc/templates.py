"""TemplateService: the built-in templates and those that users wrote. A template is checked in a short-lived worker;
here it is data of which nothing but the size is looked at."""

from collections.abc import Iterator
from typing import Any

from google.protobuf import empty_pb2
from grpc.aio import ServicerContext
from honed.daemon.core import Core
from honed.daemon.rpc import convert
from honed.daemon.rpc.names import check_name
from honed.daemon.rpc.paging import page_bounds, page_of
from honed.daemon.rpc.sizes import MAX_NAME, MAX_TEXT, map_mistakes, text_mistakes
from honed.daemon.rpc.specs import raise_mistakes
from honed.errors import InvalidInput
from honed.rpc_edge import principal
from honed.v1 import templates_pb2, templates_pb2_grpc
from honed.worker.contract import CheckTemplateWork

Context = ServicerContext[Any, Any]
_MAX_DECLARED = 64


class TemplateService(templates_pb2_grpc.TemplateServiceServicer):
    """See templates.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def CreateTemplate(
        self, request: templates_pb2.CreateTemplateRequest, context: Context
    ) -> templates_pb2.Template:
        name = check_name(request.template.name, "template.name", "templates")
        self._core.templates.require_own(name)
        raise_mistakes("template", [*_size_mistakes(request.template)])
        checked = await self._core.ask(CheckTemplateWork(_plain(request.template)))
        return convert.template(self._core.templates.add(name, principal.get(), checked["digest"], checked["template"]))

    async def GetTemplate(self, request: templates_pb2.GetTemplateRequest, context: Context) -> templates_pb2.Template:
        name = check_name(request.name, "name", "templates")
        if request.version < 0:
            raise InvalidInput.of_field("version", f"expected 0 or more, found {request.version}")
        return convert.template(self._core.templates.get(name, request.version))

    async def ListTemplates(
        self, request: templates_pb2.ListTemplatesRequest, context: Context
    ) -> templates_pb2.ListTemplatesResponse:
        before, limit = page_bounds(request.page_size, request.page_token)
        stored = self._core.templates.page(before, limit)
        templates, token = page_of(((each.number, convert.template(each)) for each in stored), limit)
        return templates_pb2.ListTemplatesResponse(templates=templates, next_page_token=token)

    async def DeleteTemplate(self, request: templates_pb2.DeleteTemplateRequest, context: Context) -> empty_pb2.Empty:
        self._core.templates.delete(check_name(request.name, "name", "templates"))
        return empty_pb2.Empty()


def _size_mistakes(template: templates_pb2.Template) -> Iterator[tuple[str, str]]:
    """What is larger than any use, so that a page of templates fits a message."""
    yield from text_mistakes({"description": template.description}, MAX_TEXT)
    yield from map_mistakes("verbalizer", template.verbalizer, MAX_NAME)
    for field in ("slots", "parameters"):
        declared = getattr(template, field)
        if len(declared) > _MAX_DECLARED:
            yield field, f"expected {_MAX_DECLARED} at most, found {len(declared)}"
        for place, each in enumerate(declared):
            texts = {f"{field}[{place}].name": each.name, f"{field}[{place}].description": each.description}
            yield from text_mistakes(texts, MAX_NAME)
    for place, parameter in enumerate(template.parameters):
        yield from text_mistakes({f"parameters[{place}].default_value": parameter.default_value}, MAX_TEXT)


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

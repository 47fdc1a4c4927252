import pytest
from honed.data import Renderer, ServingTemplate, Template, bind
from honed.errors import InvalidInput
from honed.serve.engine import Engine
from honed.serve.graph import Graph
from honed.serve.service import GenerationService
from honed.template_library import BUILT_IN
from honed.v1 import generation_pb2

CLASSIFY = bind(Template.from_json(BUILT_IN["classify"]), {}, {}, {}, "", ("text", "label"))
TUNED = ServingTemplate(CLASSIFY)


@pytest.fixture(scope="module")
def service(graph_folder):
    """Makes a service on one engine for what a model was tuned with."""
    engine = Engine(Graph(graph_folder, 1, 2, 1 << 24), max_waiting=4)
    yield lambda template: GenerationService(engine, Renderer.load(graph_folder), template)
    engine.close()


async def reply(service, **request):
    """The text of a greedy reply, and its end."""
    text = ""
    async for message in service.Generate(generation_pb2.GenerateRequest(max_tokens=6, **request), None):
        text += message.delta
    return text, message.done


def chat(*turns):
    return generation_pb2.Chat(messages=[generation_pb2.ChatMessage(role=role, content=text) for role, text in turns])


def row(**values):
    return generation_pb2.Row(values=values)


async def test_a_row_a_chat_and_the_rendered_prompt_get_the_same_reply(service):
    prompt = (
        "<|im_start|>system\nClassify the message.<|im_end|>\n<|im_start|>user\nWhere is my card?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    expected = await reply(service(ServingTemplate()), prompt=prompt)
    assert expected[1].completion_tokens > 0
    assert await reply(service(TUNED), row=row(text="Where is my card?")) == expected
    assert await reply(service(TUNED), chat=chat(("user", "Where is my card?"))) == expected


async def test_a_system_message_of_the_chats_own_takes_the_place_of_the_instruction(service):
    turns = (("system", "Be brief."), ("user", "Where is my card?"))
    assert await reply(service(TUNED), chat=chat(*turns)) == await reply(service(ServingTemplate()), chat=chat(*turns))


@pytest.mark.parametrize(
    ("template", "request_", "reason"),
    [
        (ServingTemplate(), {"row": row(text="a")}, "TEMPLATE_MISSING"),
        (TUNED, {"row": row(body="a")}, "ROW_INVALID"),
        (TUNED, {"row": row()}, "ROW_INVALID"),
        (TUNED, {"row": row(text="<|im_end|>")}, "SPECIAL_TOKEN_IN_TEXT"),
        (TUNED, {"chat": chat()}, "FIELD_INVALID"),
        (TUNED, {"prompt": ""}, "FIELD_INVALID"),
        (TUNED, {}, "FIELD_INVALID"),
    ],
)
async def test_a_request_that_cannot_be_rendered_is_refused(service, template, request_, reason):
    with pytest.raises(InvalidInput) as caught:
        await reply(service(template), **request_)
    assert caught.value.reason == reason

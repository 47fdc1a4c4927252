import pytest
from honed.data import Message, ServingTemplate, Template, bind
from honed.errors import InvalidInput
from honed.template_library import BUILT_IN

BOUND = bind(Template.from_json(BUILT_IN["classify"]), {}, {}, {"a": "ä"}, "Sortiere.", ("text", "label"))
SYSTEM, USER = Message("system", "Be kind."), Message("user", "Hi")


@pytest.mark.parametrize("template", [ServingTemplate(BOUND), ServingTemplate()])
def test_it_is_carried_from_folder_to_folder(template, tmp_path):
    for name in ("adapter", "export"):
        (tmp_path / name).mkdir()
    template.save(tmp_path / "adapter")
    ServingTemplate.load(tmp_path / "adapter").save(tmp_path / "export")
    assert ServingTemplate.load(tmp_path / "export") == template


def test_a_folder_without_one_has_no_instruction_and_no_template(tmp_path):
    assert ServingTemplate.load(tmp_path) == ServingTemplate(None)


def test_the_instruction_comes_in_front_unless_the_conversation_brings_one():
    template = ServingTemplate(BOUND)
    assert template.chat([USER]) == (Message("system", "Sortiere."), USER)
    assert template.chat([SYSTEM, USER]) == (SYSTEM, USER)
    assert ServingTemplate().chat([USER]) == (USER,)


def test_a_row_is_rendered_as_a_training_row_was():
    row = BOUND.example({"text": "Hi", "label": "a"})
    assert ServingTemplate(BOUND).row({"text": "Hi"}) == row.messages


def test_a_row_for_a_model_without_a_template_is_refused():
    with pytest.raises(InvalidInput, match="Send chat or prompt instead") as caught:
        ServingTemplate().row({"text": "Hi"})
    assert caught.value.reason == "TEMPLATE_MISSING"

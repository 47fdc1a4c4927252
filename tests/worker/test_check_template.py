import pytest
from honed.errors import InvalidInput
from honed.template_library import BUILT_IN, digest
from honed.worker import check_template
from honed.worker.contract import CheckTemplateWork


def check(template, folder):
    return check_template.run(CheckTemplateWork(template), folder, None)


def test_a_good_template_comes_back_with_its_digest(tmp_path):
    template = BUILT_IN["answer"] | {"name": "templates/mine", "version": 2}
    assert check(template, tmp_path) == {"digest": digest(BUILT_IN["answer"]), "template": template}


def test_a_bad_template_is_refused_by_field(tmp_path):
    with pytest.raises(InvalidInput) as caught:
        check(BUILT_IN["classify"] | {"user": "{{ text.upper() }}"}, tmp_path)
    assert caught.value.reason == "TEMPLATE_INVALID"
    assert [field for field, _ in caught.value.violations] == ["template.user"]

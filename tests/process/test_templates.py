"""Templates: what the built-in ones render, versions of one's own, and those that are refused."""

import pytest
from helpers.daemon import refused
from helpers.tables import WRITE
from helpers.tiny_model import END_OF_TURN
from honed.v1.templates_pb2 import ListTemplatesRequest, Template, TemplateParameter, TemplateSlot
from process.previews import chatml, shown

BUILT_INS = {
    "summarize": (
        {"text": "A long tale.", "summary": "A tale."},
        {},
        chatml(("system", "Summarize the text."), ("user", "A long tale."), ("assistant", "A tale.")),
    ),
    "data-to-text": (
        {"name": "Aromi", "food": "French", "area": "", "text": "Aromi is French."},
        {"columns": {"data": ["name", "food", "area"]}},
        chatml(
            ("system", "Put the data into words. Say everything that the data says and nothing else."),
            ("user", "name: Aromi\nfood: French"),
            ("assistant", "Aromi is French."),
        ),
    ),
    "extract": (
        {"text": "Aromi is French.", "food": "French", "name": "Aromi", "area": ""},
        {"columns": {"fields": ["name", "food", "area"]}},
        chatml(
            (
                "system",
                "Extract the fields from the text as a JSON object. A field that the text does not give is null.",
            ),
            ("user", "Aromi is French."),
            ("assistant", '{"name": "Aromi", "food": "French", "area": null}'),
        ),
    ),
    "answer": (
        {"question": "Where?", "context": "", "answer": "Here."},
        {"instruction": "Answer at once."},
        chatml(("system", "Answer at once."), ("user", "Where?"), ("assistant", "Here.")),
    ),
    "translate": (
        {"english": "Thank you.", "german": "Danke."},
        {"columns": {"text": "english", "translation": "german"}, "parameters": {"language": "German"}},
        chatml(("system", "Translate the text into German."), ("user", "Thank you."), ("assistant", "Danke.")),
    ),
    "rewrite": (
        {"text": "Gimme that.", "rewritten": "May I have that?"},
        {"parameters": {"style": "polite"}},
        chatml(
            ("system", "Rewrite the text in this style: polite."),
            ("user", "Gimme that."),
            ("assistant", "May I have that?"),
        ),
    ),
}


@pytest.mark.parametrize("template", BUILT_INS)
def test_a_built_in_template_renders_a_row(template, client, upload):
    row, options, rendered = BUILT_INS[template]
    dataset = upload([row], test_fraction=0, template=template, **options)
    assert dataset.template.name == f"templates/{template}"
    assert dataset.template.digest == client.get_template(template).digest
    assert dict(dataset.parameters) == options.get("parameters", {})
    assert shown(client, dataset)[0] == rendered


def test_a_verbalizer_writes_words_for_labels(client, upload):
    rows = [{"text": f"text {n}", "label": ["card_arrival", "lost"][n % 2]} for n in range(6)]
    words = {"card_arrival": "arrival of a card"}
    dataset = upload(rows, template="classify", verbalizer=words, test_fraction=0)
    assert list(dataset.labels) == ["arrival of a card", "lost"]
    assert shown(client, dataset)[1] == f"arrival of a card{END_OF_TURN}"


@pytest.fixture
def own_template(client):
    """A template of the test's own, not yet created."""
    template = Template(
        name="own",
        description="Says what a customer wants.",
        task="classify",
        system="Say what the customer wants, {{ tone }}.",
        user="{{ message | strip }}{{# place }}\nFrom: {{ place }}{{/ place }}",
        reply="{{ wish | words }}",
        slots=[
            TemplateSlot(name="message", description="What was written."),
            TemplateSlot(name="place", optional=True),
            TemplateSlot(name="wish"),
        ],
        parameters=[TemplateParameter(name="tone", default_value="briefly")],
    )
    yield template
    if any(each.name == "templates/own" for each in client.list_templates()):
        client.delete_template("own")


def test_a_template_of_ones_own_has_versions_that_data_sets_keep(client, upload, own_template):
    first = client.create_template(own_template)
    assert (first.name, first.version, first.owner) == ("templates/own", 1, "owner")
    assert (first.task, first.user, list(first.slots)) == (
        own_template.task,
        own_template.user,
        list(own_template.slots),
    )
    assert client.create_template(own_template) == first  # nothing has changed

    rows = [{"message": f"Please {n}!", "wish": ["a_refund", "help"][n % 2], "place": "Rome"} for n in range(4)]
    dataset = upload(rows, template="own", test_fraction=0)
    assert dataset.template.digest == first.digest
    assert dict(dataset.parameters) == {"tone": "briefly"}
    assert {slot: list(columns.names) for slot, columns in dataset.columns.items()} == {
        "message": ["message"],
        "place": ["place"],
        "wish": ["wish"],
    }
    prompt = ("system", "Say what the customer wants, briefly."), ("user", "Please 0!\nFrom: Rome")
    assert shown(client, dataset)[0] == chatml(*prompt, ("assistant", "a refund"))

    own_template.user = "{{ message }} from {{ place }}"
    second = client.create_template(own_template)
    assert second.version == 2
    assert second.digest != first.digest
    assert client.get_template("own") == second
    assert client.get_template("own", version=1) == first
    assert client.get_dataset(dataset.name) == dataset
    again = upload(rows, template="own", test_fraction=0)
    assert (again.template.version, again.digest == dataset.digest) == (2, False)

    client.delete_template("own")
    for version in (0, 1, 2):
        with refused("NOT_FOUND", "TEMPLATE_NOT_FOUND"):
            client.get_template("own", version=version)
    assert client.get_dataset(dataset.name) == dataset
    assert shown(client, dataset)[0] == chatml(*prompt, ("assistant", "a refund"))


def test_templates_are_listed_the_built_in_ones_first(client, own_template):
    own = client.create_template(own_template)
    listed = list(client.list_templates())
    built_in = [template for template in listed if template.owner == "honed"]
    assert listed == [*built_in, own]
    assert {"templates/classify", "templates/extract", "templates/data-to-text"} < {each.name for each in built_in}
    assert [template for page in pages_of_one(client) for template in page.templates] == listed


def pages_of_one(client):
    return client._calls.pages(client._templates.ListTemplates, ListTemplatesRequest(page_size=1))


def test_built_in_templates_stay_as_they_are(client, own_template):
    own_template.name = "classify"
    with refused("FAILED_PRECONDITION", "TEMPLATE_BUILT_IN"):
        client.create_template(own_template)
    with refused("FAILED_PRECONDITION", "TEMPLATE_BUILT_IN"):
        client.delete_template("classify")
    assert client.get_template("classify", version=1).system == "Classify the message."


# Refusals

UNBOUND = {
    "no such column": ({"columns": {"text": "body"}}, "COLUMN_MISSING", ["'body'", "'text'", "'words', 'label'"]),
    "a slot without a column": ({}, "COLUMN_MISSING", ["'text'", "'words', 'label'"]),
    "no such slot": ({"columns": {"txt": "words"}}, "SLOT_UNKNOWN", ["'txt'", "'text', 'label'"]),
    "no such group": (
        {"columns": {"text": "words"}, "group_column": "who"},
        "COLUMN_MISSING",
        ["'who'", "'words', 'label'"],
    ),
    "one column twice": ({"columns": {"text": "label"}}, "COLUMN_MISSING", ["'label'"]),
    "one column in two slots": ({"columns": {"text": "label", "label": "label"}}, "COLUMN_TWICE", ["'label'"]),
    "two columns in one slot": ({"columns": {"text": ["words", "more"]}}, "COLUMN_MISSING", ["'more'"]),
    "no such parameter": (
        {"columns": {"text": "words"}, "parameters": {"tone": "kind"}},
        "PARAMETER_UNKNOWN",
        ["'tone'", "none"],
    ),
    "a parameter without a value": (
        {"template": "translate", "columns": {"text": "words", "translation": "label"}},
        "PARAMETER_MISSING",
        ["'language'", "German"],
    ),
    "words for two labels alike": (
        {"columns": {"text": "words"}, "verbalizer": {"x": "one", "y": "one"}},
        "FIELD_INVALID",
        ["'one'", "'x'"],
    ),
}


@pytest.mark.usefixtures("nothing_is_kept")
@pytest.mark.parametrize("case", UNBOUND)
def test_a_template_that_does_not_fit_the_table_is_refused_with_what_would(case, upload):
    options, reason, words = UNBOUND[case]
    table = [{"words": f"word {n}", "label": "xy"[n % 2]} for n in range(4)]
    with refused("INVALID_ARGUMENT", reason) as error:
        upload(WRITE["csv"](table), **{"template": "classify", **options})
    assert [word for word in words if word not in error.value.message] == []


def template(**fields: object) -> Template:
    slots = [TemplateSlot(name="a"), TemplateSlot(name="b")]
    good = {"name": "bad", "task": "generate", "system": "S.", "user": "{{ a }}", "reply": "{{ b }}", "slots": slots}
    return Template(**{**good, **fields})


A, B, MANY = TemplateSlot(name="a"), TemplateSlot(name="b"), TemplateSlot(name="a", many=True)
MALFORMED = {
    "a loop": (template(user="{% for x in a %}{{ x }}{% endfor %}"), "template.user", "{%"),
    "an attribute": (template(user="{{ a.__class__ }}"), "template.user", "{{ a.__class__ }}"),
    "a call": (template(user="{{ a() }}"), "template.user", "{{ a() }}"),
    "an index": (template(user="{{ a[0] }}"), "template.user", "{{ a[0] }}"),
    "an unknown filter": (template(user="{{ a | shell }}"), "template.user", "shell"),
    "an open section": (template(user="{{# a }}x"), "template.user", "a"),
    "sections crossed": (template(user="{{# a }}{{^ b }}{{/ a }}{{/ b }}"), "template.user", "b"),
    "nine sections deep": (template(user="{{# a }}" * 9 + "x" + "{{/ a }}" * 9), "template.user", "8"),
    "20,001 characters": (template(user="{{ a }}" + "x" * 19_994), "template.user", "20,000"),
    "a name that is not declared": (template(user="{{ a }}{{ c }}"), "template.user", "'c'"),
    "a slot in the instruction": (template(system="{{ a }}"), "template.system", "'a'"),
    "a slot that is not used": (template(user="x"), "template.slots[0]", "'a'"),
    "a prompt of nothing": (template(user=" "), "template.user", "can only render nothing"),
    "a prompt that is never kept": (
        template(user="{{^ a }}{{ a }}{{/ a }}"),
        "template.user",
        "can only render nothing",
    ),
    "a reply of nothing": (template(reply=""), "template.reply", "can only render nothing"),
    "one reply for all": (template(reply="yes", slots=[A]), "template.reply", "names no slot"),
    "two labels": (template(task="classify", reply="{{ a }}{{ b }}"), "template.reply", "exactly one slot"),
    "the answer in the question": (
        template(task="classify", user="{{ a }}{{ b }}"),
        "template.user",
        "gives the answer",
    ),
    "many columns as text": (template(slots=[MANY, B]), "template.user", "json or lines"),
    "an unknown task": (template(task="sing"), "template.task", "'sing'"),
    "a slot twice": (template(slots=[A, B, A]), "template.slots[2].name", "twice"),
    "a parameter of a slot's name": (
        template(parameters=[TemplateParameter(name="a")]),
        "template.parameters[0].name",
        "twice",
    ),
    "a slot out of form": (template(slots=[A, B, TemplateSlot(name="A b")]), "template.slots[2].name", "'A b'"),
    "words without labels": (template(verbalizer={"x": "y"}), "template.verbalizer", "classify"),
}


@pytest.mark.usefixtures("nothing_is_kept")
@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_template_is_refused_by_its_field_and_not_kept(case, client):
    bad, field, words = MALFORMED[case]
    before = list(client.list_templates())
    with refused("INVALID_ARGUMENT", "TEMPLATE_INVALID") as error:
        client.create_template(bad)
    assert field in {name for name, _ in error.value.field_violations}
    assert any(words in what for name, what in error.value.field_violations if name == field)
    assert list(client.list_templates()) == before


@pytest.mark.usefixtures("nothing_is_kept")
def test_a_row_for_which_a_template_renders_nothing_is_named(client, upload):
    optional = [TemplateSlot(name=name, optional=True) for name in "ac"]
    client.create_template(template(user="{{# a }}{{ a }}{{/ a }}{{ c }}", slots=[*optional, B]))
    rows = [{"a": "x", "b": "r", "c": ""}, {"a": "", "b": "r", "c": " "}, {"a": "", "b": "", "c": "z"}]
    try:
        with refused("INVALID_ARGUMENT", "ROWS_INVALID") as error:
            upload(WRITE["csv"](rows), template="bad")
    finally:
        client.delete_template("bad")
    first, second = error.value.field_violations
    assert first == ("row 2", "the prompt is empty; fill one of the slots 'a', 'c'")
    assert second == ("row 3", "'b' is empty")

import json

import pytest
from honed.data.problems import BadRow
from honed.data.template_language import (
    MAX_DEPTH,
    MAX_RENDERED_CHARACTERS,
    MAX_SOURCE_CHARACTERS,
    compile_template,
    is_filled,
)
from honed.errors import InvalidInput
from hypothesis import given, settings
from hypothesis import strategies as st

ALL = settings(max_examples=100, deadline=None)
NAMES = st.sampled_from(["a", "b", "long_name2"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


def render(source, **values):
    return compile_template(source, "template.user").render(values)


def refusal(source):
    """What is said of the one mistake in a template."""
    with pytest.raises(InvalidInput) as caught:
        compile_template(source, "template.user")
    assert caught.value.reason == "TEMPLATE_INVALID"
    ((field, what),) = caught.value.violations
    assert field == "template.user"
    assert what in str(caught.value)
    return what


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("no slot at all: { } }} {a}", "no slot at all: { } }} {a}"),
        ("{{ a }}{{a}}", "XX"),
        ("{{{{ a }} is how a slot is written", "{{ a }} is how a slot is written"),
        ("{{{{{{ a }}", "{{X"),
        ("{{# a }}has {{ a }}{{/ a }}{{^ a }}has none{{/ a }}", "has X"),
        ("{{# empty }}has some{{/ empty }}{{^empty}}has none{{/empty}}", "has none"),
        ("{{# a }}1{{# empty }}2{{/ empty }}{{^ empty }}3{{/ empty }}{{/ a }}", "13"),
    ],
)
def test_text_slots_and_conditions_render(source, expected):
    assert render(source, a="X", empty="") == expected


@pytest.mark.parametrize(
    ("filters", "value", "expected"),
    [
        ("lower", "ÄB", "äb"),
        ("upper", "äb", "ÄB"),
        ("strip", "  x\n", "x"),
        ("words", "lost_or-stolen_card", "lost or stolen card"),
        ("first_line", "\n one \ntwo", "one"),
        ("json", 'say "hi"\nö', r'"say \"hi\"\nö"'),
        ("json", ["a", {"b": None}], '["a", {"b": null}]'),
        ("json", {"b": 1.5, "a": True}, '{"b": 1.5, "a": true}'),
        ("words | upper", "a_b", "A B"),
        ("lower|json", "A", '"a"'),
        ("lines", {"mr": "name[Blue Spice]"}, "name[Blue Spice]"),
        (
            "lines",
            {"name": "Blue Spice", "area": None, "stars": 5, "tags": ["a"]},
            'name: Blue Spice\nstars: 5\ntags: ["a"]',
        ),
        ("lines", {"mr": None}, ""),
        ("lines", "text", "text"),
    ],
)
def test_a_filter_changes_the_value(filters, value, expected):
    assert render(f"<{{{{ a | {filters} }}}}>", a=value) == f"<{expected}>"


@pytest.mark.parametrize(
    ("value", "filled"),
    [
        ("", False),
        ("x", True),
        ([], False),
        ([""], True),
        ({}, False),
        ({"a": None}, False),
        ({"a": None, "b": 0}, True),
    ],
)
def test_empty_is_what_holds_no_value(value, filled):
    assert is_filled(value) is filled
    assert render("{{# a }}yes{{/ a }}{{^ a }}no{{/ a }}", a=value) == ("yes" if filled else "no")


@pytest.mark.parametrize("value", [0, 0.0, False])
def test_nought_and_false_are_values(value):
    assert is_filled(value)
    assert render("{{# a }}{{ a | json }}{{/ a }}", a=value) == json.dumps(value)


@pytest.mark.parametrize("source", ["{{ a }}{{ a | upper }}", "{{# a }}{{ a }}{{ a | json }}{{/ a }}"])
def test_a_text_is_never_longer_than_the_limit(source):
    half = MAX_RENDERED_CHARACTERS // 2
    assert len(render("{{ a }}{{ a | upper }}", a="x" * half)) == 2 * half
    with pytest.raises(BadRow, match="more than 4,000,000 characters"):
        render(source, a="x" * (half + 1))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("Hi\n  {{ user.name }}!", "line 2, column 3: found '{{ user.name }}', expected {{ name }}"),
        ("{{ a() }}", "found '{{ a() }}', expected"),
        ("{{ a[0] }}", "expected {{ name }}"),
        ("{{ __class__ }}", "expected {{ name }}"),
        ("{{ }}", "expected {{ name }}"),
        ("{{ A }}", "lower-case letter"),
        ("{{ for row in rows }}", "expected {{ name }}"),
        ("{{> partial }}", "expected {{ name }}"),
        ("{{{ a }}}", "which no }} closes"),
        ("{{ a }", "which no }} closes; expected {{ name }}"),
        ("text {{ a", "line 1, column 6: found '{{ a', which no }} closes"),
        ("{% for row in rows %}{{ row }}{% endfor %}", "no statements and no loops"),
        ("{{ a | }}", "'' is no filter; there are json, lines, lower"),
        ("{{ a | attr | upper }}", "'attr' is no filter"),
        ("{{ a | upper | lines }}", "must be the first filter"),
        ("{{# a }}{{ a }}", "found '{{# a }}', and no {{/ a }} after it"),
        ("{{# a }}{{# b }}{{/ a }}{{/ b }}", "found '{{/ a }}', expected {{/ b }}"),
        ("x{{/ a }}", "line 1, column 2: found '{{/ a }}', but no condition is open"),
        ("{{# a.b }}{{/ a.b }}", "expected {{ name }}"),
        ("{{# a | json }}{{/ a }}", "expected {{ name }}"),
        ("{{# a }}" * (MAX_DEPTH + 1) + "{{/ a }}" * (MAX_DEPTH + 1), f"at most {MAX_DEPTH} may be nested"),
        ("x" * (MAX_SOURCE_CHARACTERS + 1), "expected 20,000 characters at most, found 20,001"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_is_allowed(source, expected):
    assert expected in refusal(source)


def test_the_limits_themselves_are_allowed():
    assert render("{{# a }}" * MAX_DEPTH + "x" + "{{/ a }}" * MAX_DEPTH, a="1") == "x"
    assert render("x" * MAX_SOURCE_CHARACTERS) == "x" * MAX_SOURCE_CHARACTERS


@ALL
@given(st.text(st.sampled_from("{}#^/|%a b_.\n()"), max_size=60))
def test_any_text_is_rendered_or_refused(source):
    try:
        compiled = compile_template(source, "template.user")
    except InvalidInput:
        assert refusal(source)
    else:
        assert len(compiled.render(dict.fromkeys(compiled.names(), "x"))) <= len(source)


@ALL
@given(TEXTS)
def test_a_value_is_written_as_it_is_and_never_read_as_a_template(value):
    assert render("{{ a }}", a=value) == value
    assert json.loads(render("{{ a | json }}", a=value)) == value


def trees(parts):
    return st.lists(parts, max_size=4)


BRACES = st.text("x{ \n", max_size=5).map(lambda text: text + ".")  # two texts never join to a tag
# (text), (write, name), (condition, name, filled, parts): what a template means, apart from how it is written.
TREES = st.recursive(
    trees(st.one_of(st.tuples(st.just("text"), BRACES), st.tuples(st.just("write"), NAMES))),
    lambda inner: trees(
        st.one_of(
            st.tuples(st.just("text"), st.text("y", max_size=3)),
            st.tuples(st.just("condition"), NAMES, st.booleans(), inner),
        )
    ),
    max_leaves=8,
)


def written(tree):
    """The tree as a template."""
    pieces = []
    for kind, *rest in tree:
        if kind == "text":
            pieces.append(rest[0].replace("{{", "{{{{"))
        elif kind == "write":
            pieces.append(f" {{{{ {rest[0]} }}}}")
        else:
            name, filled, inner = rest
            pieces.append(f" {{{{{'#' if filled else '^'} {name} }}}}{written(inner)} {{{{/ {name} }}}}")
    return "".join(pieces)


def meant(tree, values):
    """What the tree means for these values."""
    pieces = []
    for kind, *rest in tree:
        if kind == "text":
            pieces.append(rest[0])
        elif kind == "write":
            pieces.append(" " + values[rest[0]])
        else:
            name, filled, inner = rest
            pieces.append(" " + (meant(inner, values) + " " if (values[name] != "") == filled else ""))
    return "".join(pieces)


@ALL
@given(TREES, st.fixed_dictionaries({name: st.sampled_from(["", "v", "{{ a }}"]) for name in ("a", "b", "long_name2")}))
def test_a_template_renders_what_its_tree_means(tree, values):
    assert compile_template(written(tree), "template.user").render(values) == meant(tree, values)


@pytest.mark.parametrize(
    ("source", "never_empty", "can"),
    [
        ("", (), False),
        (" \n", (), False),
        ("x", (), True),
        ("{{ a }}", (), True),
        ("{{^ a }}{{ a }}{{/ a }}", (), False),
        ("{{^ a }}{{ a | json }}{{/ a }}", (), True),
        ("{{# a }}{{^ a }}x{{/ a }}{{/ a }}", (), False),
        ("{{^ a }}x{{/ a }}", (), True),
        ("{{^ a }}x{{/ a }}", ("a",), False),
        ("{{^ a }}{{# b }}{{ b }}{{/ b }}{{/ a }}", ("b",), True),
    ],
)
def test_a_template_that_can_only_render_nothing_is_recognised(source, never_empty, can):
    assert compile_template(source, "template.user").can_write(frozenset(never_empty)) is can

import math

import pytest
from honed.daemon.rpc.headers import complete_header, require_labels
from honed.errors import InvalidInput
from honed.v1.datasets_pb2 import Columns, FileFormat, Shape, UploadDatasetHeader

FORMATS, SHAPES = FileFormat.DESCRIPTOR.values_by_name, Shape.DESCRIPTOR.values_by_name
CLASSIFIED = {"text": Columns(names=["message"]), "label": Columns(names=["category"])}
WITHOUT_TEMPLATE = ["SHAPE_SHAREGPT", "SHAPE_MESSAGES", "SHAPE_TEXT", "SHAPE_PREFERENCE"]


def refusal(**values):
    with pytest.raises(InvalidInput) as caught:
        complete_header(UploadDatasetHeader(**values))
    assert caught.value.reason == "FIELD_INVALID"
    return caught.value


def refused_fields(**values):
    return [field for field, _ in refusal(**values).violations]


def test_nothing_given_leaves_everything_to_detection_and_defaults():
    header = UploadDatasetHeader()
    assert complete_header(header) == {
        "format": None,
        "shape": None,
        "columns": {},
        "parameters": {},
        "verbalizer": {},
        "instruction": "",
        "test_fraction": 0.2,
        "seed": 0,
        "group_column": "",
        "id_column": None,
        "model_name": "",
        "long_rows": "refuse",
    }
    assert header.template == ""


def test_what_is_given_reaches_the_worker():
    settings = complete_header(
        UploadDatasetHeader(
            format="FILE_FORMAT_PARQUET",
            shape="SHAPE_TABLE",
            template="templates/extract",
            columns={"text": Columns(names=["note"]), "fields": Columns(names=["name", "age"])},
            parameters={"language": "German"},
            verbalizer={"1": "good"},
            instruction="Do it.",
            test_fraction=0,
            seed=7,
            group_column="customer",
            id_column="",
            model="models/m",
            long_rows="LONG_ROWS_DROP",
        )
    )
    assert settings == {
        "format": "parquet",
        "shape": "table",
        "columns": {"text": ["note"], "fields": ["name", "age"]},
        "parameters": {"language": "German"},
        "verbalizer": {"1": "good"},
        "instruction": "Do it.",
        "test_fraction": 0,
        "seed": 7,
        "group_column": "customer",
        "id_column": "",
        "model_name": "models/m",
        "long_rows": "drop",
    }


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "FILE_FORMAT_UNSPECIFIED"])
def test_every_format_has_the_workers_word(name):
    assert complete_header(UploadDatasetHeader(format=name))["format"] == name.removeprefix("FILE_FORMAT_").lower()


@pytest.mark.parametrize("name", [name for name in SHAPES if name not in ("SHAPE_UNSPECIFIED", "SHAPE_TABLE")])
def test_a_shape_other_than_a_table_needs_no_template(name):
    header = UploadDatasetHeader(shape=name)
    assert complete_header(header)["shape"] == name.removeprefix("SHAPE_").lower()
    assert header.template == ""


@pytest.mark.parametrize("shape", ["SHAPE_UNSPECIFIED", "SHAPE_TABLE"])
def test_columns_for_a_text_and_its_label_imply_a_table_to_classify(shape):
    header = UploadDatasetHeader(shape=shape, columns=CLASSIFIED)
    assert complete_header(header)["shape"] == "table"
    assert header.template == "templates/classify"


def test_a_named_template_implies_a_table_and_is_kept():
    header = UploadDatasetHeader(template="templates/mine", columns=CLASSIFIED)
    assert complete_header(header)["shape"] == "table"
    assert header.template == "templates/mine"


def test_columns_for_prompt_and_completion_imply_their_shape():
    header = UploadDatasetHeader(columns={"prompt": Columns(names=["q"]), "completion": Columns(names=["a"])})
    assert complete_header(header)["shape"] == "prompt_completion"


@pytest.mark.parametrize(
    "values",
    [
        {"shape": "SHAPE_TABLE"},
        {"shape": "SHAPE_TABLE", "columns": {"text": Columns(names=["a"])}},
        {"columns": {"document": Columns(names=["a"])}},
    ],
)
def test_a_table_whose_template_is_anybodys_guess_is_refused(values):
    assert refused_fields(**values) == ["header.template"]


@pytest.mark.parametrize("shape", WITHOUT_TEMPLATE)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("template", "templates/classify"),
        ("columns", CLASSIFIED),
        ("parameters", {"language": "German"}),
        ("verbalizer", {"1": "good"}),
        ("instruction", "Do it."),
    ],
)
def test_rows_that_need_no_template_take_nothing_that_fills_one(shape, field, value):
    assert f"header.{field}" in refused_fields(shape=shape, **{field: value})


@pytest.mark.parametrize("shape", ["SHAPE_PROMPT_COMPLETION", "SHAPE_ALPACA"])
def test_a_shape_with_a_template_of_its_own_takes_columns_and_no_other_template(shape):
    columns = {"prompt": Columns(names=["question"])}
    settings = complete_header(UploadDatasetHeader(shape=shape, columns=columns, instruction="Do it."))
    assert (settings["columns"], settings["instruction"]) == ({"prompt": ["question"]}, "Do it.")
    assert refused_fields(shape=shape, template="templates/classify") == ["header.template"]
    assert refused_fields(shape=shape, parameters={"a": "b"}) == ["header.parameters"]


def test_rows_too_long_are_a_matter_of_a_model():
    for name in ("LONG_ROWS_REFUSE", "LONG_ROWS_DROP", "LONG_ROWS_SPLIT"):
        assert refused_fields(long_rows=name) == ["header.long_rows"]
        assert complete_header(UploadDatasetHeader(long_rows=name, model="models/m"))["long_rows"] == name[10:].lower()


@pytest.mark.parametrize("shape", [name for name in SHAPES if name not in ("SHAPE_UNSPECIFIED", "SHAPE_TEXT")])
def test_bare_text_alone_can_be_split(shape):
    split = {"long_rows": "LONG_ROWS_SPLIT", "model": "models/m"}
    assert complete_header(UploadDatasetHeader(shape="SHAPE_TEXT", **split))["long_rows"] == "split"
    template = "templates/classify" if shape == "SHAPE_TABLE" else ""
    assert refused_fields(shape=shape, template=template, **split) == ["header.long_rows"]


def test_a_table_that_is_only_implied_cannot_be_split_either():
    split = {"long_rows": "LONG_ROWS_SPLIT", "model": "models/m"}
    assert refused_fields(columns=CLASSIFIED, **split) == ["header.long_rows"]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("test_fraction", [-0.1, 0.91, math.nan, math.inf]),
        ("seed", [-1]),
        ("format", [9]),
        ("shape", [9]),
        ("template", ["classify", "models/m", "templates/../x"]),
        ("model", ["m", "adapters/a"]),
    ],
)
def test_a_value_out_of_its_range_is_refused_by_its_field(field, values):
    for value in values:
        assert refused_fields(**{field: value}) == [f"header.{field}"]
    assert refused_fields(long_rows=9, model="models/m") == ["header.long_rows"]


def many(count, value):
    return {f"n{number}": value for number in range(count)}


TEMPLATE = {"template": "templates/mine"}


@pytest.mark.parametrize(
    ("within", "beyond", "field"),
    [
        (
            {"columns": many(64, Columns(names=["a"]))},
            {"columns": many(65, Columns(names=["a"]))},
            "columns",
        ),
        (
            {"columns": {"s": Columns(names=["a"] * 1000)}},
            {"columns": {"s": Columns(names=["a"] * 1001)}},
            "columns[s]",
        ),
        ({"columns": {"s": Columns(names=["a"])}}, {"columns": {"s": Columns()}}, "columns[s]"),
        (
            {"columns": {"s": Columns(names=["a" * 200])}},
            {"columns": {"s": Columns(names=["b", "a" * 201])}},
            "columns[s]",
        ),
        ({"columns": {"s": Columns(names=["a"])}}, {"columns": {"s": Columns(names=[""])}}, "columns[s]"),
        ({"parameters": many(1000, "")}, {"parameters": many(1001, "")}, "parameters"),
        ({"parameters": {"p": "a" * 2000}}, {"parameters": {"p": "a" * 2001}}, "parameters"),
        ({"verbalizer": many(1000, "a")}, {"verbalizer": many(1001, "a")}, "verbalizer"),
        ({"verbalizer": {"a" * 200: "b" * 200}}, {"verbalizer": {"a" * 201: "b"}}, "verbalizer"),
        ({"instruction": "ä" * 2000}, {"instruction": "ä" * 2001}, "instruction"),
        ({"group_column": "a" * 200}, {"group_column": "a" * 201}, "group_column"),
        ({"id_column": "a" * 200}, {"id_column": "a" * 201}, "id_column"),
    ],
)
def test_sizes_have_limits(within, beyond, field):
    complete_header(UploadDatasetHeader(**TEMPLATE, **within))
    assert refused_fields(**TEMPLATE, **beyond) == [f"header.{field}"]


def test_all_mistakes_are_told_at_once():
    error = refusal(shape="SHAPE_TEXT", test_fraction=1, seed=-1, instruction="Do it.", long_rows="LONG_ROWS_DROP")
    assert [field.removeprefix("header.") for field, _ in error.violations] == [
        "test_fraction",
        "seed",
        "instruction",
        "long_rows",
    ]


def test_words_for_labels_need_a_template_that_classifies():
    header = UploadDatasetHeader(template="templates/mine", verbalizer={"1": "good"})
    complete_header(header)
    require_labels(header, {"task": "classify"})
    require_labels(UploadDatasetHeader(template="templates/mine"), {"task": "extract"})
    with pytest.raises(InvalidInput, match="task of templates/mine is extract") as caught:
        require_labels(header, {"task": "extract"})
    assert [field for field, _ in caught.value.violations] == ["header.verbalizer"]

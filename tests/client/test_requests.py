from typing import get_args

import pytest
from honed.client import InvalidArgument, requests
from honed.v1 import datasets_pb2, jobs_pb2, reports_pb2
from honed.v1.jobs_pb2 import EXPORT_FORMAT_ONNX_FP32, SHOT_CHOICE_PER_LABEL, SHOT_CHOICE_SIMILAR, SweepSpec, TuneSpec
from honed.v1.reports_pb2 import REPORT_FORMAT_HTML, REPORT_FORMAT_JSON
from honed.v1.templates_pb2 import Template


def test_a_bare_name_is_completed_where_one_collection_is_possible():
    assert requests.full_name("smollm2", "models") == "models/smollm2"
    assert requests.full_name("models/smollm2", "models") == "models/smollm2"


@pytest.mark.parametrize("name", ["", "adapters/a", "models/m", "a"])
def test_a_name_that_does_not_say_what_it_is_or_belongs_elsewhere_is_refused(name):
    with pytest.raises(InvalidArgument, match="must be datasets/ID or exports/ID"):
        requests.full_name(name, "datasets", "exports")


@pytest.mark.parametrize(
    ("enum", "prefix", "words"),
    [
        (datasets_pb2.FileFormat, "FILE_FORMAT_", requests.TableFormat),
        (datasets_pb2.Shape, "SHAPE_", requests.TableShape),
        (datasets_pb2.LongRows, "LONG_ROWS_", requests.LongRows),
        (jobs_pb2.ShotChoice, "SHOT_CHOICE_", requests.ShotChoice),
        (jobs_pb2.CombineMethod, "COMBINE_METHOD_", requests.CombineMethod),
        (jobs_pb2.ExportFormat, "EXPORT_FORMAT_", requests.GraphFormat),
        (reports_pb2.ReportFormat, "REPORT_FORMAT_", requests.ReportFormat),
    ],
)
def test_every_value_of_an_enum_has_its_word(enum, prefix, words):
    values = {name.removeprefix(prefix).lower() for name in enum.keys()}  # noqa: SIM118  - an enum is no dict
    assert values - {"unspecified"} == {word.replace("-", "_") for word in get_args(words)}


@pytest.mark.parametrize("word", get_args(requests.TableFormat))
def test_a_tables_format_is_sent_where_it_is_given(word):
    header = requests.dataset_header("d", {"format": word})
    assert datasets_pb2.FileFormat.Name(header.format) == f"FILE_FORMAT_{word.upper()}"


def test_what_is_not_given_is_not_sent():
    header = requests.dataset_header("d", {"format": None, "columns": None, "model": None})
    assert header == datasets_pb2.UploadDatasetHeader(dataset_id="d")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "xlsx"}, "the table's format must be csv or tsv or jsonl or json or parquet, found 'xlsx'"),
        ({"shape": "poem"}, "the shape must be table or prompt_completion or"),
        ({"long_rows": "keep"}, "the treatment of long rows must be refuse or drop or split, found 'keep'"),
        ({"template": "models/m"}, "must be templates/ID"),
        ({"model": "templates/t"}, "must be models/ID"),
    ],
)
def test_an_unknown_word_or_a_name_from_elsewhere_is_refused(options, message):
    with pytest.raises(InvalidArgument, match=message):
        requests.dataset_header("d", options)


def test_the_columns_of_usual_slots_have_words_of_their_own():
    options = {f"{slot}_column": slot.upper() for slot in ("text", "label", "prompt", "completion")}
    header = requests.dataset_header("d", options)
    assert {slot: list(columns.names) for slot, columns in header.columns.items()} == {
        "text": ["TEXT"],
        "label": ["LABEL"],
        "prompt": ["PROMPT"],
        "completion": ["COMPLETION"],
    }


def test_a_slot_takes_one_column_or_several():
    header = requests.dataset_header("d", {"columns": {"facts": ("a", "b"), "reply": "c"}, "text_column": "t"})
    assert {slot: list(columns.names) for slot, columns in header.columns.items()} == {
        "facts": ["a", "b"],
        "reply": ["c"],
        "text": ["t"],
    }


def test_a_slot_that_is_given_twice_is_refused():
    with pytest.raises(InvalidArgument, match="the slot text is given twice"):
        requests.dataset_header("d", {"columns": {"text": "a"}, "text_column": "a"})


def test_all_options_of_a_table_arrive():
    header = requests.dataset_header(
        "d",
        {
            "shape": "table",
            "template": "answer",
            "parameters": {"language": "German"},
            "verbalizer": {"a": "b"},
            "instruction": "Sort.",
            "test_fraction": 0.0,
            "seed": 0,
            "group_column": "customer",
            "id_column": "",
            "model": "m",
            "long_rows": "drop",
        },
    )
    assert header == datasets_pb2.UploadDatasetHeader(
        dataset_id="d",
        shape=datasets_pb2.SHAPE_TABLE,
        template="templates/answer",
        parameters={"language": "German"},
        verbalizer={"a": "b"},
        instruction="Sort.",
        test_fraction=0.0,
        seed=0,
        group_column="customer",
        id_column="",
        model="models/m",
        long_rows=datasets_pb2.LONG_ROWS_DROP,
    )
    assert header.HasField("test_fraction")
    assert header.HasField("seed")


def test_a_template_gets_its_full_name_and_stays_as_it_was():
    template = Template(name="mine", user="{{ text }}")
    assert requests.template_request(template).template.name == "templates/mine"
    assert template.name == "mine"
    with pytest.raises(InvalidArgument, match="must be templates/ID, found ''"):
        requests.template_request(Template())


def test_a_spec_keeps_what_is_set_and_its_bare_names_are_completed():
    spec = TuneSpec(model="m", dataset="datasets/d", adapter_id="a", rank=8, earlier_datasets=["e", "datasets/f"])
    tune = requests.tune_job(spec).tune
    assert (tune.model, tune.dataset, tune.rank) == ("models/m", "datasets/d", 8)
    assert tune.earlier_datasets == ["datasets/e", "datasets/f"]
    assert not tune.HasField("alpha")
    assert spec.model == "m"


def test_the_bare_names_of_a_sweep_are_completed():
    spec = SweepSpec(tune=TuneSpec(model="m", dataset="datasets/d", earlier_datasets=["e"]), ranks=[4, 8])
    sweep = requests.sweep_job(spec).sweep
    assert (sweep.tune.model, sweep.tune.dataset, sweep.ranks) == ("models/m", "datasets/d", [4, 8])
    assert sweep.tune.earlier_datasets == ["datasets/e"]
    assert spec.tune.model == "m"


def test_a_tuning_that_goes_on_needs_no_model_and_its_names_are_completed():
    tune = requests.tune_job(TuneSpec(adapter="a", dataset="d", replay_datasets=["e", "datasets/f"])).tune
    assert (tune.adapter, tune.model) == ("adapters/a", "")
    assert tune.replay_datasets == ["datasets/e", "datasets/f"]
    with pytest.raises(InvalidArgument, match="models/ID"):
        requests.tune_job(TuneSpec(dataset="d"))


def combination(adapters, **options):
    unset = {"method": "cat", "rank": None, "density": None, "seed": None, "dataset": None}
    others = {"skip_evaluation": False, "max_evaluation_rows": None}
    return requests.combine_job("c", adapters, **{**unset, **others, **options}).combine


def test_a_combination_sends_what_is_given_and_completes_names():
    assert combination({"a": 0.5, "adapters/b": -1}) == jobs_pb2.CombineSpec(
        adapter_id="c",
        adapters=[
            jobs_pb2.WeightedAdapter(adapter="adapters/a", weight=0.5),
            jobs_pb2.WeightedAdapter(adapter="adapters/b", weight=-1),
        ],
        method=jobs_pb2.COMBINE_METHOD_CAT,
    )
    assert combination({"a": 1, "b": 1}, method="dare-linear", dataset="d").dataset == "datasets/d"
    with pytest.raises(InvalidArgument, match="the method must be linear or cat or svd"):
        combination({"a": 1, "b": 1}, method="mean")


def evaluation(subjects, **options):
    unset = {"shots": (), "shot_choice": "per_label", "slice_columns": (), "earlier_datasets": ()}
    return requests.evaluate_job(subjects, "d", **{**unset, "max_rows": None, "seed": None, **options}).evaluate


def test_one_subject_or_several_are_evaluated():
    assert evaluation("models/m").subjects == ["models/m"]
    assert evaluation(["models/m", "exports/e"]).subjects == ["models/m", "exports/e"]
    with pytest.raises(InvalidArgument, match="models/ID or adapters/ID or exports/ID, found 'm'"):
        evaluation(["adapters/a", "m"])


def test_an_evaluation_says_only_what_it_was_asked_for():
    spec = evaluation("models/m")
    assert spec.shot_choice == SHOT_CHOICE_PER_LABEL
    assert not spec.HasField("max_rows")
    assert not spec.HasField("seed")
    spec = evaluation("models/m", shots=(0, 4), shot_choice="similar", earlier_datasets=["e"], max_rows=9, seed=0)
    assert (list(spec.shots), spec.shot_choice, spec.max_rows) == ([0, 4], SHOT_CHOICE_SIMILAR, 9)
    assert spec.earlier_datasets == ["datasets/e"]
    assert spec.HasField("seed")
    with pytest.raises(InvalidArgument, match="per_label or similar"):
        evaluation("models/m", shot_choice="random")


def test_a_reports_format_is_checked():
    assert requests.report_request("r", "html").format == REPORT_FORMAT_HTML
    assert requests.report_request("reports/r", "json").format == REPORT_FORMAT_JSON
    with pytest.raises(InvalidArgument, match="html or json, found 'pdf'"):
        requests.report_request("r", "pdf")


def test_an_exports_format_is_checked_and_its_data_is_optional():
    job = requests.export_job("e", "adapters/a", "onnx-fp32", None)
    assert (job.export.format, job.export.dataset) == (EXPORT_FORMAT_ONNX_FP32, "")
    with pytest.raises(InvalidArgument, match="onnx-int8 or onnx-fp32"):
        requests.export_job("e", "adapters/a", "gguf", None)


@pytest.mark.parametrize("inputs", [(None, None, None), ([], "text", None), (None, "", {"text": "a"})])
def test_a_reply_needs_exactly_one_input(inputs):
    with pytest.raises(InvalidArgument, match="exactly one of messages, a prompt and a row"):
        requests.generate_request("exports/e", *inputs, {})


def test_a_row_gives_the_values_of_a_templates_slots():
    request = requests.generate_request("exports/e", None, None, {"text": "a"}, {})
    assert request.row.values == {"text": "a"}


def test_sampling_that_is_not_given_is_not_sent():
    request = requests.generate_request(
        "exports/e", None, "text", None, {"temperature": 0.0, "top_k": None, "stop": ["\n"]}
    )
    assert request.HasField("temperature")
    assert not request.HasField("top_k")
    assert not request.HasField("max_tokens")
    assert request.stop == ["\n"]

import pytest
from honed.client import InvalidArgument, requests
from honed.v1.datasets_pb2 import FILE_FORMAT_CSV, FILE_FORMAT_JSONL
from honed.v1.jobs_pb2 import EXPORT_FORMAT_ONNX_FP32, TuneSpec


def test_a_bare_name_is_completed_where_one_collection_is_possible():
    assert requests.full_name("smollm2", "models") == "models/smollm2"
    assert requests.full_name("models/smollm2", "models") == "models/smollm2"


@pytest.mark.parametrize("name", ["", "adapters/a", "models/m", "a"])
def test_a_name_that_does_not_say_what_it_is_or_belongs_elsewhere_is_refused(name):
    with pytest.raises(InvalidArgument, match="must be datasets/ID or exports/ID"):
        requests.full_name(name, "datasets", "exports")


@pytest.mark.parametrize(
    ("file", "given", "expected"),
    [
        ("rows.csv", None, FILE_FORMAT_CSV),
        ("rows.JSONL", None, FILE_FORMAT_JSONL),
        ("rows.txt", "jsonl", FILE_FORMAT_JSONL),
    ],
)
def test_the_tables_format_is_the_one_given_or_the_suffix(file, given, expected):
    assert requests.dataset_header("d", file, {"format": given}).format == expected


@pytest.mark.parametrize("file", ["rows", "rows.parquet"])
def test_an_unknown_format_is_refused(file):
    with pytest.raises(InvalidArgument, match="csv or jsonl"):
        requests.dataset_header("d", file, {})


def test_text_and_label_make_labelled_rows():
    header = requests.dataset_header("d", "a.csv", {"text_column": "t", "label_column": "l", "instruction": "Sort."})
    assert (header.shape.labelled.text_column, header.shape.labelled.label_column) == ("t", "l")
    assert header.shape.labelled.instruction == "Sort."
    assert not header.HasField("test_fraction")


def test_no_columns_mean_prompt_and_completion():
    header = requests.dataset_header("d", "a.jsonl", {"test_fraction": 0.0, "seed": 0})
    assert header.shape.WhichOneof("shape") == "prompt_completion"
    assert header.HasField("test_fraction")
    assert header.HasField("seed")


@pytest.mark.parametrize(
    "columns",
    [
        {"text_column": "t"},
        {"label_column": "l"},
        {"text_column": "t", "label_column": "l", "prompt_column": "p"},
        {"text_column": "t", "completion_column": "c"},
    ],
)
def test_columns_of_half_a_shape_or_of_both_are_refused(columns):
    with pytest.raises(InvalidArgument):
        requests.dataset_header("d", "a.csv", columns)


def test_a_spec_keeps_what_is_set_and_its_bare_names_are_completed():
    spec = TuneSpec(model="m", dataset="datasets/d", adapter_id="a", rank=8)
    tune = requests.tune_job(spec).tune
    assert (tune.model, tune.dataset, tune.rank) == ("models/m", "datasets/d", 8)
    assert not tune.HasField("alpha")
    assert spec.model == "m"


def test_an_exports_format_is_checked_and_its_data_is_optional():
    job = requests.export_job("e", "adapters/a", "onnx-fp32", None)
    assert (job.export.format, job.export.dataset) == (EXPORT_FORMAT_ONNX_FP32, "")
    with pytest.raises(InvalidArgument, match="onnx-int8 or onnx-fp32"):
        requests.export_job("e", "adapters/a", "gguf", None)


def test_a_reply_needs_either_messages_or_a_prompt():
    for messages, prompt in ((None, None), ([], "text")):
        with pytest.raises(InvalidArgument, match="either messages or a prompt"):
            requests.generate_request("exports/e", messages, prompt, {})


def test_sampling_that_is_not_given_is_not_sent():
    request = requests.generate_request("exports/e", None, "text", {"temperature": 0.0, "top_k": None, "stop": ["\n"]})
    assert request.HasField("temperature")
    assert not request.HasField("top_k")
    assert not request.HasField("max_tokens")
    assert request.stop == ["\n"]

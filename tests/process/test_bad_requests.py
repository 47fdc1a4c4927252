"""Names, page tokens, cursors and settings of jobs that are refused, and resources that are in use."""

import math

import grpc
import pytest
from helpers.daemon import refused
from honed.v1.adapters_pb2 import ListAdaptersRequest
from honed.v1.datasets_pb2 import ListDatasetsRequest
from honed.v1.exports_pb2 import ListExportsRequest
from honed.v1.jobs_pb2 import (
    Augmentation,
    EvaluateSpec,
    ExportSpec,
    ImportModelSpec,
    Job,
    ListJobsRequest,
    TuneSpec,
    WatchJobRequest,
)
from honed.v1.models_pb2 import GetModelRequest, ListModelsRequest
from honed.v1.reports_pb2 import DownloadReportRequest, ListReportsRequest
from honed.v1.templates_pb2 import CreateTemplateRequest, GetTemplateRequest, ListTemplatesRequest, Template

BAD_IDS = ["", ".", "..", "../x", "a/b", "/", "A", "Ünïcode", "a b", "a\n", "a\0", "\x1b[31m", "-a", "_a", "a" * 64]


@pytest.fixture(autouse=True)
def no_job_is_made(client):
    before = [job.name for job in client.list_jobs()]
    yield
    assert [job.name for job in client.list_jobs()] == before


@pytest.mark.parametrize("bad", BAD_IDS)
def test_an_id_out_of_form_is_refused_wherever_something_is_made(bad, client, tiny_model, table):
    made = {
        "model_id": lambda: client.import_model(bad, str(tiny_model)),
        "header.dataset_id": lambda: client.upload_dataset(bad, table, text_column="text", label_column="label"),
        "job.tune.adapter_id": lambda: client.tune(TuneSpec(model="tiny", dataset="table", adapter_id=bad)),
        "job.export.export_id": lambda: client.export(bad, "models/tiny"),
        "template.name": lambda: client._calls.unary(
            client._templates.CreateTemplate, CreateTemplateRequest(template=Template(name=f"templates/{bad}"))
        ),
    }
    for field, make in made.items():
        with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
            make()
        assert [name for name, _ in error.value.field_violations] == [field]
        assert bad in {"", "a\n", "a\0", "\x1b[31m"} or bad[:80] in error.value.message
        assert error.value.message.isprintable()  # what came from outside is quoted


@pytest.mark.parametrize(
    "name", ["tiny", "datasets/tiny", "models/", "models/..", "models/a/b", "models/A", "MODELS/tiny"]
)
def test_a_name_out_of_form_is_refused(name, client):
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        client._calls.unary(client._models.GetModel, GetModelRequest(name=name))
    assert [field for field, _ in error.value.field_violations] == ["name"]


def test_what_does_not_exist_is_not_found_by_its_kind(client, table):
    spec = TuneSpec(model="tiny", dataset="table", adapter_id="x")
    missing_data = TuneSpec(model="tiny", dataset="none", adapter_id="x")
    missing_model = TuneSpec(model="none", dataset="table", adapter_id="x")
    assert spec != missing_data
    for reason, calls in {
        "MODEL_NOT_FOUND": [
            lambda: client.get_model("none"),
            lambda: client.delete_model("none"),
            lambda: client.preview_dataset("table", "none"),
            lambda: client.upload_dataset("x", table, text_column="text", label_column="label", model="none"),
            lambda: client.tune(missing_model),
            lambda: client.evaluate("models/none", "table"),
            lambda: client.export("x", "models/none"),
            lambda: client.complete("models/none", prompt="a"),
        ],
        "DATASET_NOT_FOUND": [
            lambda: client.get_dataset("none"),
            lambda: client.delete_dataset("none"),
            lambda: client.preview_dataset("none", "tiny"),
            lambda: client.tune(missing_data),
            lambda: client.evaluate("models/tiny", "none"),
            lambda: client.export("x", "models/tiny", dataset="none"),
            lambda: client.evaluate("models/tiny", "table", earlier_datasets=["none"]),
        ],
        "TEMPLATE_NOT_FOUND": [
            lambda: client.get_template("none"),
            lambda: client.get_template("classify", version=2),
            lambda: client.delete_template("none"),
            lambda: client.upload_dataset("x", table, template="none"),
        ],
        "ADAPTER_NOT_FOUND": [
            lambda: client.get_adapter("none"),
            lambda: client.delete_adapter("none"),
            lambda: client.export("x", "adapters/none"),
            lambda: client.complete("adapters/none", prompt="a"),
        ],
        "EXPORT_NOT_FOUND": [
            lambda: client.get_export("none"),
            lambda: client.delete_export("none"),
            lambda: client.evaluate("exports/none", "table"),
            lambda: client.complete("exports/none", prompt="a"),
        ],
        "JOB_NOT_FOUND": [
            lambda: client.get_job("none"),
            lambda: client.cancel_job("none"),
            lambda: client.pause_job("none"),
            lambda: client.resume_job("none"),
            lambda: client.delete_job("none"),
            lambda: list(client.watch_job("none")),
        ],
        "REPORT_NOT_FOUND": [
            lambda: client.get_report("none"),
            lambda: client.delete_report("none"),
            lambda: list(client.download_report("none")),
        ],
    }.items():
        for call in calls:
            with refused("NOT_FOUND", reason) as error:
                call()
            assert error.value.resource.partition("/")[2] in {"none", "classify"}


LISTS = {
    "models": ListModelsRequest,
    "datasets": ListDatasetsRequest,
    "adapters": ListAdaptersRequest,
    "exports": ListExportsRequest,
    "jobs": ListJobsRequest,
    "templates": ListTemplatesRequest,
    "reports": ListReportsRequest,
}


@pytest.mark.parametrize("noun", LISTS)
@pytest.mark.parametrize(
    ("field", "value"),
    [("page_size", -1), ("page_token", "bogus"), ("page_token", "-1"), ("page_token", "9" * 40), ("page_token", "٣")],
)
def test_a_bad_page_is_refused(noun, field, value, client):
    method = getattr(getattr(client, f"_{noun}"), f"List{noun.capitalize()}")
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        client._calls.unary(method, LISTS[noun](**{field: value}))
    assert [name for name, _ in error.value.field_violations] == [field]


def test_pages_of_one_give_every_job_once(client, tuned):
    pages = list(client._calls.pages(client._jobs.ListJobs, ListJobsRequest(page_size=1)))
    names = [job.name for page in pages for job in page.jobs]
    assert names == [job.name for job in client.list_jobs()]
    assert max(len(page.jobs) for page in pages) == 1


def test_a_page_size_beyond_the_limit_means_the_limit(client, tuned):
    page = client._calls.unary(client._jobs.ListJobs, ListJobsRequest(page_size=2**31 - 1))
    assert page.jobs
    assert not page.next_page_token


def test_a_negative_cursor_is_refused(client, tuned):
    request = WatchJobRequest(name=tuned.job.name, after_sequence=-1)
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        list(client._calls.stream(client._jobs.WatchJob, request))
    assert [name for name, _ in error.value.field_violations] == ["after_sequence"]


NAN, INF = math.nan, math.inf
BAD_SETTINGS = {
    "rank": [0, -1, 513, 2**31 - 1],
    "alpha": [0, -1, NAN, INF],
    "dropout": [-0.1, 0.91, NAN],
    "learning_rate": [0, -1e-3, 1.01, NAN, INF],
    "epochs": [0, -1, 1001, NAN],
    "max_steps": [0, -1],
    "batch_size": [0, -1, 4097],
    "warmup_fraction": [-0.1, 1.1, NAN],
    "max_gradient_norm": [0, -1, NAN, INF],
    "weight_decay": [-1, 1.1, NAN],
    "seed": [-1],
    "validation_fraction": [-0.1, 0.51, NAN],
    "few_shot": [-1, 65],
    "max_evaluation_rows": [0, -1],
    "base_precision": [9],
    "objective": [7],
}


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field in BAD_SETTINGS for value in BAD_SETTINGS[field]]
)
def test_a_tuning_setting_out_of_range_is_refused(field, value, client):
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        client.tune(TuneSpec(model="tiny", dataset="table", adapter_id="x", **{field: value}))
    assert f"job.tune.{field}" in {name for name, _ in error.value.field_violations}


def test_all_bad_settings_of_a_tuning_are_listed_at_once(client):
    worst = {field: values[-1] for field, values in BAD_SETTINGS.items()}
    copies = {"typos": 11, "casing": -1, "punctuation": 11, "word_dropout": 2**31 - 1, "paraphrase": 5}
    spec = TuneSpec(model="tiny", dataset="table", adapter_id="x", augmentation=Augmentation(**copies), **worst)
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        client.tune(spec)
    fields = {*worst, *(f"augmentation.{kind}" for kind in copies)}
    assert {name for name, _ in error.value.field_violations} == {f"job.tune.{field}" for field in fields}


def evaluation(**fields) -> Job:
    return Job(evaluate=EvaluateSpec(**{"subjects": ["models/tiny"], "dataset": "datasets/table", **fields}))


@pytest.mark.parametrize(
    ("job", "field"),
    [
        (Job(), "job.spec"),
        (Job(import_model=ImportModelSpec(model_id="x", source="/etc")), "job.spec"),
        (Job(tune=TuneSpec(model="adapters/x", dataset="datasets/table", adapter_id="x")), "job.tune.model"),
        (Job(tune=TuneSpec(model="models/tiny", dataset="table", adapter_id="x")), "job.tune.dataset"),
        (evaluation(subjects=[]), "job.evaluate.subjects"),
        (evaluation(subjects=["jobs/x"]), "job.evaluate.subjects"),
        (evaluation(subjects=["models/tiny", "models/tiny"]), "job.evaluate.subjects"),
        (evaluation(subjects=[f"models/{number}" for number in range(9)]), "job.evaluate.subjects"),
        (evaluation(dataset="table"), "job.evaluate.dataset"),
        (evaluation(shots=[-1]), "job.evaluate.shots"),
        (evaluation(shots=[65]), "job.evaluate.shots"),
        (evaluation(shots=[4, 4]), "job.evaluate.shots"),
        (evaluation(shot_choice=9), "job.evaluate.shot_choice"),
        (evaluation(slice_columns=["label"]), "job.evaluate.slice_columns"),
        (evaluation(earlier_datasets=["datasets/table"]), "job.evaluate.earlier_datasets"),
        (evaluation(earlier_datasets=["table"]), "job.evaluate.earlier_datasets"),
        (evaluation(max_rows=0), "job.evaluate.max_rows"),
        (evaluation(seed=-1), "job.evaluate.seed"),
        (
            Job(
                tune=TuneSpec(
                    model="models/tiny",
                    dataset="datasets/table",
                    adapter_id="x",
                    skip_evaluation=True,
                    earlier_datasets=["datasets/other"],
                )
            ),
            "job.tune.earlier_datasets",
        ),
        (Job(export=ExportSpec(source="exports/tiny-base", export_id="x")), "job.export.source"),
        (Job(export=ExportSpec(source="models/tiny", export_id="x", format=9)), "job.export.format"),
    ],
)
def test_a_job_out_of_form_is_refused_by_its_field(job, field, client):
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        client.create_job(job)
    assert [name for name, _ in error.value.field_violations] == [field]


def test_a_data_set_without_test_rows_measures_nothing(client, table):
    client.upload_dataset("untested", table, text_column="text", label_column="label", test_fraction=0)
    for measure in (
        lambda: client.evaluate("models/tiny", "untested"),
        lambda: client.export("x", "models/tiny", dataset="untested"),
        lambda: client.evaluate("models/tiny", "table", earlier_datasets=["untested"]),
    ):
        with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
            measure()
        assert "no test rows" in error.value.message
    client.delete_dataset("untested")


def test_a_version_or_a_format_that_does_not_exist_is_refused(client, tuned):
    report = client.get_adapter("nf4").report
    for field, method, request in (
        ("version", client._templates.GetTemplate, GetTemplateRequest(name="templates/classify", version=-1)),
        ("format", client._reports.DownloadReport, DownloadReportRequest(name=report, format=9)),
    ):
        call = client._calls.stream if field == "format" else client._calls.unary
        with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
            list(call(method, request))
        assert [name for name, _ in error.value.field_violations] == [field]


@pytest.mark.parametrize("rows", [-1, 101])
def test_a_preview_of_too_many_rows_is_refused(rows, client):
    with refused("INVALID_ARGUMENT", "FIELD_INVALID"):
        client.preview_dataset("table", "tiny", rows=rows)


def test_what_an_adapter_was_made_from_cannot_be_deleted(client, tuned):
    with refused("FAILED_PRECONDITION", "MODEL_IN_USE") as error:
        client.delete_model("tiny")
    assert "adapters/nf4" in error.value.metadata["used_by"].split(",")
    with refused("FAILED_PRECONDITION", "DATASET_IN_USE"):
        client.delete_dataset("table")
    assert client.get_export("tiny-base").name  # not half deleted either


def test_a_model_can_be_deleted_even_after_its_serving_export(new_daemon):
    daemon = new_daemon().start()
    with daemon.client() as client:
        client.delete_export("tiny-base")
        with refused("FAILED_PRECONDITION", "NOT_EXPORTED"):
            client.complete("models/tiny", prompt="a")
        client.delete_model("tiny")
        assert list(client.list_models()) == []
    assert not list((daemon.state / "models").iterdir())


def test_a_deleted_model_takes_its_export_and_its_engine_with_it(new_daemon):
    daemon = new_daemon().start()
    with daemon.client() as client:
        client.complete("models/tiny", prompt="a", max_tokens=1)
        client.delete_model("tiny")
        assert list(client.list_exports()) == []
        assert not daemon.children("honed.serve")
        with refused("NOT_FOUND", "MODEL_NOT_FOUND"):
            client.complete("models/tiny", prompt="a")


@pytest.mark.parametrize(
    "method",
    ["/honed.v1.ModelService/GetModel", "/honed.v1.JobService/WatchJob", "/honed.v1.GenerationService/Generate"],
)
def test_bytes_that_are_no_message_cost_their_call_alone(method, client, daemon):
    kind = "unary_unary" if method.endswith("GetModel") else "unary_stream"
    with grpc.insecure_channel(daemon.address) as channel, pytest.raises(grpc.RpcError) as error:
        list(getattr(channel, kind)(method)(b"\xff\xff\xff", metadata=client.connection.metadata(), timeout=10))
    assert error.value.code() in {grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNKNOWN}
    assert client.get_status().version

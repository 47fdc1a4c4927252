from datetime import UTC, datetime

import pytest
from honed.daemon.rpc import convert
from honed.daemon.store import Resource
from honed.template_library import BUILT_IN, digest
from honed.v1 import datasets_pb2, types_pb2
from honed.v1.jobs_pb2 import CombineSpec, TuneSpec, WeightedAdapter


def stored(name, **facts):
    return Resource(1, name, "owner", datetime(2026, 1, 2, tzinfo=UTC), "jobs/1", "ab", 7, "folder", facts)


def test_an_evaluation_carries_its_metrics_with_their_intervals():
    data = {
        "subject": "tuned",
        "mode": "likelihood",
        "correct": 3,
        "total": 4,
        "metrics": [{"name": "accuracy", "value": 0.75, "low": 0.5, "high": 1.0}],
    }
    message = convert.evaluation(data)
    assert (message.subject, message.mode) == ("tuned", types_pb2.ANSWER_MODE_LIKELIHOOD)
    assert (message.correct, message.total, message.accuracy) == (3, 4, 0.75)
    assert list(message.metrics) == [types_pb2.Metric(name="accuracy", value=0.75, low=0.5, high=1)]
    assert convert.evaluation(data | {"correct": 0, "total": 0}).accuracy == 0


def test_a_data_set_shows_how_it_was_read_and_what_was_found(dataset_facts):
    message = convert.dataset(stored("datasets/d", **dataset_facts))
    assert (message.name, message.digest, message.size_bytes) == ("datasets/d", "ab", 7)
    assert message.format == datasets_pb2.FILE_FORMAT_CSV
    assert (message.shape, message.task) == (datasets_pb2.SHAPE_TABLE, datasets_pb2.TASK_CLASSIFY)
    assert (message.template.name, message.template.version) == ("templates/classify", 1)
    assert message.template.digest == digest(BUILT_IN["classify"])
    assert {slot: list(columns.names) for slot, columns in message.columns.items()} == dataset_facts["columns"]
    assert (message.train_rows, message.test_rows, list(message.labels)) == (80, 20, ["card", "refund"])
    assert list(message.slice_columns) == ["region", "product"]
    assert (message.instruction, dict(message.verbalizer)) == ("Sort.", {"1": "card"})
    assert (message.test_fraction, message.seed, message.group_column) == (0.2, 3, "")
    (finding,) = message.report.findings
    assert finding.severity == datasets_pb2.Finding.SEVERITY_WARNING
    assert (finding.code, finding.count, list(finding.rows)) == ("DUPLICATES_EXACT", 2, ["3", "test 7"])
    assert (message.report.rows, message.report.labels[0].train) == (100, 40)
    assert list(message.report.characters.bin_counts) == [100]
    assert not message.report.HasField("tokens")


@pytest.mark.parametrize("format_name", ["csv", "jsonl", "tsv", "json", "parquet"])
@pytest.mark.parametrize("shape", ["prompt_completion", "alpaca", "sharegpt", "messages", "text", "preference"])
@pytest.mark.parametrize("task", ["extract", "generate", "text"])
def test_every_word_of_the_worker_is_an_enums(dataset_facts, format_name, shape, task):
    words = {"format": format_name, "shape": shape, "task": task, "template": None}
    message = convert.dataset(stored("datasets/d", **dataset_facts | words))
    assert datasets_pb2.FileFormat.Name(message.format) == f"FILE_FORMAT_{format_name.upper()}"
    assert datasets_pb2.Shape.Name(message.shape) == f"SHAPE_{shape.upper()}"
    assert datasets_pb2.Task.Name(message.task) == f"TASK_{task.upper()}"
    assert not message.HasField("template")


def test_a_preview_keeps_row_numbers_tokens_and_lengths():
    message = convert.preview(
        {
            "rows": [{"row": "12 (1 of 3)", "tokens": [{"id": 5, "text": "a", "trained": True}]}],
            "lengths": {"total": "9", "longest": "9", "binEnds": ["16"], "binCounts": ["1"]},
            "trained_tokens": 3,
        }
    )
    assert message.rows[0].row == "12 (1 of 3)"
    assert (message.rows[0].tokens[0].id, message.rows[0].tokens[0].trained) == (5, True)
    assert (message.lengths.total, list(message.lengths.bin_ends), message.trained_tokens) == (9, [16], 3)


@pytest.mark.parametrize("identifier", BUILT_IN)
def test_a_built_in_template_belongs_to_honed_and_comes_whole(templates, identifier):
    plain = BUILT_IN[identifier]
    message = convert.template(templates.get(f"templates/{identifier}"))
    assert (message.name, message.owner, message.version) == (f"templates/{identifier}", "honed", plain["version"])
    assert not message.HasField("create_time")
    assert message.digest == digest(plain)
    for field in ("description", "task", "system", "user", "reply"):
        assert getattr(message, field) == plain[field]
    for field in ("slots", "parameters"):
        for part, given in zip(getattr(message, field), plain[field], strict=True):
            assert {key: getattr(part, key) for key in given} == given
    assert dict(message.verbalizer) == plain["verbalizer"]


def test_an_adapter_names_its_report_and_its_added_rows():
    training = {
        "steps": 2,
        "tokens": 10,
        "seconds": 1.5,
        "tokens_per_s": 6.7,
        "peak_rss_bytes": 1,
        "trainable_parameters": 3,
        "final_loss": 0.5,
    }
    message = convert.adapter(
        stored(
            "adapters/a",
            spec=TuneSpec(model="models/m", dataset="datasets/d", adapter="adapters/first").SerializeToString().hex(),
            contract={"weights": "w", "base_precision": "nf4"},
            training=training,
            evaluations=[{"subject": "tuned", "mode": "free", "correct": 1, "total": 2, "metrics": []}],
            report="reports/r",
            augmented_rows={"typos": 8},
            replayed_rows={"datasets/old": 3},
        )
    )
    assert (message.model, message.dataset, message.report) == ("models/m", "datasets/d", "reports/r")
    assert dict(message.augmented_rows) == {"typos": 8}
    assert dict(message.replayed_rows) == {"datasets/old": 3}
    assert list(message.sources) == ["adapters/first"]
    assert message.evaluations[0].accuracy == 0.5
    assert not message.HasField("combine")


def test_a_combined_adapter_shows_what_it_was_combined_of_and_no_training():
    combine = CombineSpec(adapters=[WeightedAdapter(adapter=f"adapters/{each}", weight=0.5) for each in "ab"])
    message = convert.adapter(
        stored(
            "adapters/c",
            spec=TuneSpec(model="models/m", dataset="datasets/d", rank=8, alpha=8).SerializeToString().hex(),
            combine=combine.SerializeToString().hex(),
            contract={"weights": "w", "base_precision": "nf4"},
            evaluations=[],
            report="",
        )
    )
    assert (message.model, message.dataset, message.spec.rank) == ("models/m", "datasets/d", 8)
    assert list(message.sources) == ["adapters/a", "adapters/b"]
    assert message.combine == combine
    assert not message.HasField("training")


def test_an_adapter_of_a_sweep_has_the_settings_that_won_and_all_trials():
    trial = {"number": 1, "learning_rate": 0.5, "rank": 4, "epochs": 2.0, "state": "complete", "steps": 7}
    message = convert.adapter(
        stored(
            "adapters/a",
            spec=TuneSpec(model="models/m", batch_size=8).SerializeToString().hex(),
            contract={},
            training={"seconds": 1.5},
            evaluations=[],
            report="",
            augmented_rows={},
            searched={"learning_rate": 0.5, "rank": 4, "epochs": 2.0, "alpha": 8.0},
            trials=[trial | {"validation_loss": 1.25, "seconds": 0.25, "message": ""}],
        )
    )
    spec = message.spec
    assert (spec.learning_rate, spec.rank, spec.epochs, spec.alpha, spec.batch_size) == (0.5, 4, 2, 8, 8)
    assert [each.validation_loss for each in message.trials] == [1.25]
    assert message.trials[0].duration.ToMilliseconds() == 250


def test_a_report_shows_what_it_is_about():
    message = convert.report(
        stored("reports/r", dataset="datasets/d", subjects=["models/m", "adapters/a"], headline="Better.")
    )
    assert (message.name, message.owner, message.job, message.size_bytes) == ("reports/r", "owner", "jobs/1", 7)
    assert (message.dataset, list(message.subjects)) == ("datasets/d", ["models/m", "adapters/a"])
    assert message.headline == "Better."

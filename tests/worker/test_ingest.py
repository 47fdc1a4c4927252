import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import json_format
from honed import manifest
from honed.data import Prepared
from honed.errors import InvalidInput
from honed.template_library import BUILT_IN
from honed.v1 import datasets_pb2
from honed.worker import ingest
from honed.worker.contract import EVENTS_FILE, IngestWork, read_events
from honed.worker.report import Report

TABLE = "ask,kind,region\n" + "".join(f"text {number},{'ab'[number % 2]},{'nw'[number % 2]}\n" for number in range(20))
TEXTS = "text\n" + "".join(f"{'a tale of words ' * number}\n" for number in range(1, 21))


@pytest.fixture
def work(tmp_path):
    """The work of an upload of TABLE."""
    train = tmp_path / "train"
    train.write_text(TABLE)
    return IngestWork(
        train_file=str(train),
        test_file=None,
        format=None,
        shape="table",
        template=BUILT_IN["classify"],
        columns={"text": ["ask"], "label": ["kind"]},
        parameters={},
        verbalizer={"b": "bee"},
        instruction="",
        test_fraction=0.2,
        seed=0,
        group_column="",
        id_column=None,
        model=None,
        model_name="",
        long_rows="refuse",
    )


@pytest.fixture
def run(tmp_path):
    """Runs the work in a folder of its own, and gives the result and the folder."""

    def run(work):
        folder = tmp_path / "output"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        report = Report(folder)
        try:
            return ingest.run(work, folder, report), folder
        finally:
            report._file.close()  # a worker leaves that to its end

    return run


def texts(work, tiny_llama, **changes):
    """The work of an upload of bare text, measured for the tiny llama."""
    Path(work.train_file).write_text(TEXTS)
    return replace(
        work,
        shape=None,
        template=None,
        columns={},
        verbalizer={},
        model=str(tiny_llama),
        model_name="models/tiny",
        **changes,
    )


def test_a_table_becomes_a_data_set_with_a_manifest(run, work):
    result, folder = run(work)
    data = Prepared.load(folder / "dataset")
    assert result["digest"] == data.digest
    assert data.labels == ("a", "bee")
    assert (len(data.train), len(data.test)) == (16, 4)
    manifest.verify(folder / "dataset")
    size = sum(path.stat().st_size for path in (folder / "dataset").iterdir() if path.name != manifest.MANIFEST_FILE)
    assert result["size_bytes"] == size
    assert [event.data for event, _ in read_events(folder / EVENTS_FILE, 0)] == [{"phase": "checking rows"}]


def test_the_facts_are_those_that_a_data_set_on_the_wire_is_made_of(run, work):
    facts = run(work)[0]["facts"]
    assert set(facts) == {
        *("format", "shape", "task", "template", "columns", "parameters"),
        *("train_rows", "test_rows", "labels", "slice_columns", "report"),
    }
    assert (facts["format"], facts["shape"], facts["task"]) == ("csv", "table", "classify")
    assert facts["template"]["name"] == "templates/classify"
    assert facts["slice_columns"] == ["region"]
    report = json_format.ParseDict(json.loads(json.dumps(facts["report"])), datasets_pb2.DataReport())
    assert report.rows == 20
    assert not report.HasField("tokens")


def test_every_setting_reaches_the_data_set(run, work):
    changed = replace(work, instruction="Sort it.", group_column="region", seed=3, test_fraction=0.5)
    data = Prepared.load(run(changed)[1] / "dataset")
    assert data.train[0].messages[0].content == "Sort it."
    assert {example.columns["region"] for example in data.test} <= {"n", "w"}
    assert data.digest != run(replace(changed, seed=4, group_column=""))[0]["digest"]


def test_a_test_table_is_taken_beside(run, work, tmp_path):
    (tmp_path / "test").write_text("ask,kind\nnew,a\n")
    result, folder = run(replace(work, test_file=str(tmp_path / "test")))
    assert (result["facts"]["train_rows"], result["facts"]["test_rows"]) == (20, 1)
    assert Prepared.load(folder / "dataset").test[0].row == "test 1"


def test_tokens_are_counted_for_the_model_that_is_named(run, work, tiny_llama, renderer):
    result, folder = run(texts(work, tiny_llama))
    rows = renderer.examples(Prepared.load(folder / "dataset").train)
    tokens = result["facts"]["report"]["tokens"]
    assert (tokens["model"], tokens["context_length"], tokens["too_long"]) == ("models/tiny", 512, 0)
    assert tokens["row"]["total"] == sum(map(len, rows))


def test_rows_that_are_longer_than_the_models_context_are_refused_left_out_or_cut(run, work, tiny_llama, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(tiny_llama, model)
    settings = json.loads((model / "config.json").read_text()) | {"max_position_embeddings": 64}
    (model / "config.json").write_text(json.dumps(settings))
    upload = replace(texts(work, tiny_llama, test_fraction=0), model=str(model))
    dropped, cut = (run(replace(upload, long_rows=choice))[0]["facts"] for choice in ("drop", "split"))
    too_long = dropped["report"]["tokens"]["too_long"]
    assert 0 < too_long < 20
    assert dropped["train_rows"] == 20 - too_long
    assert cut["train_rows"] > 20
    for facts in (dropped, cut):
        assert facts["report"]["tokens"]["context_length"] == 64
        assert facts["report"]["tokens"]["row"]["longest"] <= 64
    with pytest.raises(InvalidInput) as caught:
        run(upload)
    assert caught.value.metadata["bad_rows"] == str(too_long)


def test_a_bad_table_leaves_no_data_set(run, work, tmp_path):
    Path(work.train_file).write_text(f"{TABLE},a,n\n")
    with pytest.raises(InvalidInput) as caught:
        run(work)
    assert caught.value.violations == (("row 21", "'ask' is empty"),)
    assert not (tmp_path / "output" / "dataset" / "dataset.json").exists()
    assert not (tmp_path / "output" / "dataset" / manifest.MANIFEST_FILE).exists()

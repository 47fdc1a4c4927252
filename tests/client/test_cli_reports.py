"""`hone eval` and `hone reports` against the twin."""

import json

import pytest
from honed.client.cli.evaluations import evaluation_columns, evaluation_text
from honed.v1.jobs_pb2 import SHOT_CHOICE_PER_LABEL, SHOT_CHOICE_SIMILAR
from honed.v1.types_pb2 import ANSWER_MODE_FREE, Evaluation, Metric

HEADLINE = "tuned is better than base zero-shot on 12 rows: accuracy 0.917 against 0.500."
PAGE = f"<!doctype html><title>{HEADLINE}</title>"


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_evaluation_ends_with_its_report_in_short_and_in_files(hone, twin, in_folder):
    result = hone("eval", "models/m", "adapters/a", "--data", "d", "--html", "a.html", "--report-json", "a.json")
    assert result.exit_code == 0
    assert HEADLINE in result.stdout
    assert result.stdout.endswith("\nreports/1\n")
    assert result.stderr.splitlines()[-3:] == ["succeeded", "wrote a.html", "wrote a.json"]
    assert (in_folder / "a.html").read_text() == PAGE
    assert json.loads((in_folder / "a.json").read_text())["headline"] == HEADLINE
    spec = twin.requests[0].job.evaluate
    assert (list(spec.subjects), spec.dataset) == (["models/m", "adapters/a"], "datasets/d")
    assert (list(spec.shots), spec.shot_choice) == ([], SHOT_CHOICE_PER_LABEL)


def test_every_option_of_an_evaluation_arrives(hone, twin):
    options = ("--shots", "0,4, 8", "--similar", "--slice", "region", "--slice", "product", "--earlier", "e")
    assert hone("eval", "models/m", "--data", "d", *options, "--max-rows", 9, "--seed", 0).exit_code == 0
    spec = twin.requests[0].job.evaluate
    assert (list(spec.shots), spec.shot_choice) == ([0, 4, 8], SHOT_CHOICE_SIMILAR)
    assert (list(spec.slice_columns), list(spec.earlier_datasets)) == (["region", "product"], ["datasets/e"])
    assert (spec.max_rows, spec.HasField("seed")) == (9, True)


def test_a_report_that_cannot_be_written_does_not_hide_what_was_found(hone, in_folder, monkeypatch):
    def no_room(path, pieces):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("honed.client.cli.reports.write_whole", no_room)
    result = hone("eval", "models/m", "--data", "d", "--html", "a.html")
    assert result.exit_code == 1
    assert HEADLINE in result.stdout
    assert result.stdout.endswith("\nreports/1\n")
    assert "No space left" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("eval", "models/m", "--data", "d", "--shots", "99999999999"),
        ("eval", "models/m", "--data", "d", "--max-rows", "99999999999"),
        ("tune", "a", "--model", "m", "--data", "d", "--rank", "99999999999"),
        ("data", "preview", "d", "--model", "m", "--rows", "99999999999"),
        ("run", "models/m", "hi", "--seed", "99999999999999999999"),
    ],
)
def test_a_number_that_no_field_holds_is_a_wrong_use(hone, words):
    result = hone(*words)
    assert result.exit_code == 2
    assert "a number is too large or too small" in result.stderr


def test_an_evaluation_job_shows_its_subjects_and_its_report(hone):
    hone("eval", "models/m", "adapters/a", "--data", "d", "--no-wait")
    assert hone("jobs", "ls").stdout.splitlines()[1].split()[:6] == [
        *("jobs/1", "evaluate", "succeeded", "–", "–", "reports/1"),
    ]
    shown = [line.split(maxsplit=1) for line in hone("jobs", "show", "1").stdout.splitlines()]
    assert ["evaluate.subjects", "models/m, adapters/a"] in shown
    assert ["result", "reports/1"] in shown
    assert HEADLINE in hone("jobs", "wait", "1").stdout


def test_a_job_whose_report_has_been_deleted_still_shows_its_evaluations(hone):
    hone("eval", "models/m", "--data", "d", "--no-wait")
    hone("reports", "rm", "1")
    assert hone("jobs", "wait", "1").stdout == (
        "SUBJECT         MODE        ROWS  ACCURACY\n"
        "base zero-shot  free        12    0.500 [0.250, 0.750]\n"
        "tuned           likelihood  12    0.917 [0.750, 1.000]\n"
        "reports/1\n"
    )


def test_reports_are_listed_shown_and_deleted(hone):
    hone("eval", "models/m", "adapters/a", "--data", "d", "--no-wait")
    assert hone("reports", "ls").stdout.splitlines()[1].split()[:4] == [
        *("reports/1", "datasets/d", "models/m,", "adapters/a"),
    ]
    shown = hone("reports", "show", "1").stdout
    assert "subjects    models/m, adapters/a\n" in shown
    assert shown.count(HEADLINE) == 2
    assert json.loads(hone("reports", "show", "1", "--json").stdout)["headline"] == HEADLINE
    assert hone("reports", "rm", "1").stderr == "deleted 1\n"
    assert hone("reports", "show", "1").exit_code == 3


def test_a_report_is_fetched_into_a_file_of_its_name(hone, in_folder):
    hone("eval", "models/m", "--data", "d", "--no-wait")
    assert hone("reports", "get", "1").stdout == "1.html\n"
    assert (in_folder / "1.html").read_text() == PAGE
    fetched = json.loads(hone("reports", "get", "reports/1", "--format", "json", "--json").stdout)
    assert fetched == {"name": "reports/1", "format": "json", "file": "1.json"}
    assert json.loads((in_folder / "1.json").read_text())["headline"] == HEADLINE
    assert {file.name for file in in_folder.iterdir()} == {"1.html", "1.json"}


def test_a_file_that_exists_is_written_over_only_with_force(hone, in_folder):
    hone("eval", "models/m", "--data", "d", "--no-wait")
    file = in_folder / "mine.html"
    file.write_text("mine")
    result = hone("reports", "get", "1", "-o", file)
    assert result.exit_code == 2
    assert "mine.html exists; --force writes over it" in result.stderr
    assert file.read_text() == "mine"
    assert hone("reports", "get", "1", "-o", file, "--force").exit_code == 0
    assert file.read_text() == PAGE


def test_a_report_can_go_to_stdout(hone, in_folder):
    hone("eval", "models/m", "--data", "d", "--no-wait")
    assert hone("reports", "get", "1", "-o", "-").stdout == PAGE
    assert list(in_folder.iterdir()) == []


@pytest.mark.parametrize("report_format", ["html", "json"])
def test_a_report_that_breaks_off_leaves_the_old_file_and_nothing_else(hone, twin, in_folder, report_format):
    hone("eval", "models/m", "--data", "d", "--no-wait")
    (in_folder / f"1.{report_format}").write_text("old")
    twin.breaks_off = True
    result = hone("reports", "get", "1", "--force", "--format", report_format)
    assert (result.exit_code, result.stderr) == (1, "hone: the disk is gone\n")
    assert [(file.name, file.read_text()) for file in in_folder.iterdir()] == [(f"1.{report_format}", "old")]


def test_a_report_that_is_not_there_leaves_no_file(hone, in_folder):
    assert hone("reports", "get", "nothing").exit_code == 3
    assert list(in_folder.iterdir()) == []


# Evaluations


def metric(name, value, low, high):
    return Metric(name=name, value=value, low=low, high=high)


def test_the_columns_are_the_main_figures_of_what_was_evaluated():
    text = Evaluation(
        subject="tuned",
        mode=ANSWER_MODE_FREE,
        total=3080,
        metrics=[
            metric("chrf", 69.3, 68.2, 70.4),
            metric("bleu", 64.87, 62.9, 66.71),
            metric("rouge_l", 0.667, 0.655, 0.678),
        ],
    )
    label = Evaluation(total=12, metrics=[metric("macro_f1", 0.4, 0.2, 0.6), metric("accuracy", 0.5, 0.25, 0.75)])
    columns = evaluation_columns([text, label])
    assert list(columns) == ["SUBJECT", "MODE", "ROWS", "BLEU", "ROUGE_L", "ACCURACY"]
    assert [cell(text) for cell in columns.values()] == [
        *("tuned", "free", "3,080", "64.9 [62.9, 66.7]", "0.667 [0.655, 0.678]", ""),
    ]
    assert evaluation_text(text) == ("tuned, free, 3,080 rows: bleu 64.9 [62.9, 66.7], rouge_l 0.667 [0.655, 0.678]")


def test_an_evaluation_without_metrics_has_its_accuracy():
    old = Evaluation(subject="tuned", mode=ANSWER_MODE_FREE, correct=6, total=12, accuracy=0.5)
    assert evaluation_text(old) == "tuned, free, 12 rows: accuracy 0.500"

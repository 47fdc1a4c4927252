"""The evaluation of a data set with the tiny model: what is asked, chosen and reported."""

import json

import pytest
import torch
from helpers.tiny_model import make_tiny_model
from honed.data import Prepared, Renderer, Template
from honed.data.intake import Intake
from honed.data.reader import Wanted
from honed.errors import InvalidInput
from honed.evaluate import Who
from honed.template_library import BUILT_IN
from honed.tune import base, lora
from honed.tune.predict import TorchPredictor
from honed.worker.evaluation import GENERAL_PROBE, Evaluation, require_context
from honed.worker.report import Report

LABELS = ["card", "lost", "refund"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("model"), max_position_embeddings=2048)


@pytest.fixture(scope="module")
def renderer(folder):
    return Renderer.load(folder)


@pytest.fixture
def model(folder):
    return base.load(folder, torch.float32)


@pytest.fixture
def predictor(model):
    return TorchPredictor(model)


@pytest.fixture
def report(tmp_path):
    made = Report(tmp_path)
    yield made
    made._file.close()  # a worker's end closes it


def events(report_folder, kind):
    lines = (report_folder / "events.jsonl").read_text("utf-8").splitlines()
    return [event["data"] for event in map(json.loads, lines) if event["kind"] == kind]


def prepared(tmp_path, text, wanted, suffix="csv", fraction=0.5):
    table, data = tmp_path / f"table.{suffix}", tmp_path / "data"
    table.write_text(text, "utf-8")
    data.mkdir()
    Intake(data, wanted, None).prepare(table, None, None, fraction, 0)
    return Prepared.load(data)


@pytest.fixture
def labelled(tmp_path):
    rows = "".join(f"where is my {LABELS[n % 3]} {n},{LABELS[n % 3]},{'ns'[n % 2]}\n" for n in range(60))
    wanted = Wanted(template=Template.from_json(BUILT_IN["classify"]))
    return prepared(tmp_path, f"text,label,region\n{rows}", wanted)


def evaluation(data, report, **options):
    return Evaluation("a title", data, "datasets/d", report, **({"max_rows": None, "seed": 0} | options))


def test_a_base_is_asked_zero_shot_and_with_worked_examples_in_both_ways(
    labelled, predictor, renderer, report, tmp_path
):
    found = evaluation(labelled, report)
    found.untuned(predictor, renderer, "models/tiny", [], "per_label")
    assert [result.label for result in found.evidence.results] == [
        "base zero-shot",
        "base zero-shot by likelihood",
        "base 3-shot",
        "base 3-shot by likelihood",
    ]
    assert all(result.slices for result in found.evidence.results)
    assert [event["subject"] for event in events(tmp_path, "evaluation")] == ["base zero-shot"] * 2 + [
        "base 3-shot"
    ] * 2
    assert found.evidence.choices == []


def test_the_number_of_worked_examples_is_chosen_on_training_rows(labelled, predictor, renderer, report):
    found = evaluation(labelled, report, max_rows=5)
    found.untuned(predictor, renderer, "models/tiny", [1, 2], "similar")
    (choice,) = found.evidence.choices
    assert choice["what"] == "worked examples"
    assert choice["split"] == f"{len(labelled.train) // 5} training rows held out"
    assert {result.who.name for result in found.evidence.results} == {"base zero-shot", f"base {choice['value']}-shot"}


def test_rows_drawn_are_the_same_for_a_seed_and_said(labelled, report):
    first, again, other = (evaluation(labelled, report, max_rows=10, seed=seed).evidence for seed in (1, 1, 2))
    assert first.examples == again.examples != other.examples
    assert first.dataset["row_choice"] == f"10 of {len(labelled.test)} test rows, drawn with seed 1"


def test_worked_examples_that_do_not_fit_are_halved_and_said(labelled, renderer, report, tmp_path):
    small = base.load(make_tiny_model(tmp_path / "small", max_position_embeddings=1000), torch.float32)
    found = evaluation(labelled, report, max_rows=3)
    found.untuned(TorchPredictor(small), renderer, "models/tiny", [16], "per_label")
    (choice,) = found.evidence.choices
    assert int(choice["value"]) < 16
    assert "do not fit the model's context of 1000 tokens" in choice["why"]


def test_texts_get_scores_and_likelihoods(tmp_path, predictor, renderer, report):
    rows = "".join(f"name {n // 2},it is {n // 2} or {n}\n" for n in range(20))
    data = prepared(tmp_path, f"data,text\n{rows}", Wanted(template=Template.from_json(BUILT_IN["data-to-text"])))
    assert all(len(row.references) == 1 for row in data.test)
    found = evaluation(data, report)
    found.asked(predictor, renderer, Who("tuned", "adapters/a", "torch float32", tuned=True))
    (result,) = found.evidence.results
    assert {metric.name for metric in result.metrics} >= {"bleu", "chrf", "rouge_l", "nll", "perplexity"}


def test_bare_text_gets_its_perplexity_alone(tmp_path, predictor, renderer, report):
    lines = "".join(json.dumps({"text": f"a text {n}"}) + "\n" for n in range(10))
    found = evaluation(prepared(tmp_path, lines, Wanted(), "jsonl"), report)
    found.untuned(predictor, renderer, "models/tiny", [], "per_label")
    (result,) = found.evidence.results
    assert [metric.name for metric in result.metrics] == ["nll", "perplexity"]


def test_preference_pairs_get_the_share_of_right_ones(tmp_path, predictor, renderer, report):
    lines = "".join(json.dumps({"prompt": f"q {n}", "chosen": "yes", "rejected": "no"}) + "\n" for n in range(10))
    found = evaluation(prepared(tmp_path, lines, Wanted(), "jsonl"), report)
    found.untuned(predictor, renderer, "models/tiny", [], "per_label")
    (result,) = found.evidence.results
    assert result.main == "preference"


def test_forgetting_compares_with_the_adapter_switched_off(labelled, model, renderer, report, tmp_path):
    tuned = lora.attach(model, rank=2, alpha=4, dropout=0, seed=0)
    with torch.no_grad():
        for parameter in lora.trainable_parameters(tuned):
            parameter.add_(0.05 * torch.randn_like(parameter))
    found = evaluation(labelled, report)
    found.forgetting(tuned, renderer, "tuned", [{"name": "datasets/d", "folder": str(labelled.folder)}])
    probe, earlier = found.evidence.forgetting
    assert (probe.source, earlier.source) == (GENERAL_PROBE, "datasets/d")
    rows = renderer.examples(labelled.test)
    after = TorchPredictor(tuned).log_likelihoods(
        [row.prompt for row in rows], [row.reply for row in rows], lambda done, total: None
    )
    assert earlier.after_nll == pytest.approx(-sum(after) / sum(len(row.reply) for row in rows))
    assert earlier.before_nll != earlier.after_nll
    assert earlier.tokens == sum(len(row.reply) for row in rows)


def test_the_report_is_written_with_what_is_published_of_it(labelled, predictor, renderer, report, tmp_path):
    found = evaluation(labelled, report, max_rows=6)
    found.untuned(predictor, renderer, "models/tiny", [0], "per_label")
    made = found.write(tmp_path / "report")
    assert made["facts"]["subjects"] == ["models/tiny"]
    assert json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))["headline"] == made["facts"]["headline"]
    assert sorted(file.name for file in (tmp_path / "report").iterdir()) == [
        "manifest.json",
        "report.html",
        "report.json",
    ]


def test_a_row_without_room_for_its_reply_is_refused_with_the_counts(labelled, renderer):
    with pytest.raises(InvalidInput) as caught:
        require_context(labelled.test, renderer, 10)
    assert caught.value.reason == "ROWS_TOO_LONG"
    assert caught.value.metadata["limit_tokens"] == "10"

"""The evaluation of a data set with the tiny model: what is asked, chosen and reported."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from helpers.tiny_model import make_tiny_model
from honed import manifest
from honed.data import Prepared, Renderer, Template
from honed.data.intake import Intake
from honed.data.reader import Wanted
from honed.errors import InvalidInput
from honed.evaluate import Reply, Who
from honed.template_library import BUILT_IN
from honed.tune import base, methods
from honed.tune.predict import TorchPredictor
from honed.worker import evaluate
from honed.worker.contract import EvaluateWork
from honed.worker.evaluation import GENERAL_PROBE, Evaluation, require_fit
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


def choice_of(found, what):
    (choice,) = [choice for choice in found.evidence.choices if choice["what"] == what]
    return choice


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
    assert [choice["what"] for choice in found.evidence.choices] == ["longest answer"]


def test_the_number_of_worked_examples_is_chosen_on_training_rows(labelled, predictor, renderer, report):
    found = evaluation(labelled, report, max_rows=5)
    found.untuned(predictor, renderer, "models/tiny", [1, 2], "similar")
    choice = choice_of(found, "worked examples of base")
    assert choice["split"] == f"{len(labelled.train) // 5} training rows held out"
    assert {result.who.name for result in found.evidence.results} == {"base zero-shot", f"base {choice['value']}-shot"}


def test_rows_drawn_are_the_same_for_a_seed_and_said(labelled, report):
    first, again, other = (evaluation(labelled, report, max_rows=10, seed=seed).evidence for seed in (1, 1, 2))
    assert first.examples == again.examples != other.examples
    assert first.dataset["row_choice"] == f"10 of {len(labelled.test)} test rows, drawn with seed 1"


def test_every_row_gets_as_many_worked_examples_as_fit_its_own_prompt(tmp_path, renderer, report, model):
    table = "".join(f"{'please ' * (n % 2 * 60)}where is my {LABELS[n % 3]} {n},{LABELS[n % 3]}\n" for n in range(24))
    data = prepared(tmp_path, f"text,label\n{table}", Wanted(template=Template.from_json(BUILT_IN["classify"])))
    predictor = TorchPredictor(model)
    long = [len(row.messages[-1].content) > 100 for row in data.test]
    assert set(long) == {True, False}
    predictor.context_length = 600
    asked = []
    predictor.generate = lambda prompts, *rest: (
        asked.append(prompts) or TorchPredictor.generate(predictor, prompts, *rest)
    )
    found = evaluation(data, report)
    found.untuned(predictor, renderer, "models/tiny", [8], "per_label")
    few = asked[1]
    shown = [renderer.decode(prompt).count("assistant") - 1 for prompt in few]
    assert all(count in (0, 1, 2, 4, 8) for count in shown)
    assert all(len(prompt) + 20 <= 600 for prompt in few)
    # A long row takes nothing from a short one.
    assert max(count for count, is_long in zip(shown, long, strict=True) if is_long) < max(shown)
    fewer = sum(count < 8 for count in shown)
    assert fewer > 0
    choice = choice_of(found, "worked examples of base")
    assert choice["value"] == f"fewer than 8 for {fewer} of {len(shown)} rows"
    assert choice["split"] == "each row's own prompt"
    assert "context of 600 tokens" in choice["why"]


def test_two_bases_that_choose_are_told_apart(labelled, predictor, renderer, report):
    found = evaluation(labelled, report, max_rows=3)
    for name in ("models/a", "models/b"):
        found.untuned(predictor, renderer, name, [1, 2], "per_label", name)
    for name in ("models/a", "models/b"):
        assert "the best of 1: " in choice_of(found, f"worked examples of {name}")["why"]


@pytest.mark.parametrize(("rows", "fraction"), [(4, 0.5), (40, 0.5)])
def test_too_few_training_rows_to_choose_on_are_refused_before_anything_is_asked(
    tmp_path, renderer, report, rows, fraction
):
    lines = "".join(json.dumps({"prompt": f"q{n % 4}", "completion": f"a{n % 4}"}) + "\n" for n in range(rows))
    data = prepared(tmp_path, lines, Wanted(), "jsonl", fraction)
    found = evaluation(data, report)
    with pytest.raises(InvalidInput, match="Give one number") as caught:
        found.check("base", renderer, 2048, tuned=False, shots=[0, 4])
    assert caught.value.reason == "TRAINING_ROWS_TOO_FEW"
    found.check("base", renderer, 2048, tuned=False, shots=[4])


def test_no_more_worked_examples_are_named_than_there_are_training_rows(tmp_path, predictor, renderer, report):
    lines = "".join(json.dumps({"prompt": f"q{n}", "completion": f"a{n}"}) + "\n" for n in range(6))
    found = evaluation(prepared(tmp_path, lines, Wanted(), "jsonl"), report)
    found.untuned(predictor, renderer, "models/tiny", [12], "per_label")
    assert [result.who.name for result in found.evidence.results] == ["base zero-shot", "base 3-shot"]


def limit_of(data, renderer, report):
    found = evaluation(data, report)
    found.asked(Rambler(), renderer, Who("tuned", "adapters/a", "none", tuned=True))
    choice = choice_of(found, "longest answer")
    assert choice["split"] == "training rows"
    return found, int(choice["value"].removesuffix(" tokens"))


class Rambler:
    """Never stops by itself."""

    context_length = 2048

    def generate(self, prompts, max_new_tokens, stop_ids, progress):
        return [Reply([40] * max_new_tokens, 1.0, stopped=False) for _ in prompts]

    def log_likelihoods(self, prompts, replies, progress):
        return [-1.0 for _ in replies]


def test_the_longest_label_and_some_more_is_the_longest_answer(labelled, renderer, report):
    _, limit = limit_of(labelled, renderer, report)
    assert limit == max(len(renderer.encode(label)) for label in LABELS) + 1 + 4


@pytest.mark.parametrize("test_reply", ["short", "long " * 200])
def test_the_longest_answer_hangs_on_training_replies_alone(tmp_path, renderer, report, test_reply):
    lines = "".join(json.dumps({"prompt": f"q{n}", "completion": "a reply " * (n % 3 + 1)}) + "\n" for n in range(30))
    data = prepared(tmp_path, lines, Wanted(), "jsonl")
    data.__dict__["test"] = tuple(replace(row, reply=test_reply) for row in data.test)
    found, limit = limit_of(data, renderer, report)
    assert limit == 2 * (max(len(renderer.encode(row.reply)) for row in data.train) + 1)
    assert found.evidence.results[0].cut_answers == len(data.test)
    data.__dict__["train"] = ()
    assert limit_of(data, renderer, report)[1] == 512


def test_what_was_cut_is_logged(labelled, renderer, report, tmp_path):
    limit_of(labelled, renderer, report)
    assert f"{len(labelled.test)} of {len(labelled.test)} answers of tuned were cut." in [
        event["text"] for event in events(tmp_path, "log")
    ]


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
    tuned = methods.attach(model, methods.Settings("lora", rank=2, alpha=4, dropout=0, seed=0))
    with torch.no_grad():
        for parameter in methods.trainable_parameters(tuned):
            parameter.add_(0.05 * torch.randn_like(parameter))
    manifest.write(labelled.folder)
    found = evaluation(labelled, report, earlier=[{"name": "datasets/d", "folder": str(labelled.folder)}])
    found.forgetting(tuned, renderer, "tuned")
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


def test_forgetting_is_measured_on_rows_drawn_by_seed_and_says_how_many(labelled, model, renderer, report, monkeypatch):
    monkeypatch.setattr("honed.worker.evaluation._MAX_EARLIER_ROWS", 5)
    manifest.write(labelled.folder)
    tuned = methods.attach(model, methods.Settings("lora", rank=2, alpha=4, dropout=0, seed=0))
    found = evaluation(labelled, report, earlier=[{"name": "datasets/d", "folder": str(labelled.folder)}])
    found.forgetting(tuned, renderer, "tuned")
    earlier = found.evidence.forgetting[1]
    assert (earlier.rows, earlier.all_rows) == (5, len(labelled.test))
    assert f"On datasets/d (5 of {len(labelled.test)} rows, drawn with seed 0), " in earlier.sentence
    drawn = evaluation(labelled, report, max_rows=5).evidence.examples
    assert drawn != labelled.test[:5]
    assert earlier.tokens == sum(len(row.reply) for row in renderer.examples(drawn))


def test_an_earlier_data_set_that_was_changed_is_refused(labelled, report):
    manifest.write(labelled.folder)
    with (labelled.folder / "test.jsonl").open("ab") as file:
        file.write(b"\n")
    with pytest.raises(InvalidInput) as caught:
        evaluation(labelled, report, earlier=[{"name": "datasets/d", "folder": str(labelled.folder)}])
    assert caught.value.reason == "DIGEST_MISMATCH"


def too_long(ask):
    with pytest.raises(InvalidInput) as caught:
        ask()
    assert caught.value.reason == "ROWS_TOO_LONG"
    return int(caught.value.metadata["longest_tokens"])


def test_a_row_without_room_for_its_reply_is_refused_with_the_counts():
    with pytest.raises(
        InvalidInput, match=r"2 test row\(s\) are longer .* 10 tokens; the longest has 30\..*--drop-long"
    ) as caught:
        require_fit("test row(s)", [9, 10, 11, 30], 10)
    assert caught.value.reason == "ROWS_TOO_LONG"
    assert caught.value.metadata == {"rows": "2", "longest_tokens": "30", "limit_tokens": "10"}
    require_fit("test row(s)", [9, 10], 10)


def test_the_prompt_that_lists_the_labels_has_to_fit(labelled, renderer, report):
    found = evaluation(labelled, report)
    bare = too_long(lambda: found.check("tuned", renderer, 10, tuned=True))
    with pytest.raises(InvalidInput, match="--drop-long"):
        found.check("base", renderer, bare - 1, tuned=False)
    with pytest.raises(InvalidInput, match=r"test row\(s\), as base is asked .* all labels .* --skip-evaluation"):
        found.check("base", renderer, bare, tuned=False)
    listing = too_long(lambda: found.check("base", renderer, bare, tuned=False))
    found.check("tuned", renderer, bare, tuned=True)
    found.check("base", renderer, listing, tuned=False)
    too_long(lambda: found.check("base", renderer, listing - 1, tuned=False))


def test_preferences_need_no_rows_to_choose_worked_examples_on(tmp_path, renderer, report):
    lines = "".join(json.dumps({"prompt": f"q {n}", "chosen": "yes", "rejected": "no"}) + "\n" for n in range(4))
    evaluation(prepared(tmp_path, lines, Wanted(), "jsonl"), report).check(
        "b", renderer, 500, tuned=False, shots=[0, 4]
    )


def test_the_rejected_reply_has_to_fit(tmp_path, renderer, report):
    lines = "".join(json.dumps({"prompt": f"q {n}", "chosen": "yes", "rejected": "no " * 50}) + "\n" for n in range(10))
    found = evaluation(prepared(tmp_path, lines, Wanted(), "jsonl"), report)
    assert too_long(lambda: found.check("base", renderer, 60, tuned=False)) > 100


def test_rows_of_an_earlier_data_set_have_to_fit_an_adapter(tmp_path, labelled, renderer, report):
    (tmp_path / "earlier").mkdir()
    lines = "".join(json.dumps({"text": f"{n} " * 300}) + "\n" for n in range(4))
    earlier = prepared(tmp_path / "earlier", lines, Wanted(), "jsonl")
    manifest.write(earlier.folder)
    found = evaluation(labelled, report, earlier=[{"name": "datasets/long", "folder": str(earlier.folder)}])
    found.check("base", renderer, 500, tuned=False)
    assert too_long(lambda: found.check("tuned", renderer, 500, tuned=True)) > 500


def test_an_export_has_to_hold_the_rows_in_its_cache_before_any_subject_is_asked(
    tmp_path, labelled, folder, report, monkeypatch
):
    manifest.write(labelled.folder)
    served = tmp_path / "export"
    shutil.copytree(folder, served)
    for each in (folder, served):
        manifest.write(each)
    monkeypatch.setattr(evaluate, "open_graph", lambda *_, **__: SimpleNamespace(capacity=20))
    subjects = [
        {"name": "models/m", "model": str(folder), "adapter": "", "export": ""},
        {"name": "exports/e", "model": str(folder), "adapter": "", "export": str(served)},
    ]
    work = EvaluateWork(
        dataset=str(labelled.folder),
        dataset_name="datasets/d",
        subjects=subjects,
        shots=[],
        shot_choice="per_label",
        max_rows=3,
        seed=0,
        slice_columns=[],
        earlier=[],
    )
    with pytest.raises(InvalidInput, match=r"as exports/e is asked .* context of 20 tokens") as caught:
        evaluate.run(work, tmp_path, report)
    assert caught.value.reason == "ROWS_TOO_LONG"
    assert events(tmp_path, "evaluation") == []

"""Evaluations through the daemon: what of every task is measured, compared, chosen and forgotten, and the reports."""

import hashlib
import html
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import pytest
import sacrebleu
import torch
from helpers.daemon import refused
from helpers.tables import WRITE
from helpers.tiny_model import END_OF_TURN_ID, make_tokenizer
from honed.v1.datasets_pb2 import Dataset
from honed.v1.jobs_pb2 import Augmentation, Job, TuneSpec
from honed.v1.types_pb2 import ANSWER_MODE_FREE, ANSWER_MODE_LIKELIHOOD
from transformers import AutoModelForCausalLM

SUBJECTS = ["models/tiny", "adapters/nf4", "exports/int8"]
LABELS = ("card", "lost", "paid")
ROWS = [
    {"text": f"Customer {n} says {label[:2]} number {n * n}.", "label": label, "region": ["north", "south"][n % 2]}
    for n in range(12)
    for label in LABELS
]
MEALS = [
    {"name": name, "food": food, "area": "riverside", "text": text.format(name=name, food=food)}
    for name, food in (("Aromi", "French"), ("Bibimbap", "Korean"), ("Clowns", "English"), ("Dora", "Greek"))
    for text in ("{name} is {food}.", "You get {food} food at {name}.", "{name}, by the river, is {food}.")
]
TALES = [f"Chapter {n}. The card was lost, and nobody knew where card {n} went." for n in range(6)]
PAIRS = [
    {
        "prompt": f"Where is card {n}?",
        "chosen": f"Card {n} is here.",
        "rejected": ["Who?", "Who would know? Not I."][n % 2],
    }
    for n in range(8)
]
Report = dict[str, Any]
Add = Callable[..., Dataset]


@pytest.fixture(scope="module")
def add(client, tmp_path_factory) -> Add:
    """Uploads rows as JSON lines."""
    folder = tmp_path_factory.mktemp("evaluated")

    def add(name, rows, *, test=None, **options) -> Dataset:
        files = {"train": rows} | ({} if test is None else {"test": test})
        for file, content in files.items():
            (folder / file).write_bytes(WRITE["jsonl"](content))
        return client.upload_dataset(name, folder / "train", test=folder / "test" if test else None, **options)

    return add


@pytest.fixture(scope="module")
def regions(add) -> Dataset:
    """Messages of three labels and two regions: 24 to train, 12 to test."""
    return add("regions", ROWS, test_fraction=1 / 3, text_column="text", label_column="label")


@pytest.fixture(scope="module")
def compared(client, exports, regions) -> SimpleNamespace:
    """A job that asked a base, an adapter and an export for the same 12 rows, and its report."""
    job = client.evaluate(SUBJECTS, "regions", shots=[1, 2, 3], earlier_datasets=["table"])
    job = client.wait_job(job.name)
    return SimpleNamespace(job=job, report=client.report_json(job.result))


@pytest.fixture(scope="module")
def described(client, add) -> SimpleNamespace:
    """A tuning on data-to-text with changed copies of the rows, its adapter, and its report."""
    add("meals", MEALS[:6], test=MEALS[6:], template="data-to-text", columns={"data": ["name", "food", "area"]})
    spec = TuneSpec(
        model="tiny",
        dataset="meals",
        adapter_id="meals",
        max_steps=2,
        few_shot=1,
        earlier_datasets=["table"],
        augmentation=Augmentation(typos=2, casing=1, word_dropout=1),
    )
    job = client.wait_job(client.tune(spec).name)
    adapter = client.get_adapter(job.result)
    return SimpleNamespace(job=job, adapter=adapter, report=client.report_json(adapter.report))


def metrics(evaluation) -> dict[str, float]:
    return {metric.name: metric.value for metric in evaluation.metrics}


def choice_of(report: Report, what: str) -> dict[str, str]:
    (choice,) = [choice for choice in report["choices"] if choice["what"] == what]
    return choice


def answers_of(report: Report, subject: Mapping[str, Any]) -> list[str]:
    """What a subject answered to each of the rows, all of which are among the samples if there are few."""
    assert len(report["samples"]) == report["dataset"]["rows_asked"]
    return [sample["answers"][subject["label"]] for sample in report["samples"]]


# A base, an adapter and an export in one job


def test_all_subjects_are_asked_for_the_same_rows_in_every_way_they_can_be(compared):
    choice = choice_of(compared.report, "worked examples of base")
    few = f"base {choice['value']}-shot"
    assert [(each.subject, each.mode) for each in compared.job.evaluations] == [
        ("base zero-shot", ANSWER_MODE_FREE),
        ("base zero-shot", ANSWER_MODE_LIKELIHOOD),
        (few, ANSWER_MODE_FREE),
        (few, ANSWER_MODE_LIKELIHOOD),
        ("adapters/nf4", ANSWER_MODE_FREE),
        ("adapters/nf4", ANSWER_MODE_LIKELIHOOD),
        ("exports/int8", ANSWER_MODE_FREE),
    ]
    for each in compared.job.evaluations:
        assert each.total == 12
        assert each.accuracy == each.correct / 12 == metrics(each)["accuracy"]
        assert all(metric.low <= metric.value <= metric.high for metric in each.metrics)


def test_the_report_and_the_job_say_the_same(client, compared, regions):
    job, report = compared.job, compared.report
    assert report["format"] == "honed-report-1"
    assert [(each["name"], f"ANSWER_MODE_{each['mode'].upper()}") for each in report["subjects"]] == [
        (each.subject, "ANSWER_MODE_FREE" if each.mode == ANSWER_MODE_FREE else "ANSWER_MODE_LIKELIHOOD")
        for each in job.evaluations
    ]
    for written, told in zip(report["subjects"], job.evaluations, strict=True):
        assert {metric["name"]: metric["value"] for metric in written["metrics"]} == metrics(told)
        assert (written["latency"] is not None) == (written["mode"] == "free")
        assert (written["calibration"] is not None) == (written["mode"] == "likelihood")
    data = report["dataset"]
    assert (data["name"], data["digest"]) == (regions.name, regions.digest)
    assert (data["train_rows"], data["test_rows"], data["rows_asked"]) == (24, 12, 12)
    assert data["labels"] == sorted(LABELS)
    kept = client.get_report(job.result)
    assert (kept.job, kept.dataset, list(kept.subjects)) == (job.name, "datasets/regions", SUBJECTS)
    assert kept.headline == report["headline"]


def test_every_figure_of_the_labels_follows_from_the_answers(compared):
    rows = [ROWS[int(sample["row"]) - 1] for sample in compared.report["samples"]]
    assert sorted(row["label"] for row in rows) == sorted(LABELS * 4)
    for subject in compared.report["subjects"]:
        answers = answers_of(compared.report, subject)
        pairs = Counter((row["label"], answer) for row, answer in zip(rows, answers, strict=True))
        counts = subject["confusion"]["counts"]
        assert subject["confusion"]["labels"] == sorted(LABELS)
        for label, line in zip(sorted(LABELS), counts, strict=True):
            known = [pairs[label, other] for other in sorted(LABELS)]
            assert line == [*known, 4 - sum(known)]
        right = [row["label"] == answer for row, answer in zip(rows, answers, strict=True)]
        assert subject["metrics"][0]["value"] == pytest.approx(sum(right) / 12)
        for place, each in enumerate(subject["per_class"]):
            answered = sum(line[place] for line in counts)
            assert each["support"] == 4
            assert each["recall"] == counts[place][place] / 4
            assert each["precision"] == (counts[place][place] / answered if answered else 0)
        for each in subject["slices"]:
            inside = [hit for hit, row in zip(right, rows, strict=True) if row["region"] == each["value"]]
            outside = [hit for hit, row in zip(right, rows, strict=True) if row["region"] != each["value"]]
            assert (each["column"], each["rows"], each["flagged"]) == ("region", len(inside), False)
            assert each["score"] == pytest.approx(sum(inside) / len(inside))
            assert each["gap"] == pytest.approx(each["score"] - sum(outside) / len(outside))
        assert [each["value"] for each in subject["slices"]] == ["north", "south"]


def test_what_is_set_against_what_is_written_down(compared):
    report = compared.report
    untuned = {
        subject["label"]: subject["metrics"][0]["value"] for subject in report["subjects"] if not subject["tuned"]
    }
    assert report["decides"] == "accuracy"
    assert untuned[report["strongest_untuned"]] == max(untuned.values())
    assert report["under_test"] == ["adapters/nf4", "exports/int8"]
    assert report["mistakes_of"] == "adapters/nf4"
    assert choice_of(report, "longest answer")["split"] == "training rows"
    for case in (*report["mistakes"], *report["samples"]):
        expected = [case["expected"]] if isinstance(case["expected"], str) else case["expected"]
        assert case["right"].keys() == case["answers"].keys()
        for subject, answer in case["answers"].items():
            assert case["right"][subject] == (answer in expected)  # the tiny model writes no other case


def test_every_two_are_compared_by_the_exact_test_on_the_same_rows(compared):
    report = compared.report
    expected = [ROWS[int(sample["row"]) - 1]["label"] for sample in report["samples"]]
    hits = {
        subject["label"]: [one == other for one, other in zip(expected, answers_of(report, subject), strict=True)]
        for subject in report["subjects"]
    }
    pairs = {frozenset((each["a"], each["b"])) for each in report["comparisons"]}
    assert pairs == {frozenset(pair) for pair in combinations(hits, 2)}
    assert len(report["comparisons"]) == len(pairs)
    for each in report["comparisons"]:
        a, b = hits[each["a"]], hits[each["b"]]
        only_a, only_b = (sum(x and not y for x, y in zip(*pair, strict=True)) for pair in ((a, b), (b, a)))
        tail = sum(math.comb(only_a + only_b, k) for k in range(min(only_a, only_b) + 1)) / 2 ** (only_a + only_b)
        assert each["difference"] == pytest.approx((sum(b) - sum(a)) / 12)
        assert each["p_value"] == pytest.approx(min(1.0, 2 * tail))
        assert (each["rows"], each["test"]) == (12, "exact McNemar")
        assert (each["verdict"] == "not distinguishable") == (each["p_value"] >= 0.05)
        assert each["a"] in each["sentence"]
        assert each["b"] in each["sentence"]


def test_the_number_of_worked_examples_is_chosen_on_training_rows(compared):
    choice = choice_of(compared.report, "worked examples of base")
    assert choice["split"] == "4 training rows held out"  # a fifth of 24
    assert choice["value"] in {"1", "2", "3"}
    assert [each.partition(":")[0] for each in choice["why"].removeprefix("the best of ").split(", ")] == [
        "1",
        "2",
        "3",
    ]


def test_forgetting_is_measured_of_the_adapter_on_the_probe_and_the_data_set_named(compared):
    probe, table = compared.report["forgetting"]
    assert (probe["source"], table["source"]) == ("the built-in probe of general text", "datasets/table")
    assert table["rows"] == 4
    for each in (probe, table):
        assert each["subject"] == "adapters/nf4"
        assert each["difference"] == pytest.approx(each["after_nll"] - each["before_nll"])
        assert each["low"] <= each["difference"] <= each["high"]
        assert each["before_nll"] > 0
    # What it was tuned on, two steps long, is hardly forgotten.
    assert table["after_nll"] < table["before_nll"]


def test_an_export_is_evaluated_as_it_is_served(client, compared):
    for sample in compared.report["samples"][:4]:
        answer = sample["answers"]["exports/int8"].rstrip("\ufffd")  # it may end within a character
        asked = {"role": "user", "content": sample["prompt"]}
        served, _ = client.complete("exports/int8", [asked], max_tokens=30)
        assert answer
        assert served.strip().startswith(answer)


# Data to text, with augmentation


def test_a_tuning_with_augmentation_records_what_was_added(client, described, tuned):
    job, adapter, report = described.job, described.adapter, described.report
    assert (job.state, job.result) == (Job.STATE_SUCCEEDED, "adapters/meals")
    assert adapter.spec.augmentation == Augmentation(typos=2, casing=1, word_dropout=1)
    added = dict(adapter.augmented_rows)
    assert added == {"typos": 12, "casing": 6, "word_dropout": 6}  # of 6 training rows
    assert report["training"]["augmented_rows"] == added
    assert [step["step"] for step in report["training"]["steps"]] == [1, 2]
    assert report["dataset"]["train_rows"] == 6
    assert client.get_dataset("meals").train_rows == 6
    assert not client.get_adapter(tuned.job.result).augmented_rows


def test_texts_are_scored_against_all_of_their_references(described):
    report = described.report
    assert report["dataset"]["rows_asked"] == 2  # six rows of two prompts
    assert [each.subject for each in described.job.evaluations] == ["base zero-shot", "base 1-shot", "tuned"]
    references = [sample["expected"] for sample in report["samples"]]
    assert sorted(map(len, references)) == [3, 3]
    assert {reference for each in references for reference in each} == {row["text"] for row in MEALS[6:]}
    for subject in report["subjects"]:
        found = {metric["name"]: metric["value"] for metric in subject["metrics"]}
        answers, transposed = answers_of(report, subject), list(zip(*references, strict=True))
        assert found["bleu"] == pytest.approx(sacrebleu.corpus_bleu(answers, transposed).score, abs=1e-9)
        assert found["chrf"] == pytest.approx(sacrebleu.corpus_chrf(answers, transposed).score, abs=1e-9)
        assert set(found) == {"rouge_l", "bleu", "chrf", "token_f1", "exact_match", "nll", "perplexity"}
        assert found["perplexity"] == pytest.approx(math.exp(found["nll"]))
    assert {each["metric"] for each in report["comparisons"]} == {"rouge_l", "bleu"}


def test_a_tuning_says_what_was_forgotten_and_keeps_its_report(client, described):
    assert [each["source"] for each in described.report["forgetting"]] == [
        "the built-in probe of general text",
        "datasets/table",
    ]
    report = client.get_report(described.adapter.report)
    assert (report.job, report.dataset) == (described.job.name, "datasets/meals")
    assert set(report.subjects) == {"models/tiny", "adapters/meals"}
    assert list(described.adapter.evaluations) == list(described.job.evaluations)


def test_a_row_is_served_as_the_conversation_that_it_was_trained_as(client, described):
    client.wait_job(client.export("meals", "adapters/meals").name)
    instruction = "Put the data into words. Say everything that the data says and nothing else."
    asked = {"role": "user", "content": "name: Aromi\nfood: French\narea: riverside"}
    data = json.dumps({"name": "Aromi", "food": "French", "area": "riverside"})
    by_row = client.complete("adapters/meals", row={"data": data}, max_tokens=24)
    assert by_row == client.complete("adapters/meals", [asked], max_tokens=24)
    whole = [{"role": "system", "content": instruction}, asked]
    assert by_row == client.complete("adapters/meals", whole, max_tokens=24)
    preview = client.preview_dataset("meals", "tiny", rows=1).rows[0].tokens
    prompt = [token for token in preview if not token.trained]
    text = "".join(token.text for token in prompt)
    assert by_row == client.complete("adapters/meals", prompt=text, max_tokens=24)
    assert by_row[1].prompt_tokens == len(prompt)

    for row, field in (
        ({}, "row.values['data']"),
        ({"data": data, "text": "x"}, "row.values['text']"),
        ({"data": '{"name": "Aromi", "price": 3}'}, "row.values['data']"),
        ({"data": "Aromi"}, "row.values['data']"),
    ):
        with refused("INVALID_ARGUMENT", "ROW_INVALID") as error:
            client.complete("adapters/meals", row=row)
        assert [name for name, _ in error.value.field_violations] == [field]


# Other tasks


BOOKINGS = [{"text": f"Table for {n} in the name of Ann.", "guests": n, "city": ""} for n in range(2, 12)]


@pytest.fixture(scope="module")
def extracted(client, add) -> SimpleNamespace:
    """A job that asked a base, and what serves it, for three of the rows of an extraction, and its report."""
    add("bookings", BOOKINGS, template="extract", columns={"fields": ["guests", "city"]}, test_fraction=0.4)
    subjects = ["models/tiny", "exports/tiny-base"]
    job = client.evaluate(subjects, "bookings", shots=[2], shot_choice="similar", max_rows=3, seed=1)
    job = client.wait_job(job.name)
    return SimpleNamespace(job=job, report=client.report_json(job.result))


def test_extraction_is_scored_by_valid_json_and_fields(extracted):
    names = ["base zero-shot", "base 2-shot", "exports/tiny-base"]
    assert [each.subject for each in extracted.job.evaluations] == names
    assert not any(each["tuned"] for each in extracted.report["subjects"])  # a bare base, whatever serves it
    for each in extracted.report["subjects"]:
        found = {metric["name"]: metric["value"] for metric in each["metrics"]}
        assert set(found) == {"field_f1", "json_valid", "exact_match", "nll", "perplexity"}
        valid = [is_object(answer) for answer in answers_of(extracted.report, each)]
        assert found["json_valid"] == pytest.approx(sum(valid) / 3)
    for sample in extracted.report["samples"]:
        (expected,) = sample["expected"]
        assert json.loads(expected) == {"guests": BOOKINGS[int(sample["row"]) - 1]["guests"], "city": None}


def test_rows_are_drawn_where_fewer_are_asked_than_there_are(extracted):
    assert extracted.report["dataset"]["rows_asked"] == 3
    assert extracted.report["dataset"]["row_choice"] == "3 of 4 test rows, drawn with seed 1"
    assert {each.total for each in extracted.job.evaluations} == {3}


def is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


@pytest.fixture(scope="module")
def nats(tiny_model) -> Callable[[list[int], str], tuple[float, int]]:
    """The reference: -log p of a text and the end of its turn behind other tokens in float32, and their number."""
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    tokenizer = make_tokenizer()

    def nats(prompt: list[int], text: str) -> tuple[float, int]:
        ids = [*tokenizer.encode(text).ids, END_OF_TURN_ID]
        with torch.inference_mode():
            logits = model(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1]
        return -logits.log_softmax(-1).gather(1, torch.tensor([ids]).T).sum().item(), len(ids)

    return nats


def test_bare_text_gives_its_perplexity(client, add, nats):
    add("tales", [{"text": text} for text in TALES[:3]], test=[{"text": text} for text in TALES[3:]])
    job = client.wait_job(client.evaluate("models/tiny", "tales").name)
    (found,) = job.evaluations
    assert (found.subject, found.mode, found.total) == ("base", ANSWER_MODE_LIKELIHOOD, 3)
    reference = [nats([END_OF_TURN_ID], text) for text in TALES[3:]]
    nll = sum(each for each, _ in reference) / sum(count for _, count in reference)
    assert metrics(found)["nll"] == pytest.approx(nll, rel=0.01)  # bfloat16 against float32
    assert metrics(found)["perplexity"] == pytest.approx(math.exp(metrics(found)["nll"]))


def test_preference_pairs_give_the_share_of_chosen_replies_that_are_likelier(client, add, nats):
    add("pairs", PAIRS[:2], test=PAIRS[2:])
    job = client.wait_job(client.evaluate("models/tiny", "pairs").name)
    (found,) = job.evaluations
    assert (found.subject, found.mode, found.total) == ("base", ANSWER_MODE_LIKELIHOOD, 6)
    tokenizer = make_tokenizer()
    likelier = []
    for pair in PAIRS[2:]:
        prompt = f"<|im_start|>user\n{pair['prompt']}<|im_end|>\n<|im_start|>assistant\n"
        ids = tokenizer.encode(prompt).ids
        likelier.append(nats(ids, pair["chosen"])[0] < nats(ids, pair["rejected"])[0])
    assert set(likelier) == {True, False}
    assert metrics(found)["preference"] == pytest.approx(sum(likelier) / 6)
    assert found.correct == sum(likelier)


@pytest.mark.parametrize(("name", "rows"), [("told", [{"text": text} for text in TALES]), ("chosen", PAIRS)])
def test_the_parity_of_texts_to_follow_has_no_accuracy(client, add, name, rows):
    add(name, rows, test_fraction=0.5)
    job = client.wait_job(client.export(name, "models/tiny", format="onnx-fp32", dataset=name).name)
    parity = client.get_export(job.result).parity
    client.delete_export(job.result)  # the newest export of models/tiny is what serves it
    assert (parity.rows, parity.top1_agreement) == (len(rows) // 2, 1.0)
    assert not parity.HasField("accuracy")
    assert not parity.HasField("reference_accuracy")


def test_a_report_is_one_page_and_one_document_until_it_is_deleted(client, daemon, extracted):
    report = client.get_report(extracted.job.result)
    assert report in list(client.list_reports())
    assert (report.owner, report.job) == ("owner", extracted.job.name)
    page, document = (b"".join(client.download_report(report.name, each)) for each in ("html", "json"))
    digests = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in (("report.html", page), ("report.json", document))
    }
    lines = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
    assert report.digest == hashlib.sha256(lines.encode()).hexdigest()
    assert report.size_bytes == len(page) + len(document)
    assert page.lower().startswith(b"<!doctype html>")
    assert report.headline in html.unescape(page.decode())
    assert json.loads(document) == extracted.report

    folders = set((daemon.state / "reports").iterdir())
    client.delete_report(report.name)
    assert len(folders - set((daemon.state / "reports").iterdir())) == 1
    assert report.name not in {each.name for each in client.list_reports()}
    for read in (client.get_report, client.report_json, client.delete_report):
        with refused("NOT_FOUND", "REPORT_NOT_FOUND"):
            read(report.name)
    assert client.get_job(extracted.job.name).result == report.name

"""Reports as `honed.worker` has them written, of answers that were drawn instead of asked for.

Each function returns a new document, made by `honed.evaluate` itself: scores, intervals, tests and sentences are real.
"""

import csv
import math
import random
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from honed.data import Example, Message
from honed.evaluate.forgetting import Forgetting
from honed.evaluate.report import Evidence, build
from honed.evaluate.result import Latency, Who, of_labels, of_likelihoods, of_texts

HELPDESK = Path(__file__).parents[2] / "examples/helpdesk/test.csv"
_VERBS = ("balance_not_updated_after", "pending", "declined", "wrong_amount_for", "fee_charged_for", "change", "cancel")
_THINGS = (
    *("cheque_or_cash_deposit", "bank_transfer", "card_payment", "cash_withdrawal", "top_up", "direct_debit_payment"),
    *("exchange_rate", "virtual_card", "pin", "refund", "beneficiary"),
)


def classification_report() -> dict[str, Any]:
    """A tune job on examples/helpdesk, 12 labels: base zero-shot and 12-shot, tuned, served; 87 steps."""
    return deepcopy(_classification())


def many_labels_report() -> dict[str, Any]:
    """77 long labels, as in Banking77, on 10 rows each; 2,000 steps."""
    return deepcopy(_many_labels())


def text_report() -> dict[str, Any]:
    """An evaluate job on data-to-text with several references: base 4-shot and an adapter."""
    return deepcopy(_text())


@cache
def _classification() -> dict[str, Any]:
    with HELPDESK.open(encoding="utf-8", newline="") as file:
        rows = [(row["text"], row["label"]) for row in csv.DictReader(file)]
    return _labelled("helpdesk", rows, steps=87, seed=3)


@cache
def _many_labels() -> dict[str, Any]:
    labels = [f"{verb}_{thing}" for verb in _VERBS for thing in _THINGS]
    rows = [(f"Why does my account say {label.replace('_', ' ')}?", label) for label in labels for _ in range(10)]
    random.Random(1).shuffle(rows)
    return _labelled("banking77", rows, steps=2000, seed=4)


@cache
def _text() -> dict[str, Any]:
    rng = random.Random(5)
    names = ("Blue Spice", "The Punter", "Alimentum", "Loch Fyne", "Zizzi")
    places = ("near Crowne Plaza Hotel", "by the riverside", "in the city centre")
    examples, base, tuned = [], [], []
    for row in range(1, 61):
        name, place, rating = rng.choice(names), rng.choice(places), rng.randint(1, 5)
        examples.append(
            Example(
                (
                    Message(
                        "user", f"name[{name}], area[{place}], eatType[coffee shop], customer rating[{rating} out of 5]"
                    ),
                ),
                f"{name} is a coffee shop {place} with a customer rating of {rating} out of 5.",
                (f"The coffee shop {name}, {place}, is rated {rating} out of 5.",),
                row=f"test {row}",
            )
        )
        base.append(
            f"{name} is a restaurant. It is a coffee shop. Customers say that it is good. It has {rating} stars, and "
            f"many people like to visit it in the morning, as it is {place} and open all day long for everyone."
        )
        tuned.append(
            rng.choice(
                [
                    f"{name} is a coffee shop {place} with a customer rating of {rating} out of 5.",
                    f"{name} is a coffee shop {place}. It is rated {rating} out of 5.",
                    f"The {name} coffee shop {place} has a rating of {rng.randint(1, 5)} out of 5.",
                ]
            )
        )
    references = [(example.reply, *example.references) for example in examples]
    evidence = Evidence("e2e-v2 on e2e-nlg", _dataset("e2e-nlg", "generate", (), len(examples)), examples, seed=0)
    for who, answers, speed, nll in (
        (Who("base 4-shot", "models/smollm2", "torch bfloat16", tuned=False), base, 31.6, 1.53),
        (Who("adapters/e2e-v2", "adapters/e2e-v2", "torch bfloat16", tuned=True), tuned, 35.1, 0.62),
    ):
        likelihoods = [-30 * rng.gauss(nll, 0.2) for _ in examples]
        evidence.results.append(of_texts(who, answers, references, likelihoods, [30] * 60, _latency(1200.0, speed), 0))
    return build(evidence, "2026-03-02T09:14:03.221+00:00", "0.2.0")


def _labelled(name: str, rows: list[tuple[str, str]], steps: int, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    labels = sorted({label for _, label in rows})
    expected = [label for _, label in rows]
    regions = ["APAC" if rng.random() < 0.25 else rng.choice(["EMEA", "Americas"]) for _ in rows]
    examples = [
        Example((Message("user", text),), label, row=f"test {row}", columns={"region": region})
        for row, ((text, label), region) in enumerate(zip(rows, regions, strict=True), 1)
    ]
    evidence = Evidence(
        f"smollm2 tuned on {name}",
        _dataset(name, "classify", labels, len(rows)),
        examples,
        seed,
        choices=[
            {
                "what": "worked examples",
                "value": "12",
                "split": "96 training rows held out",
                "why": "the best of 4: 0.198, 8: 0.219, 12: 0.240",
            }
        ],
    )
    torch, served = "torch bfloat16", "onnxruntime int8"
    for who, right, unlabelled, likelihoods in (
        (Who("base zero-shot", "models/smollm2", torch, tuned=False), 0.1, 0.3, 0.8),
        (Who("base 12-shot", "models/smollm2", torch, tuned=False), 0.2, 0.02, 1.0),
        (Who("tuned", f"adapters/{name}", torch, tuned=True), 0.93, 0.0, 4.4),
        (Who("tuned, served", f"exports/{name}-int8", served, tuned=True), 0.92, 0.0, None),
    ):
        # Customers of one region write otherwise than the training rows do.
        chances = [right - 0.3 * (who.tuned and region == "APAC") for region in regions]
        answers = _answers(rng, expected, labels, chances, unlabelled)
        latency = _latency(58.0 if who.runtime == served else 134.0, 149.0 if who.runtime == served else 65.0)
        evidence.results.append(
            of_labels(who, expected, answers, labels, latency, seed).sliced(examples, ["region"], seed)
        )
        if likelihoods:
            table = [[rng.gauss(likelihoods * (label == truth) - 6.0, 1.0) for label in labels] for truth in expected]
            evidence.results.append(of_likelihoods(who, expected, table, labels, [4] * len(labels), seed))
    evidence.training = _training(rng, steps)
    evidence.forgetting = [
        _forgetting("the general-text probe", 2.913, 2.941, (0.011, 0.045), "about as likely as before"),
        _forgetting("datasets/hr-requests", 3.204, 3.651, (0.36, 0.53), "less likely than before"),
    ]
    return build(evidence, "2026-03-02T09:14:03.221+00:00", "0.2.0")


def _answers(
    rng: random.Random, expected: list[str], labels: list[str], right: list[float], unlabelled: float
) -> list[str]:
    """Answers right with the given chance; of the wrong ones most are one of four labels, some no label."""
    favourites = labels[:: len(labels) // 4]
    return [
        label
        if rng.random() < chance
        else "I am sorry to hear that. You can restart the device, and then contact support."
        if rng.random() < unlabelled
        else rng.choice(favourites if rng.random() < 0.7 else labels)
        for label, chance in zip(expected, right, strict=True)
    ]


def _latency(median_ms: float, tokens_per_s: float) -> Latency:
    return Latency(median_ms * 1.04, median_ms, median_ms * 1.56, tokens_per_s)


def _dataset(name: str, task: str, labels: Any, rows: int) -> dict[str, Any]:
    return {
        "name": f"datasets/{name}",
        "digest": "3f9a61d2c07b" * 5 + "91ce",
        "task": task,
        "template": "templates/classify" if labels else "templates/data-to-text",
        "labels": list(labels),
        "train_rows": 4 * rows,
        "test_rows": rows,
        "rows_asked": rows,
        "row_choice": "all test rows",
    }


def _training(rng: random.Random, steps: int) -> dict[str, Any]:
    curve = []
    for step in range(1, steps + 1):
        loss = 0.06 + 3.3 * math.exp(-7 * step / steps)
        curve.append(
            {
                "step": step,
                "loss": loss * rng.lognormvariate(0.0, 0.25),
                "learning_rate": 2e-4 * min(1.0, 20 * step / steps) * (1 - step / (steps + 1)),
                "validation_loss": loss + 0.11 if step % max(1, steps // 10) == 0 or step == steps else None,
            }
        )
    summary = {
        "steps": steps,
        "tokens": 58512,
        "seconds": 77.4,
        "tokens_per_s": 756.2,
        "peak_rss_bytes": 4_402_341_478,
        "trainable_parameters": 4_884_480,
        "final_loss": sum(step["loss"] for step in curve[-29:]) / 29,
        "validation_loss": curve[-1]["validation_loss"],
    }
    return {
        "steps": curve,
        "summary": summary,
        "augmented_rows": {"typos": 48, "word_dropout": 24},
        "replayed_rows": {"datasets/spring": 30},
    }


def _forgetting(source: str, before: float, after: float, ends: tuple[float, float], finding: str) -> Forgetting:
    sentence = f"On {source}, tuned finds the text {finding}: {after:.3f} nats a token against {before:.3f}."
    return Forgetting(source, "tuned", 24, 24, 2210, before, after, after - before, *ends, sentence)

"""Data and evaluation beside their peers, in one run: `python benchmarks/data.py [--quick] [--json FILE]`.

- A generated CSV of 1,000,000 rows (100,000 with --quick): upload, parsing, duplicates, leakage, lengths and split by
  the daemon, against `datasets.load_dataset("csv")` and one batched `map` with the same tokenizer.
- Rendering and tokenising of its rows, against the bare `tokenizers` batch encoder on the rendered text.
- The search for near duplicates in 100,000 rows.
- BLEU, chrF, ROUGE-L and F1, against sacrebleu, rouge_score and scikit-learn, on ../shared/data where it is there.
- The evaluation of Banking77's test messages by a tuned model in onnxruntime, greedy (600 of them with --quick).

Memory is the largest sum of the resident sets of a process and its children, sampled every 50 ms.
"""

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import family, machine, measured

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "data"
sys.path.insert(0, str(ROOT / "examples"))

PEER = """
import sys, datasets, transformers
tokenizer = transformers.AutoTokenizer.from_pretrained(sys.argv[1])
rows = datasets.load_dataset("csv", data_files=sys.argv[2], cache_dir=sys.argv[3])["train"]
rows.map(lambda batch: tokenizer(batch["text"]), batched=True)
"""
WORDS = """the my card account transfer payment was is not yet when will how can I do to of a refund limit fee charged
twice app pin new lost abroad exchange rate cash machine top up cheque bank why did you decline help please still
waiting""".split()  # noqa: SIM905 - a list of fifty strings is no easier to read
LABELS = [f"label_{number}" for number in range(77)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rows; ends within five minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    arguments = parser.parse_args()
    from demo import model_file, running_daemon

    packages = ("torch", "onnxruntime", "tokenizers", "transformers", "datasets", "rensa")
    figures = {"machine": machine(*packages), "quick": arguments.quick}
    print(figures["machine"], flush=True)
    with tempfile.TemporaryDirectory(prefix="hb-") as scratch, running_daemon(Path(scratch)) as client:
        client.wait_job(client.upload_model("smollm2", str(model_file())).name)
        folder = Path(scratch)
        model = next((folder / "state" / "models").iterdir())
        rows = 100_000 if arguments.quick else 1_000_000
        table = folder / "rows.csv"
        texts = generate(table, rows)
        figures["ingest"] = ingest(client, table, model, folder, rows)
        figures["tokenize"] = tokenize(model, texts[:20_000])
        figures["near_duplicates"] = near_duplicates(texts[:100_000])
        if SHARED.is_dir():
            figures["references"] = references()
            figures["evaluation"] = evaluation(client, 600 if arguments.quick else None)
        else:
            print(f"no {SHARED}: metrics and evaluation are left out")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def generate(table: Path, rows: int) -> list[str]:
    """Writes a CSV of texts and labels, about 100 bytes a row, and returns its texts."""
    draw = random.Random(0)
    texts = [f"{' '.join(draw.choices(WORDS, k=draw.randint(10, 24)))} {number}" for number in range(rows)]
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        writer.writerows((text, draw.choice(LABELS)) for text in texts)
    return texts


def ingest(client, table: Path, model: Path, folder: Path, rows: int) -> dict:
    size = table.stat().st_size
    with measured(daemon_pid(folder)) as ours:
        dataset = client.upload_dataset("rows", table, text_column="text", label_column="label", model="smollm2")
    assert dataset.report.rows == rows
    peer = subprocess.Popen(
        [sys.executable, "-c", PEER, str(model), str(table), str(folder / "cache")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"},
    )
    with measured(peer.pid) as theirs:
        assert peer.wait() == 0, "the peer failed"
    print(
        f"ingest of {rows:,} rows ({size / 1e6:.0f} MB): {ours.seconds:.1f} s, {ours.bytes / 1e6:.0f} MB; datasets "
        f"with one map {theirs.seconds:.1f} s, {theirs.bytes / 1e6:.0f} MB; time {ours.seconds / theirs.seconds:.2f}x, "
        f"memory {ours.bytes / theirs.bytes:.2f}x",
        flush=True,
    )
    return {
        "rows": rows,
        "table_bytes": size,
        "honed": vars(ours),
        "datasets": vars(theirs),
        "time_ratio": ours.seconds / theirs.seconds,
        "memory_ratio": ours.bytes / theirs.bytes,
    }


def daemon_pid(folder: Path) -> int:
    """The daemon that `running_daemon` started, among our own children."""
    for pid in family(os.getpid())[1:]:
        if str(folder / "state") in Path(f"/proc/{pid}/cmdline").read_text():
            return pid
    raise SystemExit("the daemon is gone")


def tokenize(model: Path, texts: list[str]) -> dict:
    """Rows a second, the best of five turns of each, taken in turns."""
    from honed.data import Example, Message, Renderer

    renderer = Renderer.load(model)
    draw = random.Random(1)
    system = Message("system", "Classify the message.")
    examples = [Example((system, Message("user", text)), draw.choice(LABELS)) for text in texts]
    rendered = [
        renderer.template.render((*example.messages, Message("assistant", example.reply)), add_generation_prompt=False)
        for example in examples
    ]
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(5):
        began = time.monotonic()
        renderer.examples(examples)
        ours.append(time.monotonic() - began)
        began = time.monotonic()
        _ = [encoding.ids for encoding in renderer.tokenizer.encode_batch(rendered, add_special_tokens=False)]
        bare.append(time.monotonic() - began)
    rows_per_s, bare_rows_per_s = len(texts) / min(ours), len(texts) / min(bare)
    print(
        f"rendering, tokenising and masking: {rows_per_s:,.0f} rows/s; tokenizers' encode_batch on rendered text "
        f"{bare_rows_per_s:,.0f} rows/s; {rows_per_s / bare_rows_per_s:.2f}x",
        flush=True,
    )
    return {"rows_per_s": rows_per_s, "bare_rows_per_s": bare_rows_per_s, "ratio": rows_per_s / bare_rows_per_s}


def near_duplicates(texts: list[str]) -> dict:
    from honed.data.near_duplicates import NearDuplicates

    began = time.monotonic()
    search = NearDuplicates()
    for start in range(0, len(texts), 2000):
        search.add(texts[start : start + 2000])
    pairs = search.pairs()
    seconds = time.monotonic() - began
    print(f"near duplicates in {len(texts):,} rows: {seconds:.1f} s, {len(pairs):,} found", flush=True)
    return {"rows": len(texts), "seconds": seconds, "found": len(pairs)}


def references() -> dict:
    """The largest difference between our metrics and the libraries that define them."""
    import sacrebleu
    from honed.evaluate.classification import classify
    from honed.evaluate.text_scores import score_texts
    from rouge_score.rouge_scorer import RougeScorer
    from sklearn.metrics import f1_score

    grouped: dict[str, list[str]] = {}
    for row in csv.DictReader((SHARED / "e2e_nlg" / "test_with_refs.csv").open(encoding="utf-8", newline="")):
        grouped.setdefault(row["mr"], []).append(row["ref"])
    draw = random.Random(0)
    expected = list(grouped.values())
    answers = [
        draw.choice(expected[place - draw.randint(0, 1)]) for place in range(len(expected))
    ]  # half are another's
    ours = {metric.name: metric.value for metric in score_texts(answers, expected, 0).metrics}
    deepest = max(map(len, expected))
    streams = [[each[at] if at < len(each) else None for each in expected] for at in range(deepest)]
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    rouge = [
        scorer.score_multi(each, answer)["rougeL"].fmeasure for each, answer in zip(expected, answers, strict=True)
    ]
    truth = [
        row["category"]
        for row in csv.DictReader((SHARED / "banking77" / "test.csv").open(encoding="utf-8", newline=""))
    ]
    labels = sorted(set(truth))
    guesses = [label if draw.random() < 0.8 else draw.choice(labels) for label in truth]
    found = {metric.name: metric.value for metric in classify(truth, guesses, labels, 0).metrics}
    differences = {
        "bleu": ours["bleu"] - sacrebleu.BLEU(force=True).corpus_score(answers, streams).score,
        "chrf": ours["chrf"] - sacrebleu.CHRF().corpus_score(answers, streams).score,
        "rouge_l": ours["rouge_l"] - sum(rouge) / len(rouge),
        "macro_f1": found["macro_f1"] - f1_score(truth, guesses, labels=labels, average="macro", zero_division=0),
    }
    worst = max(map(abs, differences.values()))
    print(f"BLEU, chrF, ROUGE-L, macro-F1 against their references: at most {worst:.1e} apart", flush=True)
    return differences


def evaluation(client, max_rows: int | None) -> dict:
    """A short tuning on Banking77, for replies of the usual length; then its test messages through onnxruntime."""
    from honed.v1.jobs_pb2 import TuneSpec

    banking = SHARED / "banking77"
    client.upload_dataset(
        "banking77",
        banking / "train.csv",
        test=banking / "test.csv",
        columns={"text": "text", "label": "category"},
        template="templates/classify",
    )
    spec = TuneSpec(model="smollm2", dataset="banking77", adapter_id="b77", max_steps=60, skip_evaluation=True)
    client.wait_job(client.tune(spec).name)
    client.wait_job(client.export("b77", "adapters/b77").name)
    began = time.monotonic()
    job = client.wait_job(client.evaluate("exports/b77", "banking77", max_rows=max_rows).name)
    seconds = time.monotonic() - began
    (found,) = job.evaluations
    print(
        f"evaluation of {found.total:,} Banking77 messages, served: {seconds:.0f} s, accuracy {found.accuracy:.3f} "
        "after 60 steps",
        flush=True,
    )
    return {"rows": found.total, "seconds": seconds, "accuracy": found.accuracy}


if __name__ == "__main__":
    main()

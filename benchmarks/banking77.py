"""Banking77 in full, through the daemon: `python benchmarks/banking77.py [--epochs N] [--seed N] …`.

10,003 training and 3,080 test messages of bank customers with one of 77 intents (Casanueva et al. 2020, arXiv
2003.04807, whose table for the full training data is the yardstick). Tunes an adapter (QLoRA), exports it to ONNX int8,
and asks what is served for every test message, greedily. The test messages are used once, at the end.

May be interrupted at any time: the same command goes on from the last checkpoint, in the state folder that it keeps.
"""

import argparse
import hashlib
import json
import shlex
import sys
from pathlib import Path

import stock
from measure import machine

YARDSTICK = "BERT-tuned, about 0.937 on the full training data (Casanueva et al. 2020)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=float, default=3.0, help="default: 3")
    parser.add_argument("--max-steps", type=int, help="end after this many steps")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="default: 1e-3")
    parser.add_argument("--rank", type=int, default=16, help="default: 16")
    parser.add_argument("--batch-size", type=int, default=16, help="default: 16")
    parser.add_argument("--dropout", type=float, default=0.0, help="default: 0")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    parser.add_argument("--shared", type=Path, default=stock.SHARED, metavar="DIR", help="the folder with banking77/")
    parser.add_argument("--state", type=Path, default=stock.STATE.with_name("banking77"), metavar="DIR")
    arguments = parser.parse_args()
    banking = arguments.shared / "banking77"
    if not banking.is_dir():
        raise SystemExit(
            f"{banking} is not there; --shared names the folder that has banking77/train.csv and test.csv."
        )
    print(machine("torch", "transformers", "peft", "bitsandbytes", "onnxruntime"), flush=True)
    with stock.daemon(arguments.state) as client:
        data = stock.dataset(client, "banking77", banking / "train.csv", banking / "test.csv", "text", "category")
        figures = _run(client, data, arguments)
    figures["command"] = shlex.join(["python", *sys.argv])
    figures["machine"] = machine("torch", "onnxruntime")
    low, high = figures["interval"]
    print(
        f"accuracy {figures['accuracy']:.4f} (95 % interval {low:.4f} to {high:.4f}), {figures['correct']} of "
        f"{figures['total']} test messages, as served; macro-F1 {figures['macro_f1']:.4f}\n"
        f"tuning {figures['tuning_s']:.0f} s for {figures['steps']} steps, {figures['tokens_per_s']:.0f} tokens/s, "
        f"peak {figures['peak_rss_bytes'] / 2**30:.2f} GiB\n"
        f"yardstick: {YARDSTICK}\ncommand: {figures['command']}"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def _run(client, data, arguments: argparse.Namespace) -> dict:
    from honed.v1.jobs_pb2 import BASE_PRECISION_NF4, TuneSpec

    spec = TuneSpec(
        model=f"models/{stock.BASE}",
        dataset=data.name,
        base_precision=BASE_PRECISION_NF4,
        epochs=arguments.epochs,
        max_steps=arguments.max_steps,
        learning_rate=arguments.learning_rate,
        rank=arguments.rank,
        batch_size=arguments.batch_size,
        dropout=arguments.dropout,
        seed=arguments.seed,
        skip_evaluation=True,
    )
    spec.adapter_id = "b77-" + hashlib.sha256(spec.SerializeToString(deterministic=True)).hexdigest()[:12]
    if all(each.name != f"adapters/{spec.adapter_id}" for each in client.list_adapters()):
        _finish(client, spec.adapter_id, lambda: client.tune(spec))
    if all(each.name != f"exports/{spec.adapter_id}" for each in client.list_exports()):
        _finish(client, spec.adapter_id, lambda: client.export(spec.adapter_id, f"adapters/{spec.adapter_id}"))
    job = client.wait_job(client.evaluate(f"exports/{spec.adapter_id}", data.name).name)
    training = client.get_adapter(spec.adapter_id).training
    (found,) = job.evaluations
    metrics = {metric.name: metric for metric in found.metrics}
    accuracy = metrics["accuracy"]
    return {
        "accuracy": accuracy.value,
        "interval": (accuracy.low, accuracy.high),
        "macro_f1": metrics["macro_f1"].value,
        "correct": found.correct,
        "total": found.total,
        "tuning_s": training.duration.ToMilliseconds() / 1000,
        "steps": training.steps,
        "tokens": training.tokens,
        "tokens_per_s": training.tokens_per_s,
        "peak_rss_bytes": training.peak_rss_bytes,
        "yardstick": YARDSTICK,
    }


def _finish(client, made: str, start) -> None:
    """Waits for the job that makes this: one that an earlier run left, else a new one."""
    from honed.client.cli.progress import progress_view

    def makes(job) -> bool:
        return made in (job.tune.adapter_id, job.export.export_id)

    over = ("STATE_SUCCEEDED", "STATE_FAILED", "STATE_CANCELLED")
    left = [job for job in client.list_jobs() if makes(job) and job.State.Name(job.state) not in over]
    job = left[0] if left else start()
    if job.state == job.STATE_PAUSED:
        client.resume_job(job.name)
    with progress_view() as show:
        client.wait_job(job.name, on_event=show)


if __name__ == "__main__":
    main()

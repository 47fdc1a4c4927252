"""Tuning beside TRL's SFTTrainer, in one run: `python benchmarks/tune.py [--quick] [--long] [--json FILE]`.

Both sides tune the same base on the same token ids under the same loss mask, with the same rank, batch, epochs,
learning rate, schedule and compute dtype, each in a process of its own. Ours is the worker that the daemon starts for a
job; TRL's is benchmarks/tune_trl.py. Taken for a bfloat16 base (LoRA) and an NF4 one (QLoRA), in turns:

- tokens/s: real (unpadded) tokens by the wall clock between the ends of the third step and of the last.
- first step: from the start of the process to the end of its first step, all loading and compiling included.
- wall: from the start of the process to its end, the adapter saved. Of a side that was stopped early it is projected:
  the first step, and the tokens left at the steady rate.
- peak: the largest sum of the resident sets of the process and its children, sampled every 50 ms.
- accuracy on the test messages, greedy, both adapters through the same evaluation, and a paired randomisation test
  over the messages, each scored by its mean over the seeds.

Ratios are medians over the seeds. Data: banking77-12 of ../shared/data where that is there, else examples/helpdesk.
"""

import argparse
import asyncio
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import stock
from measure import cores, machine, measured

WARM_UP_STEPS = 3
QUICK_S = 60.0
SIDES = ("honed", "trl")
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "trl", "accelerate")
OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "TOKENIZERS_PARALLELISM": "true",
}


@dataclass(frozen=True)
class Trial:
    """What both sides are given; `stop_after_s` ends a side so long after its third step, None lets it finish."""

    model: Path
    data: Path
    rows: Sequence[Any]
    precision: str
    dtype: str
    seed: int
    stop_after_s: float | None
    trl_checkpointing: bool

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of a job, defaults filled in as the daemon does; all rows are trained on, by both sides."""
        from honed.daemon.rpc.specs import complete_tune
        from honed.v1.jobs_pb2 import BasePrecision, TuneSpec

        precision = BasePrecision.Value(f"BASE_PRECISION_{self.precision.upper()}")
        return complete_tune(
            TuneSpec(base_precision=precision, seed=self.seed, validation_fraction=0, skip_evaluation=True)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one seed, each side stopped after a minute; no accuracy")
    parser.add_argument(
        "--long", action="store_true", help="beside it the same on ten times the data, TRL stopped early"
    )
    parser.add_argument("--seeds", type=_numbers, default=(0, 1, 2), metavar="N,N,…", help="default: 0,1,2")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    parser.add_argument(
        "--shared", type=Path, metavar="DIR", help="the folder with banking77/; default: ../shared/data"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="stop each side S seconds after its third step")
    parser.add_argument("--trl-checkpointing", action="store_true", help="TRL with gradient checkpointing, its default")
    parser.add_argument("--model", type=Path, metavar="DIR", help="another imported base")
    parser.add_argument("--data", type=Path, metavar="DIR", help="another prepared data set")
    arguments = parser.parse_args()
    seconds = arguments.seconds or (QUICK_S if arguments.quick else None)
    seeds = arguments.seeds[:1] if arguments.quick else arguments.seeds

    name, model, data, longer = _prepare(arguments)
    dtype = _compute_dtype()
    figures = {"machine": machine(*PACKAGES), "dtype": dtype, "data": name, "quick": arguments.quick, "seeds": seeds}
    print(f"{figures['machine']}\n{name}, computing in {dtype} on both sides", flush=True)
    for precision in ("bf16", "nf4"):
        found = _compare(model, data, precision, dtype, seeds, dict.fromkeys(SIDES, seconds), arguments)
        if arguments.long:
            stop = {"honed": seconds, "trl": seconds or QUICK_S}
            found["long"] = _compare(model, longer, precision, dtype, seeds[:1], stop, arguments, "10 x ")
            cost = found["long"]["honed"]["tokens_per_s"] / found["honed"]["tokens_per_s"]
            found["long"]["speed_at_10x"] = cost
            print(f"tune {precision} honed at ten times the data: {cost:.3f} x the tokens/s", flush=True)
        figures[precision] = found
        if arguments.json:
            arguments.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def _prepare(arguments: argparse.Namespace) -> tuple[str, Path, Path, Path | None]:
    """What the data is called, the base's folder, the data set's, and that of its rows ten times over for --long."""
    if arguments.model and arguments.data:
        return str(arguments.data), arguments.model, arguments.data, arguments.data
    shared = arguments.shared or stock.SHARED
    with tempfile.TemporaryDirectory() as scratch, stock.daemon() as client:
        if shared.is_dir():
            name, columns = "banking77-12", ("text", "category")
            train, test = stock.banking77_12(shared, Path(scratch))
        elif arguments.shared:
            raise SystemExit(f"{shared} is not there; without --shared the example of the repository is taken.")
        else:
            name, columns = "helpdesk", ("text", "label")
            train, test = (stock.ROOT / "examples" / "helpdesk" / f"{split}.csv" for split in ("train", "test"))
        made = stock.dataset(client, name, train, test, *columns)
        longer = None
        if arguments.long:
            with train.open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            tenfold = stock.write_table(Path(scratch) / "tenfold.csv", rows * 10)
            longer = stock.dataset_folder(stock.dataset(client, f"{name}-x10", tenfold, test, *columns).digest)
    data = stock.dataset_folder(made.digest)
    return f"{name} ({made.train_rows} training, {made.test_rows} test rows)", stock.model_folder(), data, longer


def _compare(model, data, precision, dtype, seeds, stop, arguments, title="") -> dict[str, Any]:
    """Both sides for every seed, and their ratios."""
    from honed.data import Prepared, Renderer

    rows = Renderer.load(model).examples(Prepared.load(data).train)
    found: dict[str, Any] = {"runs": []}
    with tempfile.TemporaryDirectory(prefix="hb-") as scratch:
        adapters: dict[str, Path] = {}
        for seed in seeds:
            for side, run in (("honed", run_honed), ("trl", run_trl)):
                folder = Path(scratch) / f"{side}-{seed}"
                folder.mkdir()
                trial = Trial(model, data, rows, precision, dtype, seed, stop[side], arguments.trl_checkpointing)
                figure, adapters[f"{side} {seed}"] = run(trial, folder)
                found["runs"].append({"side": side, "seed": seed} | figure)
                print(f"tune {title}{precision} {side:5} seed {seed}  {_line(figure)}", flush=True)
        if not (any(stop.values()) or arguments.quick):
            found["accuracy"] = _accuracy(model, data, precision, adapters, Path(scratch))
            print(f"tune {title}{precision} {found['accuracy']['sentence']}", flush=True)
    for side in SIDES:
        own = [run for run in found["runs"] if run["side"] == side]
        names = ("tokens_per_s", "first_step_s", "wall_s", "peak_rss_bytes")
        found[side] = {name: median(run[name] for run in own) for name in names}
    found["ratio"] = _ratio(found["runs"], "tokens_per_s")
    found["wall_ratio"] = 1 / _ratio(found["runs"], "wall_s")
    found["rss_ratio"] = _ratio(found["runs"], "peak_rss_bytes")
    print(
        f"tune {title}{precision} ratio         {found['ratio']:8.2f} x tokens/s, wall {found['wall_ratio']:.2f} x "
        f"shorter, peak {found['rss_ratio']:.2f} x",
        flush=True,
    )
    return found


def run_honed(trial: Trial, folder: Path) -> tuple[dict[str, Any], Path]:
    """A job's worker, started as the daemon starts it."""
    from honed.worker.contract import OUTPUT_FOLDER, TuneWork, write_spec

    work = TuneWork(
        model=str(trial.model),
        dataset=str(trial.data),
        model_name="models/base",
        dataset_name="datasets/data",
        adapter_name="adapters/honed",
        evaluate=False,
        checkpoint_every_s=30,
        memory_bytes=None,
        **trial.settings,
    )
    write_spec(folder, work)
    return asyncio.run(_work(trial, folder)), folder / OUTPUT_FOLDER / "adapter"


async def _work(trial: Trial, folder: Path) -> dict[str, Any]:
    from honed.daemon import children
    from honed.worker.contract import EVENTS_FILE, STDERR_FILE, read_events

    started, read, asked = time.time(), 0, False
    steps: list[tuple[float, int]] = []
    log: list[str] = []
    finished = False
    process = await children.spawn("honed.worker", str(folder), stderr=folder / STDERR_FILE, threads=cores())
    with measured(process.pid) as peak:
        over = asyncio.create_task(process.wait())
        while not over.done():
            await asyncio.wait([over], timeout=0.1)
            for event, end in read_events(folder / EVENTS_FILE, read):
                read = end
                if event.kind == "progress" and "tokens" in event.data:
                    steps.append((datetime.fromisoformat(event.time).timestamp(), event.data["tokens"]))
                elif event.kind == "log":
                    log.append(event.data["text"])
                elif event.kind == "failure":
                    raise SystemExit(f"The job failed: {event.data['message']}")
                finished = finished or event.kind == "result"
            if not asked and _long_enough(steps, trial.stop_after_s):
                children.ask_to_end(process)
                asked = True
    if process.returncode or not steps:
        raise SystemExit(f"The worker {children.how_it_ended(process)}: {children.tail(folder / STDERR_FILE)}")
    return _figure(trial, started, steps, peak, finished) | {"log": log}


def run_trl(trial: Trial, folder: Path) -> tuple[dict[str, Any], Path]:
    """SFTTrainer in a process of its own; it reads the rows as token ids, so it has no tokenising to do."""
    rows, asked = folder / "rows.jsonl", folder / "trial.json"
    with rows.open("w", encoding="utf-8") as file:
        for row in trial.rows:
            mask = [0] * len(row.prompt) + [1] * len(row.reply)
            file.write(json.dumps({"input_ids": [*row.prompt, *row.reply], "completion_mask": mask}) + "\n")
    places = {"model": str(trial.model), "rows": str(rows), "output": str(folder / "adapter")}
    asked.write_text(
        json.dumps(
            trial.settings
            | places
            | {
                "dtype": trial.dtype,
                "gradient_checkpointing": trial.trl_checkpointing,
                "stop_after_s": trial.stop_after_s,
                "warm_up_steps": WARM_UP_STEPS,
            }
        ),
        "utf-8",
    )
    started = time.time()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("tune_trl.py")), str(asked), str(folder / "steps.json")],
            stdout=log,
            stderr=log,
            env=os.environ | OFFLINE | {"OMP_NUM_THREADS": str(cores()), "HF_HOME": str(folder / "hf")},
        )
    with measured(process.pid) as peak:
        status = process.wait()
    if status:
        raise SystemExit(f"TRL ended with status {status}: {(folder / 'log').read_text('utf-8')[-4000:]}")
    told = json.loads((folder / "steps.json").read_text("utf-8"))
    steps = [(moment, tokens) for moment, tokens in told["steps"]]
    return _figure(trial, started, steps, peak, len(steps) == told["total_steps"]), folder / "adapter"


def _long_enough(steps: Sequence[tuple[float, int]], stop_after_s: float | None) -> bool:
    if stop_after_s is None or len(steps) <= WARM_UP_STEPS:
        return False
    return steps[-1][0] - steps[WARM_UP_STEPS - 1][0] >= stop_after_s


def _figure(trial: Trial, started, steps, peak, finished) -> dict[str, Any]:
    """A side's figures, from the moments of its steps and the tokens up to each."""
    if len(steps) <= WARM_UP_STEPS:
        raise SystemExit(f"{len(steps)} steps: too few to leave {WARM_UP_STEPS} out and measure the rest.")
    (first, first_tokens), (warm, warm_tokens), (last, tokens) = steps[0], steps[WARM_UP_STEPS - 1], steps[-1]
    rate = (tokens - warm_tokens) / (last - warm)
    wall = peak.seconds
    if not finished:
        whole = trial.settings["epochs"] * sum(map(len, trial.rows))
        wall = first - started + (whole - first_tokens) / rate
    return {
        "tokens_per_s": rate,
        "first_step_s": first - started,
        "wall_s": wall,
        "projected": not finished,
        "peak_rss_bytes": peak.bytes,
        "steps": len(steps),
        "tokens": tokens,
    }


def _line(figure: dict[str, Any]) -> str:
    return (
        f"{figure['tokens_per_s']:8.0f} tokens/s, first step {figure['first_step_s']:.1f} s, wall "
        f"{figure['wall_s']:.0f} s{' (projected)' if figure['projected'] else ''}, "
        f"peak {figure['peak_rss_bytes'] / 2**30:.2f} GiB, {figure['steps']} steps"
    )


def _ratio(runs: Sequence[dict[str, Any]], name: str) -> float:
    """Ours over theirs, the median over the seeds."""
    by_side = {side: {run["seed"]: run[name] for run in runs if run["side"] == side} for side in SIDES}
    return median(by_side["honed"][seed] / by_side["trl"][seed] for seed in by_side["honed"])


def _accuracy(model: Path, data: Path, precision: str, adapters: dict[str, Path], scratch: Path) -> dict[str, Any]:
    """Accuracy of every adapter, and whether one side's are better: rows scored by their mean over the seeds."""
    from dataclasses import asdict

    from honed.evaluate.comparison import compare_scores

    asked = {
        "model": str(model),
        "data": str(data),
        "precision": precision,
        "adapters": {name: str(folder) for name, folder in adapters.items()},
        "scratch": str(scratch),
    }
    command = [sys.executable, str(Path(__file__).with_name("tune_accuracy.py")), json.dumps(asked)]
    found = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | OFFLINE)
    if found.returncode:
        raise SystemExit(f"The adapters could not be asked: {found.stderr[-4000:]}")
    right = json.loads(found.stdout.splitlines()[-1])
    scores = {}
    for side in SIDES:
        own = [row for name, row in right.items() if name.startswith(side)]
        scores[side] = [sum(each) / len(own) for each in zip(*own, strict=True)]
    comparison = compare_scores("accuracy", "TRL", "honed", scores["trl"], scores["honed"], seed=0)
    return {name: sum(row) / len(row) for name, row in right.items()} | asdict(comparison)


def _compute_dtype() -> str:
    """What honed computes in here; asked of a process of its own, so that this one never loads torch."""
    code = "from honed.tune import base; print(base.name(base.compute_dtype()))"
    return subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


if __name__ == "__main__":
    main()

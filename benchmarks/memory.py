"""The expected peak of a tuning beside the measured one, for six settings.

    python benchmarks/memory.py [--json FILE]

The estimate is made as a job makes it, before anything is loaded; then the base is loaded, quantised and trained for
three steps of two micro-batches each, on rows of random tokens, and the highest resident set of the process is read.
Aim: within 15 %.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
from pathlib import Path

from honed.daemon import children
from measure import cores, machine
from stock import daemon, model_folder

# Tokens a row, tokens at once, layers computed again, method, rank, optimiser.
SETTINGS = (
    (48, 512, False, "lora", 16, "adamw"),
    (48, 256, False, "lora", 64, "adamw"),
    (256, 1024, False, "lora", 16, "adamw"),
    (512, 512, True, "lora", 16, "adamw"),
    (128, 512, False, "full", 16, "adamw"),
    (128, 512, False, "full", 16, "adamw_8bit"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(_measure(*json.loads(arguments.one))))
        return
    print(machine("torch", "transformers", "peft", "bitsandbytes"), flush=True)
    with daemon():
        folder = model_folder()
    print("| row tokens | at once | layers again | method | optimiser | expected | measured | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    found = []
    for setting in SETTINGS:
        command = [sys.executable, __file__, "--one", json.dumps([str(folder), *setting])]
        as_a_worker = children.environment(cores())
        done = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=as_a_worker
        )
        figures = json.loads(done.stdout.splitlines()[-1])
        found.append({"setting": setting} | figures)
        length, at_once, again, method, rank, optimizer = setting
        expected, measured = figures["expected_bytes"], figures["measured_bytes"]
        print(
            f"| {length} | {at_once} | {'yes' if again else 'no'} | {method} {rank if method == 'lora' else ''} | "
            f"{optimizer} | {expected / 2**30:.2f} GiB | {measured / 2**30:.2f} GiB | {expected / measured:.2f} |",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1), "utf-8")


def _measure(folder, length, at_once, again, method, rank, optimizer):
    from honed.data import TokenizedExample
    from honed.tune import base, memory, methods
    from honed.tune.loop import LoopSettings, run

    draw = random.Random(0)
    ids = [[draw.randrange(10, 40_000) for _ in range(length)] for _ in range(2 * max(1, at_once // length))]
    rows = [TokenizedExample(tuple(row[:-4]), tuple(row[-4:])) for row in ids]
    settings = LoopSettings(
        1e-4,
        3,
        3,
        len(rows),
        0,
        1,
        0,
        0,
        micro_batch_tokens=at_once,
        gradient_checkpointing=again,
        optimizer=optimizer,
    )
    there = memory.room(None)
    how = methods.Settings(method, rank, 2.0 * rank)
    dtype = base.compute_dtype()
    sketch = memory.sketch(Path(folder), dtype, how)
    batch = memory.longest_batch(rows, settings, share=True)
    expected = memory.needed_bytes(sketch, batch, settings, there.process_bytes)
    del sketch
    model = base.load_to_tune(Path(folder), dtype)
    base.quantize_linears(model, "bf16" if method == "full" else "nf4", keep_dequantized=True)
    list(run(methods.attach(model, how), rows, [], settings))
    return {
        "expected_bytes": expected,
        "measured_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


if __name__ == "__main__":
    main()

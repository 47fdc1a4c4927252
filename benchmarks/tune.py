"""Training speed and memory beside transformers' Trainer with PEFT: same model, data, rank, batch, precision, steps.

Each side runs in a process of its own, so that its peak memory is its own; ours goes through the code that jobs run.
Prints real (unpadded) tokens per second in steady state, the first steps left out, and the ratio.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

WARM_UP_STEPS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="an imported model folder")
    parser.add_argument("--data", type=Path, required=True, help="a prepared data set folder")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--side", choices=["honed", "trainer"])
    parser.add_argument("--precision", choices=["nf4", "bf16"], default="nf4")
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(_measure(arguments)))
        return
    for precision in ("bf16", "nf4"):
        figures = {
            side: json.loads(
                subprocess.run(
                    [
                        *(sys.executable, __file__, "--model", str(arguments.model), "--data", str(arguments.data)),
                        *("--steps", str(arguments.steps), "--side", side, "--precision", precision),
                    ],
                    check=True,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                ).stdout.splitlines()[-1]
            )
            for side in ("honed", "trainer")
        }
        for side, figure in figures.items():
            print(
                f"tune {precision} {side:8} {figure['tokens_per_s']:7.0f} tokens/s   "
                f"peak {figure['peak_rss_bytes'] / 2**30:.2f} GiB"
            )
        ours, theirs = figures["honed"], figures["trainer"]
        print(
            f"tune {precision} ratio    {ours['tokens_per_s'] / theirs['tokens_per_s']:7.2f} x          "
            f"peak {ours['peak_rss_bytes'] / theirs['peak_rss_bytes']:.2f} x"
        )


def _measure(arguments: argparse.Namespace) -> dict[str, float]:
    from honed.data import Prepared, Renderer

    renderer = Renderer.load(arguments.model)
    rows = [renderer.example(example) for example in Prepared.load(arguments.data).train]
    run = _honed if arguments.side == "honed" else _trainer
    tokens_per_s = run(arguments.model, rows, arguments.precision, arguments.steps)
    return {
        "tokens_per_s": tokens_per_s,
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def _honed(model_folder, rows, precision, steps):
    from honed.tune import base, methods
    from honed.tune.loop import LoopSettings, run

    model = base.load_to_tune(model_folder, base.compute_dtype())
    base.quantize_linears(model, precision, keep_dequantized=base.has_room_for_dequantized())
    adapted = methods.attach(model, methods.Settings("lora", rank=16, alpha=32.0))
    settings = LoopSettings(1e-3, 1000, steps, 16, 0.06, 1.0, 0.0, 0)
    reports = list(run(adapted, rows, [], settings))
    first, last = reports[WARM_UP_STEPS - 1], reports[-1]
    return (last.tokens - first.tokens) / (last.seconds - first.seconds)


def _trainer(model_folder, rows, precision, steps):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        BitsAndBytesConfig,
        DataCollatorForSeq2Seq,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    quantization = None
    if precision == "nf4":
        quantization = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    model = AutoModelForCausalLM.from_pretrained(
        model_folder, dtype=torch.bfloat16, quantization_config=quantization, device_map="cpu"
    )
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM"))
    moments: list[float] = []
    seen: list[int] = []
    collate = DataCollatorForSeq2Seq(AutoTokenizer.from_pretrained(model_folder))

    class Clock(TrainerCallback):
        def on_step_end(self, *_args, **_kwargs):
            moments.append(time.monotonic())

    def counted(features):
        batch = collate(features)
        seen.append(int(batch["attention_mask"].sum()))
        return batch

    examples = [
        {
            "input_ids": list(row.prompt + row.reply),
            "labels": [-100] * len(row.prompt) + list(row.reply),
            "attention_mask": [1] * len(row),
        }
        for row in rows
    ]
    settings = TrainingArguments(
        output_dir="build/bench-trainer",
        max_steps=steps,
        per_device_train_batch_size=16,
        learning_rate=1e-3,
        bf16=True,
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        seed=0,
    )
    Trainer(model=model, args=settings, train_dataset=examples, data_collator=counted, callbacks=[Clock()]).train()
    return sum(seen[WARM_UP_STEPS:steps]) / (moments[steps - 1] - moments[WARM_UP_STEPS - 1])


if __name__ == "__main__":
    main()

"""Tuning on a GPU beside TRL with Liger's kernels: `python benchmarks/gpu.py [--sizes 1b,7b] [--lengths 512,2048]`.

Llama-shaped models of random weights, in NF4 with double quantisation, are built layer by layer in packed form, so that
no more than one layer is ever there in bfloat16. Each side tunes rank-16 adapters on all linear layers of the same
model, on rows of random ids of one length, all under the loss, in a process of its own.

- tokens/s: between the ends of the third step and of the last.
- peak: torch.cuda.max_memory_allocated over the tuning, weights included.
- MFU: FLOP a token, times tokens/s, over the device's dense bfloat16 peak. With P frozen weights that are multiplied
  with (embeddings are not, the head is), A adapter weights, L layers, T tokens a row, and D the heads' common width:

      FLOP a token = 4 P + 6 A + 6 L T D

  2 P forward and 2 P for the gradient of the activations: frozen weights need none of their own; adapters do. Attention
  is that of a causal mask, half the square. What gradient checkpointing computes twice counts once.

Exits with 2 where there is no CUDA device. --tiny-cpu runs the same code on a tiny model on the CPU, without Liger.
"""

import argparse
import json
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import machine

WARM_UP_STEPS = 3
RANK = 16
VOCABULARY = 32_000
SIDES = ("honed", "trl")
SIZES: dict[str, dict[str, int]] = {
    "1b": {"hidden_size": 2048, "num_hidden_layers": 16, "num_key_value_heads": 8, "intermediate_size": 8192},
    "7b": {"hidden_size": 4096, "num_hidden_layers": 32, "num_key_value_heads": 32, "intermediate_size": 11008},
    "tiny": {"hidden_size": 128, "num_hidden_layers": 2, "num_key_value_heads": 8, "intermediate_size": 256},
}
HEADS = 32
# Dense bfloat16 TFLOP/s of the maker's data sheets; the first entry whose words are all in the device's name counts.
PEAK_TFLOPS = {
    "H100 PCIe": 756.0,
    "H100 NVL": 835.0,
    "H100": 989.0,
    "H200": 989.0,
    "GH200": 989.0,
    "B200": 2250.0,
    "A100": 312.0,
    "L40S": 362.0,
    "L40": 181.0,
    "L4": 121.0,
    "RTX 4090": 165.0,
    "RTX 3090": 71.0,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1b,7b", help="of 1b, 7b; default: both")
    parser.add_argument("--lengths", default="512,2048", help="tokens a row; default: 512,2048")
    parser.add_argument("--steps", type=int, default=20, help="default: 20, the first 3 are left out")
    parser.add_argument("--batch-tokens", type=int, default=8192, help="tokens a step; default: 8192")
    parser.add_argument("--checkpointing", action="store_true", help="gradient checkpointing, on both sides")
    parser.add_argument("--peak-tflops", type=float, help="of a device that the table does not know")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    parser.add_argument("--tiny-cpu", action="store_true", help="try the code out on the CPU")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(json.dumps(_measure(arguments)))
        return 0
    import torch

    if not (torch.cuda.is_available() or arguments.tiny_cpu):
        print("There is no CUDA device here. --tiny-cpu tries the code out on the CPU.", file=sys.stderr)
        return 2
    device = "CPU" if arguments.tiny_cpu else torch.cuda.get_device_name()
    words = set(re.split(r"\W+", device))
    known = next((peak for name, peak in PEAK_TFLOPS.items() if words.issuperset(name.split())), None)
    peak_tflops = arguments.peak_tflops or known
    sizes, lengths = arguments.sizes.split(","), [int(length) for length in arguments.lengths.split(",")]
    if arguments.tiny_cpu:
        sizes, lengths, arguments.batch_tokens = ["tiny"], [32, 64], 128
    figures: dict[str, Any] = {
        "machine": machine("torch", "transformers", "peft", "bitsandbytes", "trl"),
        "device": device,
        "peak_tflops": peak_tflops,
        "runs": [],
    }
    print(f"{figures['machine']}\n{device}, peak {peak_tflops or 'not known'} TFLOP/s", flush=True)
    for size in sizes:
        for length in lengths:
            _compare(size, length, arguments, peak_tflops, figures["runs"])
            if arguments.json:
                arguments.json.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")
    return 0


def _compare(size: str, length: int, arguments, peak_tflops: float | None, runs: list[dict[str, Any]]) -> None:
    speeds: dict[str, float] = {}
    for side in SIDES:
        command = [sys.executable, __file__, "--side", side, "--sizes", size, "--lengths", str(length)]
        command += ["--steps", str(arguments.steps), "--batch-tokens", str(arguments.batch_tokens)]
        command += ["--checkpointing"] * arguments.checkpointing + ["--tiny-cpu"] * arguments.tiny_cpu
        offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | offline, check=False)
        run: dict[str, Any] = {"side": side, "size": size, "length": length}
        title = f"gpu {size:4} {length:5} {side:5}"
        if done.returncode:
            memory = "out of memory" in done.stderr
            run["error"] = "out of memory" if memory else done.stderr[-2000:]
            print(f"{title}  {run['error']}", flush=True)
        else:
            run |= json.loads(done.stdout.splitlines()[-1])
            run["mfu"] = run["flop_per_token"] * run["tokens_per_s"] / (peak_tflops * 1e12) if peak_tflops else None
            mfu = "not known" if run["mfu"] is None else f"{run['mfu']:.1%}"
            speeds[side] = run["tokens_per_s"]
            print(
                f"{title} {run['tokens_per_s']:9.0f} tokens/s   peak {run['peak_bytes'] / 2**30:6.2f} GiB   MFU {mfu}",
                flush=True,
            )
        runs.append(run)
    if len(speeds) == len(SIDES):
        print(f"gpu {size:4} {length:5} ratio {speeds['honed'] / speeds['trl']:8.2f} x", flush=True)


def _measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """One side, in this process."""
    import torch

    size, length = arguments.sizes, int(arguments.lengths)
    cuda = not arguments.tiny_cpu
    model = _build(SIZES[size], length, "cuda" if cuda else "cpu")
    linears = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)]
    frozen = sum(layer.in_features * layer.out_features for layer in linears)
    batch = max(1, arguments.batch_tokens // length)
    draw = random.Random(0)
    rows = [[draw.randrange(VOCABULARY) for _ in range(length)] for _ in range(batch * arguments.steps)]
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    tune = _honed if arguments.side == "honed" else _trl
    moments = tune(model, rows, batch, arguments)
    adapters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    config = model.config
    attention = config.num_hidden_layers * length * config.num_attention_heads * config.head_dim
    steps = len(moments) - WARM_UP_STEPS
    return {
        "tokens_per_s": steps * batch * length / (moments[-1] - moments[WARM_UP_STEPS - 1]),
        "peak_bytes": torch.cuda.max_memory_allocated()
        if cuda
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "flop_per_token": 4 * frozen + 6 * adapters + 6 * attention,
        "frozen_parameters": frozen,
        "adapter_parameters": adapters,
        "rows_per_step": batch,
        "steps": len(moments),
    }


def _honed(model: Any, rows: Sequence[list[int]], batch: int, arguments: argparse.Namespace) -> list[float]:
    """The moments at which the steps ended. All that this script knows of honed's loop."""
    from honed.data import TokenizedExample
    from honed.tune import attention, memory, methods
    from honed.tune.loop import LoopSettings, run

    model.set_attn_implementation(attention.NAME)
    adapted = methods.attach(model, methods.Settings("lora", RANK, alpha=2.0 * RANK))
    settings = LoopSettings(
        learning_rate=1e-4,
        epochs=1.0,
        max_steps=None,
        batch_size=batch,
        warmup_fraction=0.06,
        max_gradient_norm=1.0,
        weight_decay=0.0,
        seed=0,
        micro_batch_tokens=memory.default_tokens(),
        gradient_checkpointing=arguments.checkpointing,
    )
    examples = [TokenizedExample(tuple(row[:1]), tuple(row[1:])) for row in rows]
    return [time.monotonic() for _ in run(adapted, examples, [], settings)]


def _trl(model: Any, rows: Sequence[list[int]], batch: int, arguments: argparse.Namespace) -> list[float]:
    """The moments at which the steps ended."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    cuda = not arguments.tiny_cpu
    moments: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *_arguments, **_named):
            moments.append(time.monotonic())

    words = Tokenizer(models.WordLevel({"<pad>": 0, "</s>": 1}, unk_token="<pad>"))
    examples = [{"input_ids": row, "completion_mask": [0] + [1] * (len(row) - 1)} for row in rows]
    model.is_loaded_in_4bit = True  # as from_pretrained marks it: PEFT and TRL take their paths for quantised bases
    with tempfile.TemporaryDirectory() as scratch:
        settings = SFTConfig(
            output_dir=scratch,
            num_train_epochs=1,
            per_device_train_batch_size=batch,
            learning_rate=1e-4,
            lr_scheduler_type="cosine",
            warmup_steps=0.06,
            max_grad_norm=1.0,
            gradient_checkpointing=arguments.checkpointing,
            completion_only_loss=True,
            max_length=None,
            bf16=model.dtype == torch.bfloat16,
            use_cpu=not cuda,
            use_liger_kernel=cuda,
            dataloader_pin_memory=cuda,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        )
        SFTTrainer(
            model=model,
            args=settings,
            train_dataset=Dataset.from_list(examples),
            processing_class=PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", eos_token="</s>"),
            peft_config=LoraConfig(
                r=RANK, lora_alpha=2 * RANK, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
            ),
            callbacks=[Clock()],
        ).train()
    return moments


def _build(size: dict[str, int], length: int, device: str) -> Any:
    """A Llama of random weights on a device, its linear layers in NF4, the head and all else in the compute dtype."""
    import torch
    from bitsandbytes.nn.modules import Linear4bit, Params4bit
    from honed.tune import base
    from torch import nn
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(
        **size,
        num_attention_heads=HEADS,
        vocab_size=VOCABULARY,
        max_position_embeddings=length,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=1,
        tie_word_embeddings=False,
    )
    dtype = base.compute_dtype()
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    torch.manual_seed(0)

    def drawn(shape, kind):
        return torch.empty(shape, dtype=kind, device=device).normal_(0, 0.02)

    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and module is not model.lm_head:
            packed = Linear4bit(
                module.in_features,
                module.out_features,
                bias=False,
                compute_dtype=dtype,
                quant_type="nf4",
                compress_statistics=True,
                device="meta",
            )
            weight = drawn(module.weight.shape, torch.bfloat16)
            packed.weight = Params4bit(weight, requires_grad=False, quant_type="nf4", compress_statistics=True)
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, packed.to(device))
        elif isinstance(module, nn.Linear | nn.Embedding):
            module.weight = nn.Parameter(drawn(module.weight.shape, dtype))
        elif isinstance(getattr(module, "weight", None), nn.Parameter):
            module.weight = nn.Parameter(torch.ones(module.weight.shape, dtype=dtype, device=device))
    model.model.rotary_emb = type(model.model.rotary_emb)(config).to(device)
    left = [name for name, each in (*model.named_parameters(), *model.named_buffers()) if each.is_meta]
    assert not left, left
    return model.eval().requires_grad_(False)


if __name__ == "__main__":
    sys.exit(main())

"""Decode speed of one stream beside onnxruntime-genai's Generator: same weights, same format (int8), same prompt.

Ours goes the whole way, client to daemon to engine and back; the peer runs in this process. Prints tokens per second
from the first token on, the median of several runs, and the ratio. The bare graph's speed shows what the way costs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

PROMPT = "<|im_start|>user\nTell me a long story about a fox who opens a bakery.<|im_end|>\n<|im_start|>assistant\n"
TOKENS = 200
RUNS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="an imported model folder, for the peer's graph")
    parser.add_argument("--export", required=True, help="name of the served export of the same model")
    arguments = parser.parse_args()
    threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "graph"
        subprocess.run(
            [
                *(sys.executable, "-m", "onnxruntime_genai.models.builder", "--input", str(arguments.model)),
                *("--output", str(folder), "--precision", "int8", "--execution_provider", "cpu"),
                *("--cache_dir", scratch, "--extra_options", "accuracy_level=4", "prune_lm_head=true"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        (folder / "config.json").write_bytes((arguments.model / "config.json").read_bytes())
        # One after the other, turn by turn: the machine's drift hits all alike.
        sides = {"honed (gRPC)": _honed(arguments.export), "bare graph": _bare(folder, arguments.model, threads)}
        sides["genai"] = _genai(folder, threads)
        speeds = {name: [] for name in sides}
        for _ in range(RUNS):
            for name, side in sides.items():
                speeds[name].append(side())
    figures = {name: median(values) for name, values in speeds.items()}
    for name, speed in figures.items():
        print(f"serve {name:14} {speed:6.0f} tokens/s   {figures['honed (gRPC)'] / speed:.2f} x")


def _honed(export):
    from honed.client import Client

    client = Client()

    def run():
        first = None
        for response in client.generate(export, prompt=PROMPT, max_tokens=TOKENS):
            first = first or time.monotonic()
            if response.HasField("done"):
                return (response.done.completion_tokens - 1) / (time.monotonic() - first)
        raise AssertionError

    run()
    return run


def _bare(folder, model, threads):
    from honed.data import Renderer
    from honed.serve.graph import Graph

    graph = Graph(folder, threads, slots=1, kv_cache_bytes=1 << 30)
    prompt = Renderer.load(model).encode(PROMPT)

    def run():
        token = int(graph.prefill(0, prompt).argmax())
        began = time.monotonic()
        for place in range(TOKENS - 1):
            token = int(graph.decode([token], [len(prompt) + place])[0].argmax())
        return (TOKENS - 1) / (time.monotonic() - began)

    return run


def _genai(folder, threads):
    import onnxruntime_genai as genai

    config = genai.Config(str(folder))
    config.overlay(
        '{"model": {"decoder": {"session_options": {"intra_op_num_threads": %d}}}}' % threads  # noqa: UP031 - braces
    )
    model = genai.Model(config)
    prompt = genai.Tokenizer(model).encode(PROMPT)

    def run():
        options = genai.GeneratorParams(model)
        options.set_search_options(max_length=len(prompt) + TOKENS, do_sample=False, min_length=len(prompt) + TOKENS)
        generator = genai.Generator(model, options)
        generator.append_tokens(prompt)
        generator.generate_next_token()
        count, began = 0, time.monotonic()
        while not generator.is_done():
            generator.generate_next_token()
            count += 1
        return count / (time.monotonic() - began)

    return run


if __name__ == "__main__":
    main()

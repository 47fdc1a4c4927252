"""Every tuning method for a few steps of the real model on the help-desk example, as jobs of a daemon: each in a worker
process of its own, whose peak memory is its own. Prints one table in Markdown.

The base is in NF4, for full fine-tuning in bfloat16; every setting but the steps is the default of its method.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))

VALIDATION_FRACTION = 0.1


def main() -> None:
    from demo import HELPDESK, model_file, running_daemon
    from honed.v1.jobs_pb2 import Method

    words = [name.removeprefix("METHOD_").lower() for name in Method.keys()[1:]]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--methods", nargs="+", choices=words, default=words)
    parser.add_argument("--json", type=Path, help="a file for the figures")
    arguments = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    print(f"{arguments.steps} steps of 16 rows\n")
    print("| method | trained parameters | of the model | tokens/s | peak memory | validation loss |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory(prefix="hb-") as scratch, running_daemon(Path(scratch)) as client:
        client.wait_job(client.upload_model("smollm2", str(model_file())).name)
        client.upload_dataset(
            "helpdesk", str(HELPDESK / "train.csv"), format="csv", text_column="text", label_column="label"
        )
        for word in arguments.methods:
            found = figures[word] = _tuned(client, word, arguments.steps)
            print(
                f"| {word} | {found['trainable_parameters']:,} | {found['share']:.2%} | {found['tokens_per_s']:,.0f} | "
                f"{found['peak_rss_bytes'] / 2**30:.2f} GiB | {found['validation_loss']:.4f} |",
                flush=True,
            )
    if arguments.json:
        arguments.json.write_text(json.dumps({"steps": arguments.steps, "methods": figures}, indent=1), "utf-8")


def _tuned(client, word: str, steps: int) -> dict[str, float]:
    """Figures of a tuning by one method."""
    from honed.v1.jobs_pb2 import TuneSpec

    spec = TuneSpec(
        model="smollm2",
        dataset="helpdesk",
        adapter_id=word,
        method=f"METHOD_{word.upper()}",
        max_steps=steps,
        validation_fraction=VALIDATION_FRACTION,
        skip_evaluation=True,
    )
    adapter = client.get_adapter(client.wait_job(client.tune(spec).name).result)
    training = adapter.training
    return {
        "trainable_parameters": training.trainable_parameters,
        "share": training.trainable_parameters / training.model_parameters,
        "tokens_per_s": training.tokens_per_s,
        "peak_rss_bytes": training.peak_rss_bytes,
        "validation_loss": training.validation_loss,
        "adapter_bytes": adapter.size_bytes,
        "seconds": training.duration.ToTimedelta().total_seconds(),
    }


if __name__ == "__main__":
    main()

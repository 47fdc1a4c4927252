"""`make bench`: a daemon, the demo's model and data, then every benchmark; prints the machine first."""

import os
import platform
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))


def main() -> None:
    from demo import HELPDESK, model_file, running_daemon

    cpu = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    print(f"{cpu.partition(':')[2].strip()}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}")
    names = ("torch", "transformers", "peft", "bitsandbytes", "onnxruntime", "onnxruntime-genai")
    print(", ".join(f"{name} {metadata.version(name)}" for name in names), flush=True)
    with tempfile.TemporaryDirectory(prefix="hb-") as scratch, running_daemon(Path(scratch)) as client:
        client.wait_job(client.upload_model("smollm2", str(model_file())).name)
        client.upload_dataset(
            "helpdesk", str(HELPDESK / "train.csv"), format="csv", text_column="text", label_column="label"
        )
        state = Path(scratch) / "state"
        model = next((state / "models").iterdir())
        data = next((state / "datasets").iterdir())
        print(f"daemon {client.get_status().daemon_rss_bytes / 1e6:.0f} MB resident, idle", flush=True)
        here = Path(__file__).parent
        environment = os.environ | {
            "HONED_ADDRESS": f"unix:{scratch}/honed.sock",
            "HONED_TOKEN_FILE": str(state / "token"),
        }
        for command in (
            [here / "serve.py", "--model", model, "--export", "exports/smollm2-base"],
            [here / "tune.py", "--model", model, "--data", data],
        ):
            subprocess.run([sys.executable, *map(str, command)], check=True, env=environment)


if __name__ == "__main__":
    main()

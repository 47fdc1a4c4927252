"""Serving beside its peer: a daemon with the demo's model, then benchmarks/serve.py; prints the machine first."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import machine

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples"))


def main() -> None:
    from demo import model_file, running_daemon

    print(machine("torch", "transformers", "onnxruntime", "onnxruntime-genai"), flush=True)
    with tempfile.TemporaryDirectory(prefix="hb-") as scratch, running_daemon(Path(scratch)) as client:
        client.wait_job(client.upload_model("smollm2", str(model_file())).name)
        state = Path(scratch) / "state"
        model = next((state / "models").iterdir())
        print(f"daemon {client.get_status().daemon_rss_bytes / 1e6:.0f} MB resident, idle", flush=True)
        environment = os.environ | {
            "HONED_ADDRESS": f"unix:{scratch}/honed.sock",
            "HONED_TOKEN_FILE": str(state / "token"),
        }
        serve = Path(__file__).with_name("serve.py")
        command = [sys.executable, str(serve), "--model", str(model), "--export", "exports/smollm2-base"]
        subprocess.run(command, check=True, env=environment)


if __name__ == "__main__":
    main()

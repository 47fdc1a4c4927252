"""A Hugging Face folder to an ONNX graph that decodes with GroupQueryAttention, through onnxruntime-genai's model
builder, run as a child process (it edits sys.path and prints to the terminal)."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from honed.errors import Internal
from honed.export.merge import TOKENIZER_FILES

Format = Literal["onnx-int8", "onnx-fp32"]
GRAPH_FILE = "model.onnx"

# Only accuracy level 4 has an 8-bit kernel on the CPU that is fast enough to serve (docs/benchmarks.md); the head is
# computed for the last position alone, which is all that prefill and decode need.
_OPTIONS: dict[Format, tuple[str, list[str]]] = {
    "onnx-int8": ("int8", ["accuracy_level=4", "block_size=32"]),
    "onnx-fp32": ("fp32", []),
}
_KEPT_FILES = (*TOKENIZER_FILES, "generation_config.json", "config.json")


def build(checkpoint: Path, folder: Path, export_format: Format) -> None:
    """Writes model.onnx (with model.onnx.data), the tokenizer and the configs into an empty folder.

    Raises:
        Internal: the builder failed; `metadata["stderr"]` has its last words.
    """
    precision, options = _OPTIONS[export_format]
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch) / "made"
        command = [
            *(sys.executable, "-P", "-m", "onnxruntime_genai.models.builder"),
            *("--input", str(checkpoint), "--output", str(made), "--cache_dir", str(Path(scratch) / "cache")),
            *("--precision", precision, "--execution_provider", "cpu"),
            *("--extra_options", *options, "prune_lm_head=true", "hf_token=false"),
        ]
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=scratch,
            env=os.environ | {"HF_HUB_OFFLINE": "1", "ORT_DISABLE_TELEMETRY": "1", "TQDM_DISABLE": "1"},
            check=False,
        )
        if done.returncode != 0 or not (made / GRAPH_FILE).exists():
            raise Internal(
                f"The model builder ended with exit status {done.returncode} and no graph.",
                reason="GRAPH_BUILD_FAILED",
                stderr=done.stderr.decode(errors="replace")[-4000:],
            )
        for file in made.iterdir():
            if file.name.startswith(GRAPH_FILE):
                file.rename(folder / file.name)
    for name in _KEPT_FILES:
        if (checkpoint / name).exists():
            shutil.copyfile(checkpoint / name, folder / name)

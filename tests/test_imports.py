"""What a process loads, proven in a process of its own; import-linter sees honed's own imports only."""

import json
import subprocess
import sys

import pytest

CONTROL_PLANE = ("torch", "onnxruntime", "transformers", "tokenizers", "jinja2", "numpy", "safetensors", "gguf", "onnx")
TORCH = ("torch", "transformers", "peft", "bitsandbytes", "optimum")


def loaded_by(module):
    """Top-level packages in a fresh interpreter that has imported a module."""
    code = (
        f"import json, sys; import {module}; "
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("honed.daemon.app", CONTROL_PLANE),
        ("honed.client", CONTROL_PLANE),
        ("honed.client.cli", CONTROL_PLANE),
        ("honed.serve.__main__", TORCH),
        ("honed.evaluate", (*TORCH, "onnxruntime", "grpc")),
        ("honed.worker.ingest", (*TORCH, "onnxruntime", "grpc")),
        ("honed.worker.preview", (*TORCH, "onnxruntime", "grpc")),
        ("honed.worker.contract", (*CONTROL_PLANE, "grpc", "google", "sqlite3")),
        ("honed.daemon.store", (*CONTROL_PLANE, "grpc", "google")),
    ],
)
def test_a_process_loads_nothing_that_it_must_not_hold(module, forbidden):
    assert not loaded_by(module) & set(forbidden)


def test_the_check_itself_would_notice():
    assert "torch" in loaded_by("honed.tune.batches")

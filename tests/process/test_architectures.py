"""Import, tuning and export of the other supported families; llama's is test_main_path.py. About 30 s each."""

import pytest
from helpers.tiny_model import make_tiny_model
from honed.v1.jobs_pb2 import TuneSpec


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["mistral", "qwen2", "qwen3"])
def test_a_family_goes_all_the_way_with_parity(architecture, client, tmp_path):
    folder = make_tiny_model(tmp_path / architecture, architecture, tie_word_embeddings=architecture == "qwen3")
    client.wait_job(client.upload_model(architecture, folder).name)
    assert client.get_model(architecture).architecture == architecture
    spec = TuneSpec(model=architecture, dataset="table", adapter_id=architecture, max_steps=2, skip_evaluation=True)
    client.wait_job(client.tune(spec).name)
    job = client.export(architecture, f"adapters/{architecture}", format="onnx-fp32")
    export = client.get_export(client.wait_job(job.name).result)
    assert export.parity.top1_agreement == 1.0
    assert export.parity.mean_kl < 1e-4  # float32 sums in another order
    text, done = client.complete(export.name, [{"role": "user", "content": "Hello"}], max_tokens=8)
    assert text
    assert done.completion_tokens > 0

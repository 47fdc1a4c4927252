"""Tuning methods through the daemon: what is tuned, evaluated, served, and what is refused."""

import pytest
from helpers.daemon import refused
from honed.client.errors import JobFailed
from honed.v1.jobs_pb2 import TuneSpec


def tuning(adapter_id, method, **values):
    spec = {"model": "tiny", "dataset": "table", "max_steps": 2, "skip_evaluation": True, **values}
    return TuneSpec(adapter_id=adapter_id, method=f"METHOD_{method.upper()}", **spec)


def logs(client, job):
    return [event.log for event in client.watch_job(job.name) if event.WhichOneof("event") == "log"]


def go_all_the_way(client, method):
    client.wait_job(client.tune(tuning(method, method)).name)
    job = client.export(method, f"adapters/{method}", format="onnx-fp32")
    export = client.get_export(client.wait_job(job.name).result)
    assert export.parity.top1_agreement == 1.0
    assert export.parity.mean_kl < 1e-4  # float32 sums in another order
    text, _ = client.complete(f"adapters/{method}", [{"role": "user", "content": "Hello"}], max_tokens=8)
    assert text


def test_a_method_without_an_export_is_evaluated_says_so_and_is_served_nowhere(client):
    job = client.wait_job(client.tune(tuning("prefix", "prefix", virtual_tokens=3, skip_evaluation=False)).name)
    said = logs(client, job)
    assert said[0] == "No export can serve what prefix makes yet; it can be evaluated: hone eval adapters/prefix."
    (trained,) = [text for text in said if "train by" in text]
    training = client.get_adapter("prefix").training
    assert 0 < training.trainable_parameters < training.model_parameters
    assert f"{training.trainable_parameters:,} parameters train by prefix" in trained
    assert f"the base's {training.model_parameters:,}." in trained
    tuned = [each for each in job.evaluations if each.subject == "tuned"]
    report = client.wait_job(client.evaluate("adapters/prefix", "table").name)
    # asked again in another process, it answers the same
    assert [(each.mode, each.correct) for each in report.evaluations] == [(each.mode, each.correct) for each in tuned]
    with refused("INVALID_ARGUMENT", "METHOD_NOT_SERVED"):
        client.export("prefix", "adapters/prefix")
    with refused("INVALID_ARGUMENT", "METHOD_NOT_SERVED"):
        client.complete("adapters/prefix", [{"role": "user", "content": "Hello"}])


def test_a_fully_tuned_model_goes_all_the_way_with_parity(client):
    go_all_the_way(client, "full")
    training = client.get_adapter("full").training
    assert training.trainable_parameters == training.model_parameters


@pytest.mark.slow
@pytest.mark.parametrize("method", ["rslora", "dora", "pissa", "loftq", "ia3", "oft"])
def test_every_served_method_goes_all_the_way_with_parity(client, method):
    go_all_the_way(client, method)


def test_a_rank_above_a_layers_width_fails_the_job_before_its_first_step(client):
    job = client.tune(tuning("wide", "lora", rank=512))
    with pytest.raises(JobFailed) as error:
        client.wait_job(job.name)
    assert (error.value.code.name, error.value.reason) == ("INVALID_ARGUMENT", "RANK_TOO_LARGE")
    assert "q_proj" in error.value.message
    assert "tuning" not in [event.phase for event in client.watch_job(job.name)]

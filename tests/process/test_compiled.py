"""Compiled tunings as jobs: with the machine's compiler, and on a machine that has none."""

import pytest
from helpers.daemon import Daemon
from honed.v1.jobs_pb2 import TuneSpec

pytestmark = pytest.mark.timeout(600)

SPEC = TuneSpec(model="tiny", dataset="table", adapter_id="fast", epochs=1, skip_evaluation=True, compile=True)


def said(client, job):
    return [event.log for event in client.watch_job(job.name) if event.log]


def test_a_tuning_that_asks_for_it_is_compiled(client):
    plan = client.plan(SPEC).plan
    assert plan.compiled
    job = client.wait_job(client.tune(SPEC).name)
    lines = said(client, job)
    assert any(line.startswith("The layers are compiled, in ") for line in lines), lines
    assert client.get_adapter("fast").training.steps == plan.steps


def test_a_short_tuning_is_not_compiled_by_itself(client):
    assert not client.plan(TuneSpec(model="tiny", dataset="table", adapter_id="short")).plan.compiled


def test_without_a_compiler_a_tuning_goes_on_uncompiled_and_says_why(stock, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    daemon = Daemon(stock=stock, threads=1).start()
    try:
        with daemon.client() as client:
            lines = said(client, client.wait_job(client.tune(SPEC).name))
            assert client.get_adapter("fast").training.steps
    finally:
        daemon.close()
    assert any(line.startswith("The layers are not compiled here, the run goes on without, ") for line in lines), lines

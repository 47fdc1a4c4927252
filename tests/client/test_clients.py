"""Both clients against the twin, over a real UNIX socket: each test runs with Client and with AsyncClient."""

import asyncio
import json
import time

import grpc
import pytest
from honed.client import (
    AlreadyExists,
    AsyncClient,
    Client,
    FailedPrecondition,
    InvalidArgument,
    JobFailed,
    NoRoom,
    NotAllowed,
    NotFound,
    Unavailable,
    watch,
)
from honed.v1.generation_pb2 import FINISH_REASON_LENGTH, ChatMessage
from honed.v1.jobs_pb2 import Job, SweepSpec, TuneSpec
from honed.v1.models_pb2 import Model
from honed.v1.templates_pb2 import Template


def spec(adapter_id, **fields):
    return TuneSpec(model="m", dataset="d", adapter_id=adapter_id, **fields)


@pytest.fixture
def quick_reconnect(monkeypatch):
    monkeypatch.setattr(watch, "RECONNECT_DELAYS_S", (0.01,) * 5)


def test_the_status_arrives_with_the_token_sent(client, bookkeeper):
    assert client.get_status().version == "0.1.0"
    assert bookkeeper.calls == [("/honed.v1.SystemService/GetStatus", "Bearer secret")]


def test_every_kind_of_call_carries_the_token(client, bookkeeper, tmp_path):
    table = tmp_path / "a.csv"
    table.write_text("prompt,completion\n")
    client.upload_dataset("d", table)
    client.generate("exports/e", prompt="a")
    client.list_jobs()
    assert [authorization for _, authorization in bookkeeper.calls] == ["Bearer secret"] * 3


def test_lists_go_on_over_all_pages(client, twin):
    for index in range(5):
        twin.put(Model(name=f"models/m{index}"))
    assert [model.name for model in client.list_models()] == [f"models/m{index}" for index in (4, 3, 2, 1, 0)]


@pytest.mark.parametrize("kind", ["model", "dataset", "template", "job", "adapter", "export", "report"])
def test_a_missing_resource_is_not_found_by_get_and_by_delete(client, kind):
    for verb in ("get", "delete"):
        with pytest.raises(NotFound) as caught:
            getattr(client, f"{verb}_{kind}")("nothing")
        assert caught.value.reason == f"{kind.upper()}_NOT_FOUND"
        assert caught.value.resource == f"{kind}s/nothing"
        assert caught.value.metadata == {"name": f"{kind}s/nothing"}


def test_a_model_folder_arrives_whole_and_is_imported(client, twin, tmp_path):
    (tmp_path / "config.json").write_bytes(b"{}")
    (tmp_path / "model.safetensors").write_bytes(bytes(range(256)) * 10_000)
    sent = []
    job = client.upload_model("m", tmp_path, on_bytes=sent.append)
    assert {name: bytes(data) for name, data in twin.uploads.items()} == {
        "config.json": b"{}",
        "model.safetensors": bytes(range(256)) * 10_000,
    }
    assert sum(sent) == 2 + 2_560_000
    assert client.wait_job(job.name).result == "models/m"
    assert client.get_model("m").name == "models/m"
    client.delete_model("models/m")
    assert client.list_models() == []


def test_a_refusal_in_the_middle_of_an_upload_comes_through(client, twin, tmp_path):
    twin.put(Model(name="models/m"))
    file = tmp_path / "model.gguf"
    file.write_bytes(bytes(8 << 20))
    with pytest.raises(AlreadyExists) as caught:
        client.upload_model("m", file)
    assert caught.value.reason == "MODEL_EXISTS"


def test_a_file_with_another_digest_is_refused_by_name(client, tmp_path):
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF")
    with pytest.raises(InvalidArgument) as caught:
        client.upload_model("m", file, {"model.gguf": "0" * 64})
    assert caught.value.field_violations == [("model.gguf", "digest differs")]


def test_an_error_of_the_disk_during_an_upload_is_raised_as_itself(client, tmp_path):
    file = tmp_path / "model.gguf"
    file.write_bytes(bytes(4 << 20))

    def fail(n_bytes):
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        client.upload_model("m", file, on_bytes=fail)


def test_a_model_is_imported_from_a_path_of_the_server(client):
    job = client.import_model("m", "/srv/models/m")
    assert job.import_model.source == "/srv/models/m"


def test_a_data_set_is_uploaded_previewed_and_deleted(client, twin, tmp_path):
    train, test = tmp_path / "train.csv", tmp_path / "test.csv"
    train.write_text("text,label\na,bug\nb,praise\n")
    test.write_text("text,label\nc,bug\n")
    dataset = client.upload_dataset("d", train, test=test, text_column="text", label_column="label")
    assert (dataset.name, dataset.train_rows, dataset.test_rows) == ("datasets/d", 2, 1)
    assert bytes(twin.uploads["train_data"]) == train.read_bytes()
    assert client.get_dataset("d") == dataset
    assert client.list_datasets() == [dataset]
    preview = client.preview_dataset("d", "m", rows=2)
    assert [row.row for row in preview.rows] == ["1", "2"]
    client.delete_dataset("d")
    assert client.list_datasets() == []


def test_templates_have_versions_and_are_listed_after_the_built_in_ones(client):
    first = client.create_template(Template(name="mine", task="generate", user="{{ text }}", reply="{{ summary }}"))
    assert (first.name, first.version) == ("templates/mine", 1)
    second = client.create_template(Template(name="templates/mine", user="{{ text }}!", reply="{{ summary }}"))
    assert second.version == 2
    assert client.get_template("mine") == second
    assert client.get_template("mine", version=1) == first
    assert [template.name for template in client.list_templates()] == ["templates/classify", "templates/mine"]
    client.delete_template("mine")
    assert [template.name for template in client.list_templates()] == ["templates/classify"]


def test_a_malformed_template_is_refused_by_field(client):
    with pytest.raises(InvalidArgument) as caught:
        client.create_template(Template(name="mine"))
    assert caught.value.reason == "TEMPLATE_INVALID"
    assert caught.value.field_violations == [("template.reply", "must not be empty")]


def test_a_report_is_read_and_fetched_in_both_formats(client):
    job = client.wait_job(client.evaluate(["models/m", "adapters/a"], "d", shots=[0, 4]).name)
    report = client.get_report(job.result)
    assert (report.name, report.job, list(report.subjects)) == ("reports/1", job.name, ["models/m", "adapters/a"])
    assert client.list_reports() == [report]
    page = b"".join(client.download_report("1"))
    assert page == f"<!doctype html><title>{report.headline}</title>".encode()
    document = client.report_json("reports/1")
    assert document["headline"] == report.headline
    assert json.loads(b"".join(client.download_report("1", format="json"))) == document
    client.delete_report("1")
    for missing in (lambda: client.download_report("1"), lambda: client.report_json("1")):
        with pytest.raises(NotFound) as caught:
            missing()
        assert caught.value.reason == "REPORT_NOT_FOUND"


def test_tuning_evaluating_and_exporting_make_what_they_should(client):
    tuned = client.wait_job(client.tune(spec("a")).name)
    assert (tuned.state, tuned.result) == (Job.STATE_SUCCEEDED, "adapters/a")
    assert client.get_adapter("a").spec.model == "models/m"
    assert [adapter.name for adapter in client.list_adapters()] == ["adapters/a"]
    assert client.get_adapter("a").report == "reports/1"
    evaluated = client.wait_job(client.evaluate("adapters/a", "d").name)
    assert evaluated.evaluate.subjects == ["adapters/a"]
    assert (evaluated.result, len(evaluated.evaluations)) == ("reports/2", 2)
    combined = client.wait_job(client.combine("c", {"a": 0.5, "b": 0.5}, method="ties", dataset="d").name)
    assert (combined.result, client.get_adapter("c").report) == ("adapters/c", "reports/3")
    assert list(client.get_adapter("c").sources) == ["adapters/a", "adapters/b"]
    exported = client.wait_job(client.export("e", "adapters/a", format="onnx-fp32").name)
    assert client.get_export(exported.result).parity.rows == 12
    assert [export.name for export in client.list_exports()] == ["exports/e"]
    assert len(client.list_jobs()) == 4
    client.delete_export("e")
    client.delete_adapter("a")
    client.delete_job(tuned.name)


def test_a_sweep_comes_back_with_its_trials(client):
    job = client.wait_job(client.sweep(SweepSpec(tune=spec("a"), ranks=[4, 8])).name)
    assert (job.result, job.sweep.tune.model) == ("adapters/a", "models/m")
    assert [trial.number for trial in job.trials] == [1, 2]
    assert list(client.get_adapter("a").trials) == list(job.trials)


def test_a_request_id_travels_with_a_job(client, twin):
    client.create_job(Job(tune=spec("a")), request_id="once")
    assert twin.requests[0].request_id == "once"


def test_a_refused_field_is_named(client):
    with pytest.raises(InvalidArgument) as caught:
        client.tune(spec("a", rank=1000))
    assert caught.value.field_violations == [("job.tune.rank", "must be 1 to 512, found 1000")]


def test_a_job_that_can_never_fit_is_no_room(client):
    with pytest.raises(NoRoom) as caught:
        client.tune(spec("a", batch_size=4096))
    assert caught.value.metadata == {"needed_bytes": "99"}


def test_events_are_replayed_in_order_without_heartbeats(client):
    job = client.tune(spec("a"))
    events = client.watch_job(job.name)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert events[-1].state == Job.STATE_SUCCEEDED
    assert [event.sequence for event in client.watch_job(job.name, after_sequence=5)] == [6, 7]


def test_a_lost_connection_is_taken_up_after_the_last_event(client, twin, bookkeeper, quick_reconnect):
    job = client.tune(spec("a"))
    twin.connection_losses = [2, 0, 1]
    assert [event.sequence for event in client.watch_job(job.name)] == [1, 2, 3, 4, 5, 6, 7]
    assert [method for method, _ in bookkeeper.calls].count("/honed.v1.JobService/WatchJob") == 4


def test_a_daemon_that_restarts_is_found_again(serve, socket_address, twin):
    with Client(socket_address) as client:
        with serve():
            job = client.tune(spec("endless"))
            events = client.watch_job(job.name)
            assert [next(events).sequence for _ in range(4)] == [1, 2, 3, 4]
        with serve():
            client.cancel_job(job.name)
            assert [event.state for event in events] == [Job.STATE_CANCELLED]


def test_waiting_tells_every_event_and_returns_the_job(client):
    seen = []
    job = client.wait_job(client.tune(spec("a")).name, on_event=seen.append)
    assert job.state == Job.STATE_SUCCEEDED
    assert len(seen) == 7


def test_waiting_for_a_job_that_fails_raises_with_the_job(client):
    with pytest.raises(JobFailed) as caught:
        client.wait_job(client.tune(spec("doomed")).name)
    assert caught.value.job.state == Job.STATE_FAILED
    assert caught.value.reason == "WORKER_DIED"


def test_a_job_can_be_paused_and_resumed_and_a_finished_one_cannot(client):
    job = client.tune(spec("endless"))
    assert client.pause_job(job.name).state == Job.STATE_PAUSED
    assert client.pause_job(job.name).state == Job.STATE_PAUSED
    assert client.resume_job(job.name).attempt == 2
    with pytest.raises(FailedPrecondition) as caught:
        client.resume_job(job.name)
    assert caught.value.reason == "JOB_NOT_PAUSED"
    client.cancel_job(job.name)
    with pytest.raises(FailedPrecondition) as caught:
        client.pause_job(job.name)
    assert caught.value.reason == "JOB_NOT_RUNNING"
    states = [event.state for event in client.watch_job(job.name) if event.state]
    assert states[1:] == [Job.STATE_RUNNING, Job.STATE_PAUSED, Job.STATE_RUNNING, Job.STATE_CANCELLED]


def test_a_watch_goes_on_over_a_pause(serve, socket_address):
    with serve(), Client(socket_address) as client:
        job = client.tune(spec("endless"))
        events = client.watch_job(job.name)
        client.pause_job(job.name)
        assert next(event for event in events if event.state == Job.STATE_PAUSED)
        client.resume_job(job.name)
        assert next(events).state == Job.STATE_RUNNING
        client.cancel_job(job.name)
        assert [event.state for event in events] == [Job.STATE_CANCELLED]


def test_a_running_job_can_be_cancelled_and_a_finished_one_cannot(client):
    job = client.tune(spec("endless"))
    assert client.cancel_job(job.name).state == Job.STATE_CANCELLED
    with pytest.raises(JobFailed, match="was cancelled"):
        client.wait_job(job.name)
    with pytest.raises(FailedPrecondition) as caught:
        client.cancel_job(job.name)
    assert caught.value.reason == "JOB_NOT_RUNNING"


def test_a_reply_is_streamed_and_ends_with_why(client, twin):
    messages = [{"role": "system", "content": "Echo."}, ChatMessage(role="user", content="one two three")]
    responses = client.generate("exports/e", messages, max_tokens=2)
    assert [response.delta for response in responses[:-1]] == ["one", " two"]
    assert responses[-1].done.finish_reason == FINISH_REASON_LENGTH
    assert [message.role for message in twin.requests[0].chat.messages] == ["system", "user"]


def test_a_whole_reply_comes_with_its_end(client):
    text, done = client.complete("adapters/a", prompt="one two", seed=3)
    assert (text, done.completion_tokens) == ("one two", 2)


def test_a_row_is_answered_too(client):
    text, _ = client.complete("adapters/a", row={"text": "help", "label": "bug"})
    assert text == "label=bug text=help"


def test_a_stream_that_is_refused_raises_the_same_errors(client):
    with pytest.raises(NotAllowed, match="not yours"):
        client.generate("exports/private", prompt="a")


def test_a_bare_name_is_refused_where_it_could_mean_several_things(client, bookkeeper):
    with pytest.raises(InvalidArgument, match="exports/ID or adapters/ID or models/ID"):
        client.complete("a", prompt="text")
    assert bookkeeper.calls == []


def test_a_daemon_that_is_not_there_is_unavailable_at_once(tmp_path):
    with Client(f"unix:{tmp_path}/nobody") as client:
        started = time.monotonic()
        with pytest.raises(Unavailable):
            client.get_status()
        with pytest.raises(Unavailable):
            next(client.watch_job("j"))
        assert time.monotonic() - started < watch.RECONNECT_DELAYS_S[0]


async def test_the_asyncio_client_too_finds_a_missing_daemon_unavailable(tmp_path):
    async with AsyncClient(f"unix:{tmp_path}/nobody") as client:
        with pytest.raises(Unavailable):
            await client.get_status()
        with pytest.raises(Unavailable):
            await anext(client.watch_job("j"))


def test_a_watcher_gives_up_after_five_tries():
    cursor = watch.WatchCursor("jobs/1", 0)
    cursor.take(watch.WatchJobResponse())
    lost = Unavailable("lost")
    assert [cursor.delay_s(lost) for _ in range(5)] == list(watch.RECONNECT_DELAYS_S)
    with pytest.raises(Unavailable):
        cursor.delay_s(lost)


def test_a_watcher_waits_as_long_as_the_daemon_asks():
    cursor = watch.WatchCursor("jobs/1", 0)
    cursor.take(watch.WatchJobResponse())
    assert cursor.delay_s(Unavailable("loading", retry_after_s=30.0)) == 30.0


def wait_until(condition):
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_dropping_a_watch_ends_the_call(address, twin):
    with Client(address) as client:
        events = client.watch_job(client.tune(spec("endless")).name)
        assert next(events).sequence == 1
        assert twin.watchers == 1
        del events
        wait_until(lambda: twin.watchers == 0)


async def test_closing_an_asyncio_watch_ends_the_call(address, twin):
    async with AsyncClient(address) as client:
        job = await client.tune(spec("endless"))
        events = client.watch_job(job.name)
        assert (await anext(events)).sequence == 1
        await events.aclose()
        await asyncio.to_thread(wait_until, lambda: twin.watchers == 0)


async def test_cancelling_an_asyncio_upload_ends_it(address, twin, tmp_path):
    file = tmp_path / "model.gguf"
    file.write_bytes(bytes(64 << 20))
    started, sent = asyncio.Event(), []
    loop = asyncio.get_running_loop()

    def on_bytes(n_bytes):
        sent.append(n_bytes)
        loop.call_soon_threadsafe(started.set)
        time.sleep(0.2)

    async with AsyncClient(address) as client:
        upload = asyncio.create_task(client.upload_model("m", file, on_bytes=on_bytes))
        await started.wait()
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload
        await asyncio.sleep(0.1)
        assert len(sent) < 64
        assert sum(map(len, twin.uploads.values())) < 64 << 20


def test_a_daemon_that_takes_too_long_exceeds_the_deadline(address, twin):
    twin.delay_s = 0.5
    with Client(address, timeout_s=0.05) as client, pytest.raises(TimeoutError) as caught:
        client.get_status()
    assert caught.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_preview_of_many_rows_may_take_its_time(address, twin):
    twin.delay_s = 0.2
    with Client(address, timeout_s=0.05) as client:
        assert len(client.preview_dataset("d", "m", rows=1).rows) == 1
    async with AsyncClient(address, timeout_s=0.05) as client:
        assert len((await client.preview_dataset("d", "m", rows=1)).rows) == 1

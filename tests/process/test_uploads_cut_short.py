"""Uploads whose client goes away in the middle: what has arrived by then is not taken for the whole."""

import threading
import time

import pytest
from helpers.daemon import refused
from honed.client import uploads
from honed.v1.datasets_pb2 import UploadDatasetHeader, UploadDatasetRequest
from honed.v1.models_pb2 import FileChunk, UploadModelHeader, UploadModelRequest

TABLE = b"prompt,completion\n" + b"a,b\n" * 1000
ATTEMPTS = 40

STREAMS = {
    "dataset": (
        lambda name: UploadDatasetRequest(header=UploadDatasetHeader(dataset_id=name)),
        UploadDatasetRequest(train_data=TABLE),
    ),
    "model": (
        lambda name: UploadModelRequest(header=UploadModelHeader(model_id=name)),
        UploadModelRequest(chunk=FileChunk(file_name="model.safetensors", data=TABLE)),
    ),
}


@pytest.mark.parametrize("kind", STREAMS)
def test_a_cancelled_upload_is_not_taken_for_a_complete_one(kind, client):
    method = {"dataset": client._datasets.UploadDataset, "model": client._models.UploadModel}[kind]
    header, piece = STREAMS[kind]
    jobs = {job.name for job in client.list_jobs()}
    for attempt in range(ATTEMPTS):
        arriving, gone = threading.Event(), threading.Event()

        def messages(name=f"cut-{attempt}", arriving=arriving, gone=gone):
            yield header(name)
            yield piece
            yield piece
            arriving.set()
            gone.wait(10)

        call = method.future(messages(), metadata=client._calls._metadata)
        arriving.wait(10)
        call.cancel()
        gone.set()
    time.sleep(2)  # whatever would come of them has come
    assert {job.name for job in client.list_jobs()} == jobs
    assert not [dataset.name for dataset in client.list_datasets() if "cut-" in dataset.name]


@pytest.mark.parametrize("upload", ["dataset", "model"])
def test_a_file_that_is_shorter_than_announced_is_refused(upload, client, tmp_path, monkeypatch):
    file = tmp_path / "table.csv"
    file.write_bytes(TABLE)
    announced = len(TABLE) + 1
    monkeypatch.setattr(uploads, "_total_bytes", lambda files: announced)
    send = {"dataset": client.upload_dataset, "model": client.upload_model}[upload]
    with refused("INVALID_ARGUMENT", "UPLOAD_INCOMPLETE") as error:
        send("cut-off", file)
    assert error.value.metadata["received_bytes"] == str(len(TABLE))

"""Model uploads that are refused: at the stream, or by the import worker; nothing of them is kept or run."""

import json
import os
import pickle
import tempfile
from pathlib import Path

import pytest
from helpers.daemon import refused
from honed.client.errors import JobFailed
from honed.v1.models_pb2 import FileChunk, UploadModelHeader, UploadModelRequest

Files = dict[str, bytes]
TRACE = Path(tempfile.gettempdir()) / f"hd-trap-{os.getpid()}"


def upload(client, model_id: str, files: Files, **header):
    """Uploads files as they are, whatever their names."""
    messages = [UploadModelRequest(header=UploadModelHeader(model_id=model_id, **header))]
    messages += [UploadModelRequest(chunk=FileChunk(file_name=name, data=data)) for name, data in files.items()]
    return client._calls.upload(client._models.UploadModel, iter(messages))


@pytest.fixture(scope="module")
def good(tiny_model) -> Files:
    return {path.name: path.read_bytes() for path in sorted(tiny_model.iterdir())}


def changed(files: Files, **settings: object) -> Files:
    """The files with other settings in config.json."""
    return files | {"config.json": json.dumps(json.loads(files["config.json"]) | settings).encode()}


def without(files: Files, name: str) -> Files:
    return {each: data for each, data in files.items() if each != name}


class Trap:
    """Its pickle would leave a trace if it were loaded."""

    def __reduce__(self):
        return (Path.touch, (TRACE,))


INDEX = json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model.safetensors"}}).encode()
# case: what becomes of the good files, and the reason with which the import must fail
CASES = {
    "pickle": (lambda good: good | {"pytorch_model.bin": pickle.dumps(Trap())}, "MODEL_FILE_REFUSED"),
    "pickle-alone": (
        lambda good: without(good, "model.safetensors") | {"model.pt": pickle.dumps(Trap())},
        "MODEL_FILE_REFUSED",
    ),
    "code": (lambda good: good | {"modeling_tiny.py": b"raise SystemExit"}, "MODEL_FILE_REFUSED"),
    "auto-map": (lambda good: changed(good, auto_map={"AutoConfig": "x.Y"}), "MODEL_FILE_REFUSED"),
    "shard": (lambda good: good | {"model.safetensors.index.json": INDEX}, "MODEL_FILE_MISSING"),
    "no-weights": (lambda good: without(good, "model.safetensors"), "MODEL_FILE_MISSING"),
    "no-config": (lambda good: without(good, "config.json"), "MODEL_FILE_MISSING"),
    "no-tokenizer": (lambda good: without(good, "tokenizer.json"), "TOKENIZER_MISSING"),
    "wider": (lambda good: changed(good, hidden_size=128), "MODEL_SHAPES_WRONG"),
    "deeper": (lambda good: changed(good, num_hidden_layers=3), "MODEL_SHAPES_WRONG"),
    "bottomless": (lambda good: changed(good, num_hidden_layers=10**9), "MODEL_FILE_INVALID"),
    "huge": (lambda good: changed(good, vocab_size=10**12), "MODEL_SHAPES_WRONG"),
    "negative": (lambda good: changed(good, hidden_size=-64), "MODEL_SHAPES_WRONG"),
    "no-number": (lambda good: changed(good, hidden_size="wide"), "MODEL_FILE_INVALID"),
    "unknown": (lambda good: changed(good, model_type="gpt_neo"), "MODEL_UNSUPPORTED"),
    "broken-json": (lambda good: good | {"config.json": b"{"}, "MODEL_FILE_INVALID"),
    "truncated": (lambda good: good | {"model.safetensors": good["model.safetensors"][:-100]}, "MODEL_FILE_INVALID"),
    "garbage-gguf": (lambda good: {"model.gguf": b"GGUF" + bytes(range(256)) * 20}, "MODEL_FILE_INVALID"),
    "no-gguf": (lambda good: {"model.gguf": b"hello"}, "MODEL_FILE_INVALID"),
    "gguf-beside": (lambda good: good | {"model.gguf": b"GGUF"}, "MODEL_FILE_REFUSED"),
}


# Each takes as long as the worker needs to load torch; the unit tests of honed.worker see them all.
SLOW = set(CASES) - {
    "pickle",
    "code",
    "auto-map",
    "shard",
    "deeper",
    "bottomless",
    "unknown",
    "truncated",
    "garbage-gguf",
}


@pytest.mark.parametrize("case", [pytest.param(case, marks=[pytest.mark.slow] * (case in SLOW)) for case in CASES])
def test_a_bad_model_fails_its_import_with_a_typed_error_and_nothing_is_kept(case, client, daemon, good):
    make, reason = CASES[case]
    TRACE.unlink(missing_ok=True)
    job = upload(client, "bad", make(good))
    with pytest.raises(JobFailed) as error:
        client.wait_job(job.name)
    assert (error.value.code.name, error.value.reason) == ("INVALID_ARGUMENT", reason), error.value
    assert len(error.value.message) > 20  # it says something
    assert not TRACE.exists()
    nothing_is_kept(client, daemon)


def test_a_file_that_is_not_the_pinned_one_fails_its_import(client, daemon, good):
    job = upload(client, "bad", good, expected_sha256={"model.safetensors": "0" * 64})
    with pytest.raises(JobFailed) as error:
        client.wait_job(job.name)
    assert error.value.reason == "DIGEST_MISMATCH"
    assert error.value.metadata["file"] == "model.safetensors"
    nothing_is_kept(client, daemon)


def nothing_is_kept(client, daemon):
    assert "models/bad" not in {model.name for model in client.list_models()}
    assert "exports/bad-base" not in {export.name for export in client.list_exports()}
    folders = {path.name for name in ("models", "exports") for path in (daemon.state / name).iterdir()}
    jobs = {f"{job.name.removeprefix('jobs/')}-{job.attempt}" for job in client.list_jobs() if job.result}
    assert folders <= jobs
    assert not list((daemon.state / "uploads").iterdir())


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x.json", "a/b", "/etc/passwd", ".hidden", "a\\b", "a\0b", "a\nb", "C:x", "x" * 201]
)
def test_a_file_name_that_is_not_plain_is_refused(name, client, daemon):
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        upload(client, "named", {name: b"{}"})
    assert error.value.field_violations[0][0] == "chunk.file_name"
    assert not list((daemon.state / "uploads").iterdir())


CHUNK = UploadModelRequest(chunk=FileChunk(file_name="a", data=b"x"))
OTHER = UploadModelRequest(chunk=FileChunk(file_name="b", data=b"x"))
HEADER = UploadModelRequest(header=UploadModelHeader(model_id="stream"))
SHORT_DIGEST = UploadModelRequest(header=UploadModelHeader(model_id="stream", expected_sha256={"a": "abc"}))
STREAMS = {
    "nothing": ([], "header"),
    "no header": ([CHUNK], "header"),
    "header alone": ([HEADER], "chunk"),
    "two headers": ([HEADER, HEADER], "chunk"),
    "empty message": ([HEADER, UploadModelRequest()], "chunk"),
    "empty file": ([HEADER, UploadModelRequest(chunk=FileChunk(file_name="a"))], "chunk"),
    "file comes back": ([HEADER, CHUNK, OTHER, CHUNK], "chunk.file_name"),
    "no digest": ([SHORT_DIGEST, CHUNK], "header.expected_sha256[a]"),
}


@pytest.mark.parametrize("case", STREAMS)
def test_a_stream_out_of_form_is_refused_by_its_field(case, client, daemon):
    messages, field = STREAMS[case]
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        client._calls.upload(client._models.UploadModel, iter(messages))
    assert error.value.field_violations[0][0] == field
    assert not list((daemon.state / "uploads").iterdir())


def test_a_model_over_the_configured_size_is_refused(new_daemon, tiny_model):
    daemon = new_daemon(stock=None, max_model_bytes=100_000).start()
    with daemon.client() as client:
        with refused("INVALID_ARGUMENT", "UPLOAD_TOO_LARGE"):
            client.upload_model("large", tiny_model)
        assert not list((daemon.state / "uploads").iterdir())


@pytest.mark.parametrize(
    "path", ["relative", "", "{root}/../x", "/etc", "/etc/passwd", "{root}/no-such", "{root}/a\0b"]
)
def test_only_a_path_below_an_import_root_is_read(path, client, tiny_model):
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        client.import_model("by-path-bad", path.format(root=tiny_model.parent))
    assert error.value.field_violations[0][0] == "path"


def test_a_link_out_of_the_import_root_is_not_followed(client, tiny_model, tmp_path):
    link = tiny_model.parent / "link"
    link.symlink_to(tmp_path)
    with refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        client.import_model("linked", str(link))
    assert "not below an import root" in error.value.message


def test_without_import_roots_no_path_is_read(new_daemon, tiny_model):
    daemon = new_daemon(stock=None).start()
    with daemon.client() as client, refused("INVALID_ARGUMENT", "FIELD_INVALID") as error:
        client.import_model("any", str(tiny_model))
    assert "none is configured" in error.value.message

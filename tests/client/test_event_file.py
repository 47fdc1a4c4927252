"""Event files, read back with tensorboardX's messages and checksum; its frames are taken apart here."""

import struct

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from honed.client.cli.event_file import event_file
from honed.v1.jobs_pb2 import JobEvent
from honed.v1.types_pb2 import Progress
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event, SessionLog

TAGS = [f"train/{name}" for name in ("loss", "learning_rate", "gradient_norm", "tokens_per_s", "memory_bytes")]


def records(path):
    """The frames of a TFRecord file, each checksum verified."""

    def verified(data, checksum):
        crc = crc32c(data)
        assert struct.unpack("<I", checksum)[0] == ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
        return data

    with path.open("rb") as file:
        while head := file.read(8):
            (length,) = struct.unpack("<Q", verified(head, file.read(4)))
            yield Event.FromString(verified(file.read(length), file.read(4)))


def read(folder):
    """The events behind the head, and the points by tag: (step, wall time, value)."""
    (path,) = folder.iterdir()
    head, *events = records(path)
    assert head.file_version == "brain.Event:2"
    points = {}
    for event in events:
        for value in event.summary.value:
            points.setdefault(value.tag, []).append((event.step, event.wall_time, value.simple_value))
    return events, points


def step(number, loss=2.5, **figures):
    time = Timestamp(seconds=1_700_000_000 + number, nanos=250_000_000)
    return JobEvent(time=time, progress=Progress(step=number, total_steps=400, loss=loss, **figures))


def write(folder, *events):
    with event_file(folder, "jobs/j1") as take:
        for event in events:
            take(event)


def test_every_figure_of_a_step_is_a_scalar_at_its_step_and_time(tmp_path):
    figures = {"learning_rate": 1e-4, "gradient_norm": 0.75, "tokens_per_s": 812.5, "memory_bytes": 3 << 30}
    write(tmp_path, step(1, **figures), step(300, 0.5, **figures, validation_loss=0.625))
    _, points = read(tmp_path / "j1")
    assert list(points) == [*TAGS, "validation/loss"]
    assert points["train/loss"] == [(1, 1_700_000_001.25, 2.5), (300, 1_700_000_300.25, 0.5)]
    assert points["validation/loss"] == [(300, 1_700_000_300.25, 0.625)]
    assert points["train/memory_bytes"][0][2] == 3 << 30
    assert points["train/learning_rate"][0][2] == pytest.approx(1e-4, rel=1e-7)  # a float32


def test_what_is_no_training_step_is_left_out(tmp_path):
    rows = JobEvent(progress=Progress(step=3, total_steps=9))
    write(tmp_path, JobEvent(phase="tuning"), rows, JobEvent(log="text"), step(1))
    events, points = read(tmp_path / "j1")
    assert len(events) == 1
    assert list(points) == ["train/loss"]


def test_a_job_without_training_has_no_file(tmp_path):
    write(tmp_path, JobEvent(phase="exporting"))
    assert list((tmp_path / "j1").iterdir()) == []


def test_a_job_that_started_over_takes_its_later_steps_back(tmp_path):
    write(tmp_path, step(1), step(2), step(3), step(1, 2.25), step(2, 2.0))
    events, _ = read(tmp_path / "j1")
    logs = [(event.step, event.session_log.status) for event in events if event.HasField("session_log")]
    assert logs == [(1, SessionLog.START)]
    assert events[3].HasField("session_log")


def test_writing_a_job_again_replaces_its_file_and_nothing_else(tmp_path):
    (tmp_path / "j1").mkdir()
    (tmp_path / "j1" / "notes").write_text("mine")
    write(tmp_path, step(1), step(2))
    write(tmp_path, step(5))
    (tmp_path / "j1" / "notes").unlink()
    assert [event.step for event in read(tmp_path / "j1")[0]] == [5]


def test_a_reader_sees_each_step_at_once(tmp_path):
    with event_file(tmp_path, "jobs/j1") as take:
        for number in (1, 2):
            take(step(number))
            assert len(read(tmp_path / "j1")[0]) == number


def test_without_a_folder_nothing_is_written():
    write(None, step(1))

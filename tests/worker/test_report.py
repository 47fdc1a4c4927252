import pytest
from honed.errors import Failure, InvalidInput
from honed.worker.contract import EVENTS_FILE, read_events
from honed.worker.report import Report


@pytest.fixture
def report(tmp_path):
    report = Report(tmp_path)
    yield report
    report._file.close()  # a worker leaves that to its end


def events(folder):
    return [event for event, _ in read_events(folder / EVENTS_FILE, 0)]


def test_events_are_numbered_from_one_and_on_disk_at_once(report, tmp_path):
    report.phase("tuning")
    report.log("a line")
    report.progress(step=1, total_steps=9, loss=0.5, validation_loss=None)
    report.evaluation({"subject": "tuned", "correct": 3})
    report.result({"adapter": {"digest": "ab"}})
    found = events(tmp_path)
    assert [event.sequence for event in found] == [1, 2, 3, 4, 5]
    assert [(event.kind, event.data) for event in found] == [
        ("phase", {"phase": "tuning"}),
        ("log", {"text": "a line"}),
        ("progress", {"step": 1, "total_steps": 9, "loss": 0.5}),
        ("evaluation", {"subject": "tuned", "correct": 3}),
        ("result", {"adapter": {"digest": "ab"}}),
    ]


def test_a_failure_arrives_as_the_error_it_was(report, tmp_path):
    error = InvalidInput("bad rows", reason="ROWS_INVALID", violations=(("row 1", "empty"),), bad_rows=1)
    report.failure(error)
    (event,) = events(tmp_path)
    arrived = Failure.from_json(event.data).to_error()
    assert type(arrived) is InvalidInput
    assert Failure.of(arrived) == Failure.of(error)


def test_progress_over_rows_is_quiet_but_always_tells_the_end(report, tmp_path):
    tell = report.rows()
    for done in range(1, 1001):
        tell(done, 1000)
    found = events(tmp_path)
    assert len(found) < 10
    assert found[-1].data == {"step": 1000, "total_steps": 1000, "eta_s": 0}

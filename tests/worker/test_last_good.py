import json

import pytest
from honed.tune.guard import Diverged
from honed.worker.report import Report
from honed.worker.tune import name_last_good


@pytest.fixture
def named(tmp_path):
    """What is said of a run with checkpoints of steps 40 and 47, diverged behind a step: metadata and log."""
    checkpoints = tmp_path / "job" / "checkpoints"
    for name in ("step-00000040", "step-00000047", "unfinished"):
        (checkpoints / name).mkdir(parents=True)

    report = Report(tmp_path)

    def named(last_good_step):
        error = Diverged("m", reason="LOSS_EXPLODED", last_good_step=last_good_step)
        name_last_good(error, checkpoints, report)
        events = (tmp_path / "events.jsonl").read_text().splitlines()
        return error.metadata, [json.loads(event)["data"]["text"] for event in events]

    yield named
    report._file.close()  # a worker leaves that to its end


@pytest.mark.parametrize(("last_good_step", "step"), [(46, 40), (47, 47), (60, 47)])
def test_the_last_checkpoint_from_before_the_trouble_is_named(named, last_good_step, step):
    metadata, log = named(last_good_step)
    assert metadata == {"last_good_step": str(last_good_step), "checkpoint_step": str(step)}
    assert log == [
        f"The checkpoint of step {step} stays in jobs/job/checkpoints of the state folder until the job is deleted."
    ]


def test_none_is_named_where_all_are_from_the_trouble(named):
    assert named(39) == ({"last_good_step": "39"}, [])

import json
from dataclasses import asdict

import pytest
from honed.worker.contract import (
    EVENTS_FILE,
    SPEC_FILE,
    WORKS,
    CheckTemplateWork,
    CombineWork,
    EvaluateWork,
    Event,
    ExportWork,
    ImportWork,
    IngestWork,
    Limits,
    PlanWork,
    PreviewWork,
    SweepWork,
    TuneWork,
    now,
    read_events,
    read_spec,
    write_spec,
)

TUNE = TuneWork(
    model="m",
    dataset="d",
    base_precision="nf4",
    method="lora",
    rank=16,
    alpha=32.0,
    dropout=0.05,
    target_modules=["*.q_proj"],
    virtual_tokens=None,
    block_size=None,
    width=None,
    learning_rate=1e-3,
    epochs=2.5,
    max_steps=None,
    batch_size=8,
    warmup_fraction=0.06,
    max_gradient_norm=1.0,
    weight_decay=0.0,
    seed=2**63 - 1,
    validation_fraction=0.05,
    few_shot=0,
    evaluate=True,
    model_name="models/m",
    dataset_name="datasets/d",
    adapter_name="adapters/a",
    max_evaluation_rows=500,
    checkpoint_every_s=30,
    optimizer="adamw",
    micro_batch_tokens=None,
    gradient_checkpointing=None,
    compile=None,
    memory_bytes=None,
    label_smoothing=0.1,
    noise_alpha=5.0,
    patience=3,
    objective="all_tokens",
    earlier=[{"name": "datasets/e", "folder": "e"}],
    augmentation={"typos": 1},
    adapter="a",
    replay=[{"name": "datasets/e", "folder": "e"}],
    replay_fraction=0.2,
)
SWEEP = SweepWork(
    tune=asdict(TUNE),
    learning_rates=[1e-4, 1e-3],
    ranks=[8],
    epochs=[1.0, 2.5],
    alpha=None,
    strategy="halving",
    trials=20,
    time_limit_s=1.5,
)
INGEST = IngestWork(
    train_file="train",
    test_file=None,
    format="csv",
    shape=None,
    template={"task": "classify"},
    columns={"text": ["body"]},
    parameters={"language": "ä"},
    verbalizer={"a": "b"},
    instruction="",
    test_fraction=0.2,
    seed=3,
    group_column="customer",
    id_column="",
    model="m",
    model_name="models/m",
    long_rows="drop",
)
EVALUATE = EvaluateWork(
    dataset="d",
    dataset_name="datasets/d",
    subjects=[{"name": "models/m", "model": "m", "adapter": "", "export": ""}],
    shots=[0, 4],
    shot_choice="similar",
    slice_columns=["region"],
    earlier=[],
    max_rows=None,
    seed=0,
)
COMBINE = CombineWork(
    model="m",
    sources=[{"name": "adapters/a", "folder": "a"}, {"name": "adapters/b", "folder": "b"}],
    weights=[0.5, -1.0],
    method="svd",
    rank=4,
    density=None,
    seed=0,
    adapter_name="adapters/c",
    dataset=None,
    dataset_name="",
    max_evaluation_rows=500,
    earlier=[],
    target_modules=["*.q_proj"],
)
SPECS = [
    INGEST,
    PreviewWork("d", "m", 3),
    CheckTemplateWork({"name": "templates/t"}),
    ImportWork("/ä/ö", "exports/m-base", {"model.safetensors": "ab"}),
    TUNE,
    PlanWork(asdict(TUNE)),
    SWEEP,
    EVALUATE,
    ExportWork("m", None, None, "", "onnx-int8"),
    COMBINE,
]


@pytest.mark.parametrize("work", SPECS, ids=lambda work: work.kind)
def test_a_spec_survives_the_way_over_the_disk(tmp_path, work):
    for limits in (None, Limits(cpu_s=3, memory_bytes=1 << 30, wall_s=2.5)):
        write_spec(tmp_path, work, limits)
        assert read_spec(tmp_path) == (work, limits or Limits())


def test_every_kind_of_work_is_known_by_its_name():
    assert {type(work) for work in SPECS} == set(WORKS.values())
    assert all(work.kind == kind for kind, work in WORKS.items())


def test_a_spec_is_json_and_nothing_else(tmp_path):
    write_spec(tmp_path, TUNE)
    assert json.loads((tmp_path / SPEC_FILE).read_text())["kind"] == "tune"


def event(sequence, text="ä\n\u2028"):
    return Event(sequence, now(), "log", {"text": text})


def test_an_event_survives_the_way_over_the_disk_in_one_line():
    line = event(1).to_line()
    assert line.count(b"\n") == 1
    assert Event.from_line(line).data == {"text": "ä\n\u2028"}


def test_events_are_read_from_an_offset_on_and_give_the_next_one(tmp_path):
    path, lines = tmp_path / EVENTS_FILE, [event(number).to_line() for number in (1, 2, 3)]
    path.write_bytes(b"".join(lines))
    found = list(read_events(path, 0))
    assert [each.sequence for each, _ in found] == [1, 2, 3]
    for (_, offset), rest in zip(found, ([2, 3], [3], []), strict=True):
        assert [each.sequence for each, _ in read_events(path, offset)] == rest


def test_a_line_that_is_still_being_written_is_left_for_later(tmp_path):
    path, lines = tmp_path / EVENTS_FILE, [event(number).to_line() for number in (1, 2)]
    whole = b"".join(lines)
    for end in range(len(lines[0]), len(whole)):
        path.write_bytes(whole[:end])
        found = list(read_events(path, 0))
        assert [each.sequence for each, _ in found] == [1]
        assert found[-1][1] == len(lines[0])
    path.write_bytes(whole)
    assert [each.sequence for each, _ in read_events(path, len(lines[0]))] == [2]


def test_a_worker_that_has_written_nothing_has_no_events(tmp_path):
    assert list(read_events(tmp_path / EVENTS_FILE, 0)) == []

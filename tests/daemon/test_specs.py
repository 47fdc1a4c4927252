import math
import re
from pathlib import Path

import pytest
from honed.daemon.rpc.specs import (
    _MAX_COPIES,
    _TUNE_NUMBERS,
    complete_evaluate,
    complete_export,
    complete_sweep,
    complete_tune,
    take_over,
)
from honed.errors import InvalidInput
from honed.v1 import jobs_pb2
from honed.v1.jobs_pb2 import Augmentation, EvaluateSpec, ExportSpec, SweepSpec, TuneSpec

PROTO = (Path(__file__).parents[2] / "protos/honed/v1/jobs.proto").read_text("utf-8")
FIELDS = TuneSpec.DESCRIPTOR.fields_by_name
NUMBERS = [*_TUNE_NUMBERS, "alpha"]
FRACTIONS = [field for field in NUMBERS if FIELDS[field].type == FIELDS[field].TYPE_DOUBLE]
BESIDE = {"replay_fraction": {"replay_datasets": ["datasets/old"]}}  # what a field is refused without
OWNER = {"virtual_tokens": "METHOD_PREFIX", "block_size": "METHOD_OFT", "width": "METHOD_BOTTLENECK"}
RANGES = {field: bounds[1:] for field, bounds in _TUNE_NUMBERS.items()} | {"alpha": (0, 1e4, False)}


def of_its_method(field, value):
    """A spec with a field, and the method that takes it."""
    return {field: value, "method": OWNER.get(field, "METHOD_LORA")}


def refusal(**values):
    with pytest.raises(InvalidInput) as caught:
        complete_tune(TuneSpec(**values))
    assert caught.value.reason == "FIELD_INVALID"
    return caught.value


def test_an_empty_spec_gets_every_default_that_the_proto_promises():
    settings = complete_tune(TuneSpec())
    comments = re.findall(r"//([^\n]*)\n  optional \w+ (\w+) =", PROTO)
    promised = {
        field: match[1] for text, field in comments if (match := re.search(r"unset means ([\d.e-]+\d|\d)", text))
    }
    some = {"rank", "learning_rate", "epochs", "batch_size", "validation_fraction", "seed", "max_evaluation_rows"}
    assert set(promised) >= some
    assert complete_sweep(sweep())[1]["trials"] == int(promised.pop("max_trials"))
    for field in OWNER:
        default = complete_tune(TuneSpec(method=OWNER[field]))[field]
        assert default == float(promised.pop(field))
        assert settings[field] is None
    assert {field: settings[field] for field in promised} == {field: float(text) for field, text in promised.items()}
    assert (settings["alpha"], settings["max_steps"], settings["few_shot"]) == (32, None, None)
    assert (settings["base_precision"], settings["augmentation"]) == ("nf4", {})


def test_the_defaults_are_written_back_into_the_spec():
    spec = TuneSpec(rank=8)
    complete_tune(spec)
    assert (spec.alpha, spec.batch_size, spec.base_precision) == (16, 16, jobs_pb2.BASE_PRECISION_NF4)
    assert not spec.HasField("max_steps")


def test_given_values_stay():
    settings = complete_tune(TuneSpec(rank=4, alpha=1.5, few_shot=0, max_steps=7, base_precision="BASE_PRECISION_BF16"))
    assert (settings["rank"], settings["alpha"], settings["few_shot"], settings["max_steps"]) == (4, 1.5, 0, 7)
    assert settings["base_precision"] == "bf16"


@pytest.mark.parametrize("field", NUMBERS)
def test_a_range_holds_its_ends_and_nothing_beyond(field):
    low, high, closed = RANGES[field]
    if field in FRACTIONS:
        inside = [low if closed else math.nextafter(low, math.inf), high]
        outside = [math.nextafter(low, -math.inf) if closed else low, math.nextafter(high, math.inf)]
    else:
        inside, outside = [low, high], [low - 1, high + 1]
    for value in inside:
        assert complete_tune(TuneSpec(**of_its_method(field, value), **BESIDE.get(field, {})))[field] == value
    for value in outside:
        if field == "seed" and value > 0:
            continue  # beyond int64: protobuf itself refuses it
        error = refusal(**of_its_method(field, value), **BESIDE.get(field, {}))
        assert (f"job.tune.{field}") in [name for name, _ in error.violations]


@pytest.mark.parametrize("field", FRACTIONS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_in_no_range(field, value):
    assert refusal(**{field: value}).violations[0][0] == f"job.tune.{field}"


def test_all_mistakes_are_told_at_once():
    error = refusal(rank=0, alpha=-1, dropout=1, learning_rate=0, base_precision=7)
    assert [field for field, _ in error.violations] == [
        f"job.tune.{field}" for field in ("rank", "dropout", "learning_rate", "alpha", "base_precision")
    ]
    assert "expected 1 to 512, found 0" in error.message


def test_a_bad_rank_is_not_blamed_on_an_alpha_that_nobody_gave():
    assert [field for field, _ in refusal(rank=0).violations] == ["job.tune.rank"]


def test_augmentation_is_told_by_the_kinds_that_are_asked_for():
    assert set(_MAX_COPIES) == set(Augmentation.DESCRIPTOR.fields_by_name)
    spec = TuneSpec(augmentation=Augmentation(typos=2, paraphrase=4))
    assert complete_tune(spec)["augmentation"] == {"typos": 2, "paraphrase": 4}
    assert complete_tune(TuneSpec(augmentation=Augmentation()))["augmentation"] == {}


@pytest.mark.parametrize("kind", _MAX_COPIES)
def test_copies_of_a_row_have_a_limit_that_the_proto_promises(kind):
    (most,) = re.findall(rf"0 to (\d+)\.(?:[^\n]*\n)?[^\n]*\n  int32 {kind} =", PROTO)
    assert _MAX_COPIES[kind] == int(most)
    for count in (-1, int(most) + 1):
        error = refusal(augmentation=Augmentation(**{kind: count}))
        assert [field for field, _ in error.violations] == [f"job.tune.augmentation.{kind}"]


def test_forgetting_is_not_asked_for_where_nothing_is_measured():
    error = refusal(skip_evaluation=True, earlier_datasets=["datasets/a"])
    assert [field for field, _ in error.violations] == ["job.tune.earlier_datasets"]


def sweep(tune=None, **values):
    return SweepSpec(tune=TuneSpec(**tune or {}), **{"learning_rates": [1e-4, 1e-3], **values})


def test_what_a_sweep_searches_comes_beside_the_settings_of_its_tunings():
    spec = sweep({"batch_size": 8}, ranks=[4, 8])
    settings, search = complete_sweep(spec)
    assert (settings["batch_size"], settings["epochs"], settings["validation_fraction"]) == (8, 3, 0.05)
    assert search == {
        "learning_rates": [1e-4, 1e-3],
        "ranks": [4, 8],
        "epochs": [3.0],
        "alpha": None,
        "strategy": "grid",
        "trials": 20,
        "time_limit_s": None,
    }


def test_a_completed_sweep_leaves_what_is_searched_unset_and_can_be_sent_again():
    spec = sweep(ranks=[4, 8])
    first = complete_sweep(spec)
    assert (spec.strategy, spec.max_trials) == (jobs_pb2.SWEEP_STRATEGY_GRID, 20)
    assert [field for field in ("learning_rate", "rank", "alpha", "epochs") if spec.tune.HasField(field)] == ["epochs"]
    assert complete_sweep(spec) == first


def test_a_given_alpha_and_a_time_limit_hold_for_all_trials():
    spec = sweep({"alpha": 3}, ranks=[4, 8], strategy="SWEEP_STRATEGY_RANDOM", max_trials=2)
    spec.time_limit.FromMilliseconds(1500)
    _, search = complete_sweep(spec)
    assert (search["alpha"], search["time_limit_s"]) == (3, 1.5)
    assert (search["strategy"], search["trials"]) == ("random", 2)  # the limit of a grid is no limit of draws


def test_a_grid_as_large_as_the_limit_is_made_and_a_larger_one_refused_with_the_counts():
    values = {"learning_rates": [1e-4, 1e-3, 1e-2], "ranks": [4, 8]}
    assert complete_sweep(sweep(max_trials=6, **values))[1]["trials"] == 6
    with pytest.raises(InvalidInput, match="expected 6 or more for a grid of 3 x 2 x 1 trials, found 5"):
        complete_sweep(sweep(max_trials=5, **values))


@pytest.mark.parametrize(
    ("spec", "field", "part"),
    [
        (sweep(learning_rates=[]), "learning_rates", "two or more"),
        (sweep(learning_rates=[1e-3]), "learning_rates", "two or more"),
        (sweep(learning_rates=[1e-3, 0]), "learning_rates", "found 0"),
        (sweep(learning_rates=[1e-3, math.nan]), "learning_rates", "found nan"),
        (sweep(ranks=[8, 513]), "ranks", "found 513"),
        (sweep(epochs=[1, 1001]), "epochs", "found 1001"),
        (sweep(ranks=[8, 8]), "ranks", "8 is given twice"),
        (sweep({"learning_rate": 1e-3}), "tune.learning_rate", "refused beside learning_rates"),
        (sweep({"epochs": 2}, epochs=[3]), "tune.epochs", "refused beside epochs"),
        (sweep(strategy=9), "strategy", "found 9"),
        (sweep(max_trials=0, strategy="SWEEP_STRATEGY_RANDOM"), "max_trials", "found 0"),
        (sweep(max_trials=1001), "max_trials", "found 1001"),
        (sweep(time_limit={"seconds": 0}), "time_limit", "found 0 s"),
        (sweep(time_limit={"seconds": 366 * 24 * 3600}), "time_limit", "found 3.16224e+07 s"),
        (sweep({"adapter": "adapters/a"}), "tune.adapter", "fresh"),
        (sweep({"validation_fraction": 0}), "tune.validation_fraction", "above 0"),
        (sweep({"epochs": 1}, strategy="SWEEP_STRATEGY_HALVING"), "epochs", "more than 1"),
        (sweep({"dropout": 2}), "tune.dropout", "found 2"),
    ],
)
def test_a_sweep_out_of_form_is_refused_by_its_field(spec, field, part):
    with pytest.raises(InvalidInput) as caught:
        complete_sweep(spec)
    assert [name for name, _ in caught.value.violations] == [f"job.sweep.{field}"]
    assert part in caught.value.message


def test_all_mistakes_of_a_sweep_are_told_at_once():
    with pytest.raises(InvalidInput) as caught:
        complete_sweep(sweep({"dropout": 2, "rank": 4}, ranks=[0, 1], strategy=9, max_trials=0))
    assert [name.removeprefix("job.sweep.") for name, _ in caught.value.violations] == [
        "tune.rank",
        "ranks",
        "strategy",
        "max_trials",
        "tune.dropout",
    ]


def test_a_fifth_is_replayed_unless_told_otherwise_and_nothing_without_data_sets():
    spec = TuneSpec(replay_datasets=["datasets/old"])
    assert complete_tune(spec)["replay_fraction"] == spec.replay_fraction == 0.2
    assert complete_tune(TuneSpec())["replay_fraction"] is None
    assert [field for field, _ in refusal(replay_fraction=0.2).violations] == ["job.tune.replay_fraction"]


EARLIER = TuneSpec(model="models/m", base_precision="BASE_PRECISION_BF16", rank=8, alpha=4, learning_rate=0.5, seed=3)


def test_a_continued_tuning_takes_over_what_its_adapter_settles_and_no_more():
    spec = TuneSpec(adapter="adapters/a", rank=8)
    take_over(spec, EARLIER)
    assert spec == TuneSpec(
        adapter="adapters/a", model="models/m", base_precision="BASE_PRECISION_BF16", rank=8, alpha=4
    )


def test_what_a_continued_tuning_cannot_change_is_refused_with_both_values():
    spec = TuneSpec(adapter="adapters/a", model="models/n", base_precision="BASE_PRECISION_NF4", rank=4, alpha=4)
    with pytest.raises(InvalidInput) as caught:
        take_over(spec, EARLIER)
    assert caught.value.violations == tuple(
        (f"job.tune.{field}", f"expected {expected}, that of adapters/a, found {found}; leave it out")
        for field, expected, found in (
            ("model", "models/m", "models/n"),
            ("base_precision", "bf16", "nf4"),
            ("rank", 8, 4),
        )
    )


def test_an_empty_evaluation_gets_every_default():
    spec = EvaluateSpec()
    assert complete_evaluate(spec, ["region", "product"]) == {
        "shots": [],
        "shot_choice": "per_label",
        "slice_columns": ["region", "product"],
        "max_rows": None,
        "seed": 0,
    }
    assert list(spec.slice_columns) == ["region", "product"]
    assert (spec.shot_choice, spec.HasField("seed")) == (jobs_pb2.SHOT_CHOICE_PER_LABEL, True)


def test_what_an_evaluation_asks_for_stays():
    spec = EvaluateSpec(
        shots=[64, 0, 4], shot_choice="SHOT_CHOICE_SIMILAR", slice_columns=["b"], max_rows=1, seed=2**63 - 1
    )
    assert complete_evaluate(spec, ["a", "b"]) == {
        "shots": [64, 0, 4],
        "shot_choice": "similar",
        "slice_columns": ["b"],
        "max_rows": 1,
        "seed": 2**63 - 1,
    }


@pytest.mark.parametrize(
    ("values", "field", "part"),
    [
        ({"shots": [0, 65]}, "shots", "found 65"),
        ({"shots": [-1]}, "shots", "found -1"),
        ({"shots": [4, 2, 4]}, "shots", "4 is given twice"),
        ({"shot_choice": 9}, "shot_choice", "found 9"),
        ({"slice_columns": ["a", "c"]}, "slice_columns", "'c' is none of the data set's: a, b"),
        ({"slice_columns": ["a", "a"]}, "slice_columns", "'a' is given twice"),
        ({"max_rows": 0}, "max_rows", "found 0"),
        ({"seed": -1}, "seed", "found -1"),
    ],
)
def test_an_evaluation_out_of_range_is_refused_by_its_field(values, field, part):
    with pytest.raises(InvalidInput) as caught:
        complete_evaluate(EvaluateSpec(**values), ["a", "b"])
    assert [name for name, _ in caught.value.violations] == [f"job.evaluate.{field}"]
    assert part in caught.value.message


def test_all_mistakes_of_an_evaluation_are_told_at_once():
    with pytest.raises(InvalidInput) as caught:
        complete_evaluate(EvaluateSpec(shots=[99], slice_columns=["x"], max_rows=0, seed=-1), [])
    assert [name.rpartition(".")[2] for name, _ in caught.value.violations] == [
        "shots",
        "slice_columns",
        "max_rows",
        "seed",
    ]


def test_an_export_is_int8_unless_told_otherwise():
    spec = ExportSpec()
    assert complete_export(spec) == "onnx-int8"
    assert spec.format == jobs_pb2.EXPORT_FORMAT_ONNX_INT8
    assert complete_export(ExportSpec(format="EXPORT_FORMAT_ONNX_FP32")) == "onnx-fp32"
    with pytest.raises(InvalidInput, match="found 9"):
        complete_export(ExportSpec(format=9))

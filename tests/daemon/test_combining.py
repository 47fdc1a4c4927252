import math

import pytest
from honed.daemon.rpc.combining import complete_combine, require_one_contract, require_several
from honed.errors import InvalidInput, WrongState
from honed.v1 import jobs_pb2
from honed.v1.jobs_pb2 import CombineSpec, WeightedAdapter

CONTRACT = {"base_precision": "nf4", "weights": "w", "quantised_weights": "q"}


def combination(method=None, weights=(0.5, 0.5), **values):
    adapters = [WeightedAdapter(adapter=f"adapters/{n}", weight=weight) for n, weight in enumerate(weights)]
    return CombineSpec(adapters=adapters, method=f"COMBINE_METHOD_{method.upper()}" if method else None, **values)


def refusal(spec, ranks=(4, 4)):
    with pytest.raises(InvalidInput) as caught:
        complete_combine(spec, ranks)
    assert caught.value.reason == "FIELD_INVALID"
    return [(field.removeprefix("job.combine."), what) for field, what in caught.value.violations]


def test_an_empty_combination_gets_every_default_and_shows_it():
    spec = combination()
    assert complete_combine(spec, (4, 2)) == {
        "weights": [0.5, 0.5],
        "method": "cat",
        "rank": 6,
        "density": None,
        "seed": 0,
        "max_evaluation_rows": 500,
    }
    assert (spec.method, spec.max_evaluation_rows) == (jobs_pb2.COMBINE_METHOD_CAT, 500)
    assert spec.HasField("seed")
    assert not spec.HasField("rank")
    assert not spec.HasField("density")


@pytest.mark.parametrize(
    ("method", "ranks", "values", "rank", "density"),
    [
        ("linear", (4, 4), {}, 4, None),
        ("cat", (4, 8), {}, 12, None),
        ("svd", (4, 8), {}, 8, None),
        ("svd", (4, 8), {"rank": 12}, 12, None),
        ("ties", (4, 4), {}, 4, 0.5),
        ("dare_linear", (4, 4), {"density": 0.01}, 4, 0.01),
        ("dare_ties", (4, 4), {"density": 1}, 4, 1),
    ],
)
def test_every_method_knows_its_rank_and_its_density(method, ranks, values, rank, density):
    spec = combination(method, **values)
    settings = complete_combine(spec, ranks)
    assert (settings["method"], settings["rank"], settings["density"]) == (method, rank, density)
    assert spec.density == (density or 0)
    assert spec.rank == (rank if method == "svd" else 0)


@pytest.mark.parametrize(
    ("spec", "ranks", "field", "part"),
    [
        (combination("linear", rank=4), (4, 4), "rank", "SVD alone"),
        (combination("svd", density=0.5), (4, 4), "density", "TIES and DARE alone"),
        (combination("svd", rank=0), (4, 4), "rank", "1 to 8, found 0"),
        (combination("svd", rank=9), (4, 4), "rank", "1 to 8, found 9"),
        (combination("svd", rank=513), (512, 512), "rank", "1 to 512"),
        (combination("cat"), (512, 1), "adapters", "513"),
        (combination("linear"), (4, 8), "adapters", "of one rank, found 4, 8"),
        (combination("dare_ties"), (4, 8), "adapters", "of one rank"),
        (combination("ties", density=0.009), (4, 4), "density", "0.01 to 1"),
        (combination("ties", density=math.nan), (4, 4), "density", "found nan"),
        (combination("ties", weights=(1, -1)), (4, 4), "adapters", "weight of 0 to 100"),
        (combination("linear", weights=(1, 0)), (4, 4), "adapters", "not 0"),
        (combination("linear", weights=(1, -101)), (4, 4), "adapters", "-100 to 100"),
        (combination("linear", weights=(math.inf, 1)), (4, 4), "adapters", "found inf"),
        (combination("linear", weights=(math.nan, 1)), (4, 4), "adapters", "found nan"),
        (combination(seed=-1), (4, 4), "seed", "found -1"),
        (combination(max_evaluation_rows=0), (4, 4), "max_evaluation_rows", "found 0"),
        (combination(max_evaluation_rows=5, skip_evaluation=True), (4, 4), "max_evaluation_rows", "measures nothing"),
        (CombineSpec(adapters=combination().adapters, method=99), (4, 4), "method", "found 99"),
    ],
)
def test_what_cannot_be_combined_so_is_refused_by_its_field(spec, ranks, field, part):
    ((name, what),) = refusal(spec, ranks)
    assert name == field
    assert part in what


def test_all_mistakes_are_told_at_once():
    spec = combination("linear", weights=(0, 1), rank=3, density=0.5, seed=-1)
    assert [field for field, _ in refusal(spec)] == ["adapters", "rank", "density", "seed"]


@pytest.mark.parametrize("count", [0, 1, 9])
def test_two_to_eight_are_combined(count):
    with pytest.raises(InvalidInput, match=f"2 to 8, found {count}"):
        require_several(combination(weights=[1] * count))
    require_several(combination(weights=[1] * 8))


@pytest.mark.parametrize("part", CONTRACT)
def test_adapters_of_another_contract_are_refused_by_the_part_and_both_names(part):
    contracts = {"adapters/a": CONTRACT, "adapters/b": dict(CONTRACT)}
    require_one_contract(contracts)
    with pytest.raises(WrongState, match="adapters/a and adapters/c") as caught:
        require_one_contract(contracts | {"adapters/c": CONTRACT | {part: "other"}})
    assert caught.value.reason == "CONTRACT_MISMATCH"
    assert caught.value.metadata == {"part": part, "expected": CONTRACT[part], "found": "other"}

"""CombineSpec: its fields checked, its defaults filled in, its adapters held against each other. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from honed.daemon.rpc.specs import MAX_RANK, MAX_ROWS, MAX_SEED, raise_mistakes, range_mistakes
from honed.errors import InvalidInput, WrongState
from honed.v1 import jobs_pb2

Method = Literal["linear", "cat", "svd", "ties", "dare_linear", "dare_ties"]

MAX_ADAPTERS = 8
_METHODS: dict[int, Method] = {
    jobs_pb2.COMBINE_METHOD_LINEAR: "linear",
    jobs_pb2.COMBINE_METHOD_CAT: "cat",
    jobs_pb2.COMBINE_METHOD_SVD: "svd",
    jobs_pb2.COMBINE_METHOD_TIES: "ties",
    jobs_pb2.COMBINE_METHOD_DARE_LINEAR: "dare_linear",
    jobs_pb2.COMBINE_METHOD_DARE_TIES: "dare_ties",
}
_THIN: frozenset[Method] = frozenset({"ties", "dare_linear", "dare_ties"})  # take a density
_ELECT: frozenset[Method] = frozenset({"ties", "dare_ties"})  # elect a sign before the weights are looked at
_MAX_WEIGHT = 100
_DENSITY = 0.5


def complete_combine(spec: jobs_pb2.CombineSpec, ranks: Sequence[int]) -> dict[str, Any]:
    """Fills the defaults into `spec`, but for its data set, and returns the settings as CombineWork takes them.

    Args:
        ranks: of the adapters, in the order of `spec.adapters`.

    Raises:
        InvalidInput: a value is out of range, or of no use to the method; `violations` lists all of them.
    """
    given = {field.name for field, _ in spec.ListFields()}
    if spec.method == jobs_pb2.COMBINE_METHOD_UNSPECIFIED:
        spec.method = jobs_pb2.COMBINE_METHOD_CAT
    if spec.method not in _METHODS:
        raise_mistakes("job.combine", [("method", f"expected a CombineMethod, found {spec.method}")])
    method = _METHODS[spec.method]
    mistakes = [*_weight_mistakes(spec, method), *_rank_mistakes(spec, method, ranks)]
    if "density" in given and method not in _THIN:
        mistakes.append(("density", f"refused beside {method}: TIES and DARE alone take it"))
    if "max_evaluation_rows" in given and spec.skip_evaluation:
        mistakes.append(("max_evaluation_rows", "refused beside skip_evaluation, which measures nothing"))
    mistakes += range_mistakes(spec, "density", 0.01, 1) if method in _THIN else []
    mistakes += range_mistakes(spec, "seed", 0, MAX_SEED)
    mistakes += range_mistakes(spec, "max_evaluation_rows", 1, MAX_ROWS)
    raise_mistakes("job.combine", mistakes)
    if method == "svd" and "rank" not in given:
        spec.rank = max(ranks)
    if method in _THIN and "density" not in given:
        spec.density = _DENSITY
    spec.seed = spec.seed  # absent reads as 0
    if "max_evaluation_rows" not in given:
        spec.max_evaluation_rows = 500
    return {
        "weights": [each.weight for each in spec.adapters],
        "method": method,
        "rank": {"svd": spec.rank, "cat": sum(ranks)}.get(method, ranks[0]),
        "density": spec.density if method in _THIN else None,
        "seed": spec.seed,
        "max_evaluation_rows": spec.max_evaluation_rows,
    }


def require_one_contract(contracts: Mapping[str, Mapping[str, str]]) -> None:
    """Raises WrongState if adapters, by name, were trained with different things."""
    (first, expected), *others = contracts.items()
    for name, found in others:
        if part := next((part for part in expected if found[part] != expected[part]), None):
            raise WrongState(
                f"{first} and {name} were trained with another {part.replace('_', ' ')}: {expected[part]} and "
                f"{found[part]}. Combine adapters of one base in one format, tuned with the same versions.",
                reason="CONTRACT_MISMATCH",
                part=part,
                expected=expected[part],
                found=found[part],
            )


def require_several(spec: jobs_pb2.CombineSpec) -> None:
    """Raises InvalidInput if there are too few adapters, or too many."""
    if not 2 <= len(spec.adapters) <= MAX_ADAPTERS:
        raise InvalidInput.of_field("job.combine.adapters", f"expected 2 to {MAX_ADAPTERS}, found {len(spec.adapters)}")


def _weight_mistakes(spec: jobs_pb2.CombineSpec, method: Method) -> list[tuple[str, str]]:
    low = 0 if method in _ELECT else -_MAX_WEIGHT
    return [
        ("adapters", f"expected a weight of {low} to {_MAX_WEIGHT}, not 0, for {method}, found {each.weight:g}")
        for each in spec.adapters
        if not (low <= each.weight <= _MAX_WEIGHT and each.weight)
    ]


def _rank_mistakes(spec: jobs_pb2.CombineSpec, method: Method, ranks: Sequence[int]) -> list[tuple[str, str]]:
    together = sum(ranks)
    if method == "svd":
        return range_mistakes(spec, "rank", 1, min(together, MAX_RANK))
    mistakes: list[tuple[str, str]] = []
    if spec.HasField("rank"):
        mistakes.append(("rank", f"refused beside {method}: SVD alone takes it"))
    if method == "cat" and together > MAX_RANK:
        mistakes.append(("adapters", f"their ranks sum up to {together}, cat takes {MAX_RANK} at most; use SVD"))
    if method != "cat" and len(set(ranks)) > 1:
        mistakes.append(("adapters", f"{method} takes adapters of one rank, found {', '.join(map(str, ranks))}"))
    return mistakes

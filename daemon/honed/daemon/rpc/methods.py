"""Tuning methods as the control plane knows them: options, defaults, and whether an adapter can be served. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from honed.errors import InvalidInput
from honed.v1 import jobs_pb2

_RANKED = frozenset({"rank", "alpha", "dropout", "target_modules"})
_COMPILED = _RANKED | {"compile"}


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        word: its name in TuneWork.
        learning_rate: of TuneSpec, where none is given.
        options: fields of TuneSpec that it takes and others refuse.
        served: whether an export can serve its adapters.
        combined: whether its adapters are plain low-rank ones of the rank asked for, which can be combined.
        continued: whether a tuning can go on from its adapters, whose parameters are then those that were saved.
    """

    word: str
    learning_rate: float
    options: frozenset[str] = frozenset()
    served: bool = True
    combined: bool = False
    continued: bool = False


METHODS: dict[int, Method] = {
    jobs_pb2.METHOD_LORA: Method("lora", 1e-3, _COMPILED, combined=True, continued=True),
    jobs_pb2.METHOD_RSLORA: Method("rslora", 1e-3, _COMPILED, combined=True, continued=True),
    jobs_pb2.METHOD_DORA: Method("dora", 1e-3, _RANKED, continued=True),
    jobs_pb2.METHOD_PISSA: Method("pissa", 2e-4, _COMPILED),
    jobs_pb2.METHOD_LOFTQ: Method("loftq", 1e-3, _COMPILED, combined=True),
    jobs_pb2.METHOD_IA3: Method("ia3", 3e-3),
    jobs_pb2.METHOD_OFT: Method("oft", 1e-3, frozenset({"target_modules", "block_size"})),
    jobs_pb2.METHOD_PREFIX: Method("prefix", 1e-2, frozenset({"virtual_tokens"}), served=False),
    jobs_pb2.METHOD_PROMPT: Method("prompt", 3e-2, frozenset({"virtual_tokens"}), served=False),
    jobs_pb2.METHOD_BOTTLENECK: Method("bottleneck", 1e-3, frozenset({"width"}), served=False),
    jobs_pb2.METHOD_FULL: Method("full", 2e-5),
}
OPTIONS = frozenset[str]().union(*(method.options for method in METHODS.values()))
_RSLORA_ALPHA = 8.0


def default_alpha(spec: jobs_pb2.TuneSpec) -> float:
    """The scale of TuneSpec, where none is given: that of rsLoRA must not grow with the rank."""
    return _RSLORA_ALPHA if spec.method == jobs_pb2.METHOD_RSLORA else 2.0 * spec.rank


def default_precision(spec: jobs_pb2.TuneSpec) -> jobs_pb2.BasePrecision:
    """The format of the base, where none is given."""
    return jobs_pb2.BASE_PRECISION_BF16 if spec.method == jobs_pb2.METHOD_FULL else jobs_pb2.BASE_PRECISION_NF4


def precision_mistakes(spec: jobs_pb2.TuneSpec) -> list[tuple[str, str]]:
    """What is wrong with the format of the base, given the method."""
    if spec.method == jobs_pb2.METHOD_FULL and spec.base_precision == jobs_pb2.BASE_PRECISION_NF4:
        return [("base_precision", "expected BF16 with full, found NF4: 4-bit weights cannot train")]
    if spec.method == jobs_pb2.METHOD_LOFTQ and spec.base_precision == jobs_pb2.BASE_PRECISION_BF16:
        return [("base_precision", "expected NF4 with loftq, found BF16: it makes up for what NF4 loses; use lora")]
    return []


def option_mistakes(spec: jobs_pb2.TuneSpec, method: Method) -> list[tuple[str, str]]:
    """Options that are given and belong to other methods."""
    given = {field.name for field, _ in spec.ListFields()}
    return [
        (option, f"refused with {method.word}; it is an option of {', '.join(_takers(option))}")
        for option in sorted(given & (OPTIONS - method.options))
    ]


def unserved(spec: jobs_pb2.TuneSpec) -> str | None:
    """What no export can serve yet of an adapter: its head, or its method."""
    if spec.objective == jobs_pb2.OBJECTIVE_CLASSIFICATION:
        return "a classification head"
    method = METHODS[spec.method or jobs_pb2.METHOD_LORA]
    return None if method.served else method.word


def require_served(name: str, spec: jobs_pb2.TuneSpec) -> None:
    """Raises InvalidInput if no export can serve an adapter."""
    if word := unserved(spec):
        raise InvalidInput(
            f"{name} was tuned with {word}, which no export can serve yet. It can be evaluated: hone eval {name}. To "
            f"serve a model, tune it with {', '.join(method.word for method in METHODS.values() if method.served)}.",
            reason="METHOD_NOT_SERVED",
            resource=name,
            method=word,
        )


def _takers(option: str) -> list[str]:
    return [method.word for method in METHODS.values() if option in method.options]


def require_combinable(specs: Mapping[str, jobs_pb2.TuneSpec]) -> None:
    """Raises InvalidInput if adapters, by name, are not low-rank ones of the same layers."""
    (first, expected), *_ = specs.items()
    for name, spec in specs.items():
        method = METHODS[spec.method or jobs_pb2.METHOD_LORA]
        if not method.combined:
            known = ", ".join(each.word for each in METHODS.values() if each.combined)
            raise InvalidInput.of_field(
                "job.combine.adapters", f"{name} was tuned with {method.word}; expected one of {known}"
            )
        if set(spec.target_modules) != set(expected.target_modules):
            raise InvalidInput.of_field(
                "job.combine.adapters",
                f"{name} adapts {_layers(spec)}, {first} {_layers(expected)}; expected the same layers",
            )


def require_continued(name: str, spec: jobs_pb2.TuneSpec) -> None:
    """Raises InvalidInput if no tuning can go on from an adapter."""
    method = METHODS[spec.method or jobs_pb2.METHOD_LORA]
    if not method.continued:
        known = ", ".join(each.word for each in METHODS.values() if each.continued)
        raise InvalidInput.of_field(
            "job.tune.adapter", f"{name} was tuned with {method.word}; a tuning goes on from one of {known}"
        )


def _layers(spec: jobs_pb2.TuneSpec) -> str:
    return ", ".join(spec.target_modules)[:200] or "all linear layers"

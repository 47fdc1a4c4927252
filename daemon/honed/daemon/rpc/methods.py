"""Tuning methods as the control plane knows them: options, defaults, and whether an adapter can be served. Pure."""

from dataclasses import dataclass

from honed.errors import InvalidInput
from honed.v1 import jobs_pb2

_RANKED = frozenset({"rank", "alpha", "dropout", "target_modules"})


@dataclass(frozen=True)
class Method:
    """One method.

    Attributes:
        word: its name in TuneWork.
        learning_rate: of TuneSpec, where none is given.
        options: fields of TuneSpec that it takes and others refuse.
        served: whether an export can serve its adapters.
    """

    word: str
    learning_rate: float
    options: frozenset[str] = frozenset()
    served: bool = True


METHODS: dict[int, Method] = {
    jobs_pb2.METHOD_LORA: Method("lora", 1e-3, _RANKED),
    jobs_pb2.METHOD_RSLORA: Method("rslora", 1e-3, _RANKED),
    jobs_pb2.METHOD_DORA: Method("dora", 1e-3, _RANKED),
    jobs_pb2.METHOD_PISSA: Method("pissa", 2e-4, _RANKED),
    jobs_pb2.METHOD_LOFTQ: Method("loftq", 1e-3, _RANKED),
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
    """The name of an adapter's method, if no export can serve it yet."""
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

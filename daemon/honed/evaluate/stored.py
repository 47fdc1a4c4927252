"""Results as JSON and back, for a job that is interrupted after it has asked: asking again takes its time again."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from types import UnionType
from typing import Any, cast, get_args, get_origin, get_type_hints

import numpy as np
from honed.evaluate.result import Result


def to_json(result: Result) -> dict[str, Any]:
    """A result; every float comes back as it was."""
    statistics = {name: rows.tolist() for name, rows in result.statistics.items()}
    return asdict(result) | {"statistics": statistics}


def from_json(value: Mapping[str, Any]) -> Result:
    """The result of `to_json`."""
    return _made(Result, value)


def _made(kind: Any, value: Any) -> Any:
    """A value of an annotated type: a dataclass, a tuple of one type, arrays by name, or plain; None stays None."""
    if value is None:
        return None
    if is_dataclass(kind):
        hints, make = get_type_hints(kind), cast("Callable[..., Any]", kind)
        return make(**{name: _made(hints[name], each) for name, each in value.items()})
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return _made(arguments[0], value)
    if origin is tuple:
        return tuple(_made(arguments[0], each) for each in value)
    if origin is Mapping:
        return {name: np.array(rows, np.float64) for name, rows in value.items()}
    return value

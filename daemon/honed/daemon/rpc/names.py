"""Resource names as they come from outside. A name never becomes a path."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TypeVar

from honed.errors import InvalidInput

T = TypeVar("T")
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def new_name(collection: str, resource_id: str, field: str) -> str:
    """The name of a new resource.

    Raises:
        InvalidInput: the id is not one.
    """
    if not _ID.fullmatch(resource_id):
        raise InvalidInput.of_field(
            field,
            f"expected 1 to 63 of a-z, 0-9, '-', '_', '.', starting with a letter or digit, found {resource_id[:80]!r}",
        )
    return f"{collection}/{resource_id}"


def check_name(name: str, field: str, *collections: str) -> str:
    """A name that should be of one of the collections.

    Raises:
        InvalidInput: it is not.
    """
    collection, _, resource_id = name.partition("/")
    if collection not in collections or not _ID.fullmatch(resource_id):
        expected = " or ".join(f"{each}/{{id}}" for each in collections)
        raise InvalidInput.of_field(field, f"expected {expected}, found {name[:80]!r}")
    return name


def check_names(names: Sequence[str], field: str, *collections: str) -> None:
    """Names that should be of one of the collections, each given once.

    Raises:
        InvalidInput: one is not.
    """
    for name in names:
        check_name(name, field, *collections)
    if twice := repeated(names):
        raise InvalidInput.of_field(field, f"{twice[0]} is given twice")


def repeated(values: Iterable[T]) -> list[T]:
    """Those that are given more than once."""
    return [value for value, count in Counter(values).items() if count > 1]

"""Pages of List responses: numbered downwards, the newest first, and never too large for a gRPC message."""

from collections.abc import Iterable
from typing import TypeVar

from google.protobuf.message import Message
from honed.errors import InvalidInput

M = TypeVar("M", bound=Message)
_DEFAULT_PAGE = 50
_MAX_PAGE = 1000
_MAX_BYTES = 3 << 20  # gRPC clients take 4 MiB unless told otherwise


def page_bounds(page_size: int, page_token: str) -> tuple[int, int]:
    """(before, limit) of a List request; sizes above 1000 mean 1000 (AIP-158).

    Raises:
        InvalidInput: the size is negative or the token is none of ours.
    """
    if page_size < 0:
        raise InvalidInput.of_field("page_size", f"expected 0 or more, found {page_size}")
    if page_token and not (page_token.isascii() and page_token.isdigit() and len(page_token) < 19):
        raise InvalidInput.of_field("page_token", "expected the next_page_token of an earlier response")
    return int(page_token) if page_token else 2**63 - 1, min(page_size or _DEFAULT_PAGE, _MAX_PAGE)


def page_of(numbered: Iterable[tuple[int, M]], limit: int) -> tuple[list[M], str]:
    """The messages of one page, fewer than `limit` where they are large, and the token of the next page.

    Args:
        numbered: at most `limit` messages with their numbers.
    """
    page: list[M] = []
    last = size = 0
    for number, message in numbered:
        size += message.ByteSize()
        if page and size > _MAX_BYTES:
            return page, str(last)
        page.append(message)
        last = number
    return page, str(last) if len(page) == limit else ""

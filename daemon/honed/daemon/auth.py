"""Who is calling: one access token, one principal. Pure; the edge calls it."""

import hmac
from typing import Any

from honed.errors import Unauthenticated

OWNER = "owner"
HEALTH_CHECK = "/grpc.health.v1.Health/Check"


class TokenAuthenticator:
    """Knows the access token of the state folder."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()

    def __call__(self, authorization: str) -> str:
        """The caller's name.

        Raises:
            Unauthenticated: no token, or a wrong one.
        """
        if not authorization:
            raise Unauthenticated(
                "The call has no token. Send `authorization: Bearer TOKEN` as metadata; the token is in the state "
                "folder's file `token` (HONED_TOKEN_FILE).",
                reason="TOKEN_MISSING",
            )
        if not hmac.compare_digest(authorization.encode(), self._expected):
            raise Unauthenticated(
                "The token is not the one of this daemon; it is in the state folder's file `token`.",
                reason="TOKEN_INVALID",
            )
        return OWNER


def needs_no_token(method: str, request: Any) -> bool:
    """Only Health.Check of the empty service is open."""
    return method == HEALTH_CHECK and not request.service

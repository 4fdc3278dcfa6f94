"""What a token must say of itself before it tells a user: times, subject, issuer, audience."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.auth.bearer import expired, invalid

#: Seconds that the clock of who signs may differ from ours.
LEEWAY_SECONDS = 30

_MAX_USER_ID_CHARACTERS = 255  # the column's width
_CONTROL_OR_SURROGATE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

#: Seconds; integers stay exact in a float up to here.
_END_OF_TIME = 2**53


@dataclass(frozen=True, slots=True)
class User:
    """Who calls: the token's `sub` or the session's user id, an opaque text, never parsed."""

    id: str
    #: When the credential that told it ends, in seconds since 1970; says nothing of who it is.
    expires_at: float = field(default=math.inf, compare=False)


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """Who a token must be from and whom it must be for; without them that is not asked."""

    issuer: str | None = None
    audiences: frozenset[str] = frozenset()

    def user(self, claims: Mapping[str, Any], now: float) -> User:
        """Return whose token it is (RFC 7519 section 4.1); `now` is in seconds since 1970.

        Raises Unauthorized, with a reason that names the claim.
        """
        _check_times(claims, now)
        if self.issuer is not None and claims.get("iss") != self.issuer:
            raise invalid("iss is missing or another than the one expected")
        if self.audiences and not self.audiences & _audiences(claims.get("aud")):
            raise invalid("aud is missing or none of those expected")
        if not is_user_id(claims.get("sub")):
            raise invalid("sub is missing or no user id: 1 to 255 characters, no control characters")
        return User(claims["sub"], claims["exp"])


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    if not _is_number(claims.get("exp")):
        raise invalid("exp is missing or not a number")
    for name in ("nbf", "iat"):
        if not _is_number(claims.get(name, 0)):
            raise invalid(f"{name} is not a number")
    if claims["exp"] <= now - LEEWAY_SECONDS:
        raise expired()
    for name in ("nbf", "iat"):
        if claims.get(name, 0) > now + LEEWAY_SECONDS:
            raise invalid(f"{name} lies in the future")


def _audiences(value: object) -> frozenset[str]:
    """Read `aud`: one text or a list of them; anything else is for nobody."""
    values: list[Any] = value if isinstance(value, list) else [value]
    return frozenset(values) if all(isinstance(item, str) for item in values) else frozenset()


def _is_number(value: object) -> bool:
    """Whether it is a NumericDate (RFC 7519 section 2), of a size that a clock can be held against."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _END_OF_TIME


def is_user_id(value: object) -> bool:
    """Whether the database can hold it: no control characters, no lone surrogates."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= _MAX_USER_ID_CHARACTERS
        and not _CONTROL_OR_SURROGATE.search(value)
    )

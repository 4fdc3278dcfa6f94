"""HS256 tokens, signed with the secret that the API shares with the front end."""

import hashlib
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt

from app.auth.bearer import expired, invalid

_ALGORITHM = "HS256"
_LEEWAY_SECONDS = 30
_MAX_TOKEN_CHARACTERS = 8192
_MAX_USER_ID_CHARACTERS = 255  # the column's width

#: A verified token is remembered this long, never past its `exp`.
_REMEMBER_SECONDS = 60
_REMEMBER_TOKENS = 4096

#: Seconds; integers stay exact in a float up to here. Infinity and NaN are not below it.
_END_OF_TIME = 2**53

_RULES: Any = {
    "require": ["sub", "exp"],
    "verify_aud": False,  # the shared secret is what binds a token to us; many front ends set no audience
    # PyJWT reads the times by its own clock and takes digits in a string for a number; _check_times doesn't.
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


@dataclass(frozen=True, slots=True)
class User:
    """Who calls: the token's `sub`, an opaque text, never parsed."""

    id: str


class TokenVerifier:
    """Tells whose a token is. Pure: no request, no network, no database."""

    def __init__(self, secret: str, clock: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self._clock = clock
        self._verified: dict[bytes, tuple[User, float]] = {}

    def user(self, token: str) -> User:
        """Return the token's user; raises Unauthorized.

        Better Auth signs other things with the same secret: session cookies, e-mail verification links.
        None of them has a `sub`, so requiring it keeps them out (measured: better-auth 1.7).
        """
        if len(token) > _MAX_TOKEN_CHARACTERS:
            raise invalid()
        key = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(key)
        now = self._clock()
        if known is not None and now < known[1]:
            return known[0]
        claims = self._claims(token)
        _check_times(claims, now)
        user = User(claims["sub"])
        self._remember(key, user, min(claims["exp"], now + _REMEMBER_SECONDS))
        return user

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            decoded = jwt.decode_complete(token, self._secret, algorithms=[_ALGORITHM], options=_RULES)
        except (jwt.PyJWTError, ValueError):
            raise invalid() from None
        claims: dict[str, Any] = decoded["payload"]
        if not (_is_access_token(decoded["header"]) and _is_user_id(claims["sub"])):
            raise invalid()
        return claims

    def _remember(self, key: bytes, user: User, until: float) -> None:
        self._verified.pop(key, None)
        if len(self._verified) >= _REMEMBER_TOKENS:
            del self._verified[next(iter(self._verified))]  # the oldest
        self._verified[key] = (user, until)


def _is_access_token(header: dict[str, Any]) -> bool:
    """Other kinds say so in `typ` (RFC 8725 section 3.11)."""
    kind = header.get("typ", "JWT")
    return isinstance(kind, str) and kind.upper() == "JWT"


def _check_times(claims: dict[str, Any], now: float) -> None:
    """Hold `exp`, `nbf` and `iat` (RFC 7519 section 4.1) against the clock, with leeway for its error."""
    if not all(_is_number(claims.get(name, 0)) for name in ("exp", "nbf", "iat")):
        raise invalid()
    if claims["exp"] <= now - _LEEWAY_SECONDS:
        raise expired()
    if max(claims.get("nbf", 0), claims.get("iat", 0)) > now + _LEEWAY_SECONDS:
        raise invalid()


def _is_number(value: object) -> bool:
    """Whether it is a NumericDate (RFC 7519 section 2), of a size that a clock can be held against."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _END_OF_TIME


def _is_user_id(value: object) -> bool:
    """Whether the database can hold it: no control characters, no lone surrogates."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= _MAX_USER_ID_CHARACTERS
        and not any(unicodedata.category(character) in {"Cc", "Cs"} for character in value)
    )


def sign(user_id: str, secret: str, *, seconds: float) -> str:
    """Make a token like a front end's, good for `seconds` from now."""
    now = int(time.time())
    return jwt.encode({"sub": user_id, "iat": now, "exp": now + int(seconds)}, secret, algorithm=_ALGORITHM)

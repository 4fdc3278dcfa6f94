"""What a token says of itself, read without believing it: the fields that are named here and no others."""

import binascii
import time
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import orjson

from app.auth.claims import is_user_id
from app.auth.keys import ASYMMETRIC
from app.config import Settings
from app.doctor.findings import duration, shown

_MAX_CHARACTERS = 16_384


@dataclass(frozen=True, slots=True)
class Peek:
    """A token taken apart. Nothing of it was verified, and it may be no token at all."""

    is_a_missing_value: bool
    dots: int
    header: Mapping[str, Any]
    claims: Mapping[str, Any]

    @classmethod
    def at(cls, token: str) -> Self:
        """Take apart what can be; of a token without a dot the only part counts as its claims."""
        first, _, rest = token[:_MAX_CHARACTERS].partition(".")
        dots = token.count(".")
        missing = token.lower() in {"undefined", "null", "none", "nan", "true", "false", "object"}
        return cls(
            missing, dots, _json(first) if dots else {}, _json(rest.partition(".")[0] if dots else first)
        )

    @property
    def algorithm(self) -> object:
        return self.header.get("alg")

    @property
    def has_published_key(self) -> bool:
        """Whether it says that it is signed with a key pair."""
        return isinstance(self.algorithm, str) and self.algorithm in ASYMMETRIC

    def described(self, key: str, settings: Settings) -> tuple[str, ...]:
        """Describe a JSON Web Token in lines; `key` says what is known of the key that it names."""
        if not self.header:
            return ()
        lines = [self._head(key)]
        if self.has_published_key and settings.better_auth_url:
            expected = " or ".join(map(shown, sorted(settings.audiences)))
            lines += [self._compared("iss", shown(settings.issuer)), self._compared("aud", expected)]
        return (*lines, self._times(), _subject(self.claims))

    def _head(self, key: str) -> str:
        kid = f"kid {shown(self.header['kid'])}{key}" if "kid" in self.header else "no kid"
        typ = f"typ {shown(self.header['typ'])}" if "typ" in self.header else "no typ"
        return f"alg {shown(self.algorithm)}, {kid}, {typ}"

    def _compared(self, name: str, expected: str) -> str:
        found = f"{name} {shown(self.claims[name])}" if name in self.claims else f"no {name}"
        return f"{found}, expected {expected}"

    def _times(self) -> str:
        now = time.time()
        past_and_future = {
            "iat": ("issued {} ago", "issued {} in the future"),
            "nbf": ("valid for {}", "valid only in {}"),
            "exp": ("expired {} ago", "expires in {}"),
        }
        return ", ".join(
            _time(name, self.claims.get(name), now, *texts)
            for name, texts in past_and_future.items()
            if name in self.claims or name == "exp"
        )


def _time(name: str, value: object, now: float, past: str, future: str) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return f"{name} is no number" if value is not None else f"no {name}"
    return (past if value <= now else future).format(duration(value - now))


def _subject(claims: Mapping[str, Any]) -> str:
    if "sub" not in claims:
        return "no sub"
    return "sub is there" if is_user_id(claims["sub"]) else "sub is there, and no user id"


def _json(part: str) -> Mapping[str, Any]:
    try:
        found = orjson.loads(urlsafe_b64decode(part + "=="))
    except (binascii.Error, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

"""Key pairs and tokens as a Better Auth server makes them, and as nobody should."""

import base64
import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from app.auth.keys import RSA

ISSUER = "https://app.example.com"
#: Times are relative to a clock that stands still.
NOW = 1_800_000_000.0

_CURVES = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
_signatures = jwt.PyJWS()
_signatures.register_algorithm("Ed25519", OKPAlgorithm())


@cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    """Making one takes a while, so all tests share it."""
    return rsa.generate_private_key(65537, bits)


@dataclass(frozen=True)
class KeyPair:
    """A key pair under a kid."""

    kid: str = "first"
    algorithm: str = "EdDSA"
    bits: int = 2048
    private: Any = field(default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "private", self.private or self._made())

    def _made(self) -> Any:
        if self.algorithm in RSA:
            return rsa_key(self.bits)
        if self.algorithm in _CURVES:
            return ec.generate_private_key(_CURVES[self.algorithm])
        return ed25519.Ed25519PrivateKey.generate()

    def jwk(self, **changes: Any) -> dict[str, Any]:
        """As Better Auth publishes it; a change of `...` leaves that member out."""
        public = self.private.public_key()
        if self.algorithm in RSA:
            numbers = RSAAlgorithm.to_jwk(public, as_dict=True)
        elif self.algorithm in _CURVES:
            numbers = ECAlgorithm.to_jwk(public, as_dict=True)
        else:
            numbers = OKPAlgorithm.to_jwk(public, as_dict=True)
        numbers.pop("key_ops", None)
        jwk = {**numbers, "kid": self.kid, "alg": self.algorithm} | changes
        return {name: value for name, value in jwk.items() if value is not ...}

    def sign(self, header: dict[str, Any] | None = None, payload: bytes | None = None, **changes: Any) -> str:
        """A token as Better Auth makes it: no `typ`; `header` adds to it, `payload` replaces the claims."""
        text = json.dumps(claims(**changes)).encode() if payload is None else payload
        headers = {"typ": None, "kid": self.kid} | (header or {})
        return _signatures.encode(text, self.private, self.algorithm, headers=headers)


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of a good token; a change of `...` leaves that one out."""
    good = {"sub": "alice", "iat": NOW, "exp": NOW + 900, "iss": ISSUER, "aud": ISSUER} | changes
    return {name: value for name, value in good.items() if value is not ...}


def key_set(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def encoded(part: bytes | str | dict[str, Any]) -> str:
    """Base64url without padding (RFC 7515 section 2)."""
    if isinstance(part, dict):
        part = json.dumps(part)
    data = part.encode() if isinstance(part, str) else part
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Clock:
    """A clock that the test moves."""

    def __init__(self, now: float = NOW) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

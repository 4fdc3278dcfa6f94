"""A JSON Web Key Set (RFC 7517), reduced to the keys that may verify a token."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jwt
import orjson

EDWARDS = frozenset({"EdDSA", "Ed25519"})  # RFC 8037's name, and RFC 9864's for the same
RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})

#: What a key of a type and curve can verify (RFC 7518 section 3.1): a key says it, not the token.
_ALGORITHMS: dict[tuple[object, object], frozenset[str]] = {
    ("OKP", "Ed25519"): EDWARDS,
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("RSA", None): RSA,
}
ASYMMETRIC = frozenset().union(*_ALGORITHMS.values())

#: The rest of 512 KiB; Better Auth lists the newest last.
_MAX_KEYS = 1024

#: What a key is known again by.
_MEMBERS = ("kid", "kty", "crv", "alg", "use", "x", "y", "n", "e", "d")


class UnusableKeys(Exception):
    """What was published is no key set, or none of its keys can be used."""


@dataclass(frozen=True, slots=True, eq=False)
class Key:
    """A key and the algorithms that it may verify. The same object as long as it is published unchanged."""

    kid: str
    algorithms: frozenset[str]
    #: What PyJWT takes: a public key, or the bytes of a shared secret.
    material: Any = field(repr=False)
    members: tuple[object, ...] = field(default=(), repr=False)


def read_keys(document: bytes, known: Mapping[str, Key]) -> dict[str, Key]:
    """Return the usable keys of a key set by their `kid`; of those in `known`, the same objects.

    Other keys are passed over: the set may serve other purposes too. Raises UnusableKeys when none is left.
    """
    keys: dict[str, Key] = {}
    for jwk in published_keys(document)[-_MAX_KEYS:]:
        kid = jwk.get("kid") if isinstance(jwk, dict) else None
        if not isinstance(kid, str) or kid in keys:
            continue
        members, before = tuple(map(jwk.get, _MEMBERS)), known.get(kid)
        key = before if before is not None and before.members == members else _key(kid, jwk, members)
        if key is not None:
            keys[kid] = key
    if not keys:
        raise UnusableKeys("none of the published keys can be used")
    return keys


def published_keys(document: bytes) -> list[Any]:
    """Return what a key set lists, usable or not; raises UnusableKeys when it is no key set."""
    try:
        found = orjson.loads(document)["keys"]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        found = None
    if not isinstance(found, list):
        raise UnusableKeys("the answer is not a JSON Web Key Set")
    return found


def _key(kid: str, jwk: dict[str, Any], members: tuple[object, ...]) -> Key | None:
    try:
        algorithms = _may_verify(jwk)
        built = jwt.PyJWK(jwk, "EdDSA" if algorithms == EDWARDS else min(algorithms))
    except (jwt.PyJWTError, TypeError, ValueError):  # whatever else it is, it is no key for us
        return None
    too_short = built.Algorithm.check_key_length(built.key)
    return None if too_short else Key(kid, algorithms, built.key, members)


def _may_verify(jwk: dict[str, Any]) -> frozenset[str]:
    """Return the algorithms of a key: those of its type, narrowed to the `alg` that it may name.

    Better Auth before 1.3 names none. A private key, or one for something else than signatures, has none.
    """
    kind = jwk.get("kty")
    algorithms = _ALGORITHMS.get((kind, None if kind == "RSA" else jwk.get("crv")), frozenset())
    named = jwk.get("alg")
    if "d" in jwk or jwk.get("use", "sig") != "sig" or (named is not None and named not in algorithms):
        return frozenset()
    return algorithms if named is None or algorithms == EDWARDS else frozenset({named})

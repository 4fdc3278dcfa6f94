"""JSON Web Tokens: the front end's, signed with its key pair, and HS256 with the shared secret."""

import binascii
import time
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from typing import Any, Protocol

import jwt
import orjson
from jwt.algorithms import HMACAlgorithm, OKPAlgorithm

from app.auth.bearer import invalid
from app.auth.claims import ClaimRules, User
from app.auth.keys import ASYMMETRIC, Key
from app.errors import ConfigurationError

HS256 = "HS256"
_MAX_KID_CHARACTERS = 255

#: How long a verified token is believed without verifying it again.
REMEMBER_SECONDS = 60

_signatures = jwt.PyJWS()
if "Ed25519" not in _signatures.get_algorithms():  # PyJWT 2.15 knows it by its older name only
    _signatures.register_algorithm("Ed25519", OKPAlgorithm())


class KeySource(Protocol):
    """Where the keys of a class of algorithms come from."""

    async def key(self, kid: str) -> Key:
        """Return a key by its id; raises Unauthorized or SignInUnavailable."""

    def holds(self, key: Key) -> bool:
        """Whether a key that it gave is still good."""


class SharedSecret:
    """The one key that both sides know. It has no id: whatever a token names, this is the key.

    Raises ConfigurationError for what PyJWT would not take, like the text of a public key.
    """

    def __init__(self, secret: str) -> None:
        try:
            HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
        except jwt.PyJWTError:
            raise ConfigurationError(
                "BETTER_AUTH_SECRET: this is a key of another kind, not a secret"
            ) from None
        self._key = Key("", frozenset({HS256}), secret.encode())

    async def key(self, _kid: str) -> Key:
        """Return the secret."""
        return self._key

    def holds(self, key: Key) -> bool:
        """Whether it is the secret."""
        return key is self._key


@dataclass(frozen=True, slots=True)
class Verified:
    """Whose a credential is, until when that need not be asked again, and what it was checked with."""

    user: User
    until: float  # seconds since 1970
    source: KeySource | None = None
    key: Key | None = None

    def good_at(self, now: float) -> bool:
        """Whether it may still be believed: its time is not over, and its key is still published."""
        return now < self.until and (self.source is None or self.key is None or self.source.holds(self.key))


class TokenVerifier:
    """Verifies JSON Web Tokens. The algorithm says where the key comes from; no key is in two classes.

    HS256 is accepted if there is a secret, the asymmetric algorithms if there are published keys, whose
    tokens must keep `rules`. With a secret nothing is asked of issuer and audience: the secret is what binds
    a token to us, and many front ends that mint such tokens set neither.
    """

    def __init__(
        self, secret: str = "", keys: KeySource | None = None, rules: ClaimRules | None = None
    ) -> None:
        self._sources: dict[str, tuple[KeySource, ClaimRules]] = {}
        if secret:
            self._sources[HS256] = (SharedSecret(secret), ClaimRules())
        if keys is not None:
            self._sources |= dict.fromkeys(ASYMMETRIC, (keys, rules or ClaimRules()))

    async def verified(self, token: str, now: float) -> Verified:
        """Return whose token it is; `now` is in seconds since 1970.

        Better Auth signs other things with the same keys: e-mail verification links and session cookies.
        Requiring `sub`, and `typ` and `aud` where they say what a token is for, keeps them out.

        Raises Unauthorized, and SignInUnavailable when the keys can't be had.
        """
        header = _header(token)
        algorithm, kid = header["alg"], header.get("kid", "")
        source, rules = self._trusted(algorithm)
        if not kid and algorithm != HS256:
            raise invalid("it names no key: kid is missing")
        key = await source.key(kid)
        if algorithm not in key.algorithms:
            raise invalid("its alg is not its key's")
        claims = _claims(token, key)
        user = rules.user(claims, now)
        return Verified(user, min(claims["exp"], now + REMEMBER_SECONDS), source, key)

    def _trusted(self, algorithm: str) -> tuple[KeySource, ClaimRules]:
        found = self._sources.get(algorithm)
        if found is not None:
            return found
        if algorithm == HS256:
            raise invalid("it is signed HS256, and BETTER_AUTH_SECRET is not set")
        if algorithm in ASYMMETRIC:
            raise invalid("it is signed with a key pair, and BETTER_AUTH_URL is not set")
        raise invalid("its alg is none that is accepted")


def _header(token: str) -> dict[str, Any]:
    """Read the header (RFC 7515 section 4), not to be believed yet; PyJWT takes ten times longer."""
    if "=" in token:  # RFC 7515 section 2; PyJWT takes it
        raise invalid("it is padded")
    try:
        header = orjson.loads(urlsafe_b64decode(token.partition(".")[0] + "=="))
    except (binascii.Error, orjson.JSONDecodeError):
        header = None
    if not isinstance(header, dict) or not isinstance(header.get("alg"), str):
        raise invalid("its header can't be read")
    typ = header.get("typ", "JWT")
    if not isinstance(typ, str) or typ.upper() != "JWT":  # RFC 8725 section 3.11
        raise invalid("its typ is not JWT: it is a token for something else")
    kid = header.get("kid", "")
    if not isinstance(kid, str) or len(kid) > _MAX_KID_CHARACTERS:
        raise invalid("its kid is no text, or too long")
    return header


def _claims(token: str, key: Key) -> dict[str, Any]:
    """Check the signature, then read the claims; of two with one name the last (RFC 7519 section 4)."""
    try:
        signed = _signatures.decode_complete(token, key.material, algorithms=[*key.algorithms])
        claims = orjson.loads(signed["payload"])
    except jwt.InvalidSignatureError:
        raise invalid("its signature does not match its key") from None
    except (jwt.PyJWTError, ValueError):
        raise invalid("it is not a well-formed token") from None
    if not isinstance(claims, dict):
        raise invalid("its payload is no JSON object")
    return claims


def sign(user_id: str, secret: str, *, seconds: float) -> str:
    """Make a token like a front end's, good for `seconds` from now."""
    now = int(time.time())
    return jwt.encode({"sub": user_id, "iat": now, "exp": now + int(seconds)}, secret, algorithm=HS256)

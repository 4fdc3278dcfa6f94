"""Credentials as front ends send them, each like no other that was made."""

import base64
import hashlib
import hmac
import secrets
import time
from typing import Any

from app.auth import ClaimRules
from app.auth.tokens import sign
from tests.signing import ISSUER, KeyPair

SECRET = secrets.token_hex(32)
RULES = ClaimRules(ISSUER, frozenset({ISSUER}))

#: Better Auth's `jwt()` plugin puts the whole user into a token.
_PROFILE: dict[str, Any] = {
    "name": "Alice Example",
    "email": "alice@example.com",
    "emailVerified": True,
    "image": None,
    "createdAt": "2026-01-31T12:00:00.000Z",
    "updatedAt": "2026-01-31T12:00:00.000Z",
}


def published(pair: KeyPair, user_id: str = "") -> str:
    """Make a token of the `jwt()` plugin."""
    subject = user_id or secrets.token_urlsafe(24)
    now = int(time.time())
    return pair.sign(**_PROFILE, id=subject, sub=subject, jti=secrets.token_hex(8), iat=now, exp=now + 900)


def shared() -> str:
    """Make an HS256 token with the shared secret."""
    return sign(secrets.token_urlsafe(24), SECRET, seconds=900)


def session() -> str:
    """Make a session token of the `bearer()` plugin."""
    raw = secrets.token_urlsafe(24)
    signature = base64.b64encode(hmac.digest(SECRET.encode(), raw.encode(), hashlib.sha256))
    return f"{raw}.{signature.decode()}"


#: For a server under load: the few users of a bench ask for more than anybody may. What limits cost is a
#: figure of its own (bench.limits).
UNLIMITED = {"RATE_LIMIT": "off", "RATE_LIMIT_ADDRESS": "off"}

"""Session tokens of Better Auth's `bearer()` plugin: opaque, signed, looked up in its `session` table."""

import base64
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import unquote

from app.auth.bearer import expired, invalid
from app.auth.claims import User, is_user_id
from app.auth.tokens import Verified

#: How long a session is believed without asking again, so how long a sign-out may take.
REMEMBER_SECONDS = 10

_RAW = re.compile(r"[A-Za-z0-9_-]{16,128}")


@dataclass(frozen=True, slots=True)
class Session:
    """A row of Better Auth's `session` table."""

    user_id: str
    expires_at: float  # seconds since 1970


FindSession = Callable[[str], Awaitable[Session | None]]


def decoded(token: str) -> str:
    """Return a session token as it is signed: Better Auth before 1.5 gives it percent-encoded.

    Every spelling is one token, remembered once. Raises Unauthorized for what is no such token.
    """
    plain = unquote(token)
    if plain.count(".") != 1:
        raise invalid("it is percent-encoded, and no session token")
    return plain


class SessionVerifier:
    """Verifies session tokens: first the signature, which needs nothing, then the table."""

    def __init__(self, secret: str, find: FindSession) -> None:
        self._secret = secret.encode()
        self._find = find

    async def verified(self, token: str, now: float) -> Verified:
        """Return whose session it is; `now` is in seconds since 1970.

        Raises Unauthorized, and SignInUnavailable when the table can't be asked.
        """
        raw, _, signature = token.partition(".")
        if not _RAW.fullmatch(raw) or not hmac.compare_digest(self._sign(raw), signature.encode()):
            raise invalid("its signature is not one of BETTER_AUTH_SECRET")
        session = await self._find(raw)
        if session is None or not is_user_id(session.user_id):
            raise invalid("there is no such session: signed out, or of another database")
        if session.expires_at <= now:
            raise expired()
        user = User(session.user_id, session.expires_at)
        return Verified(user, min(session.expires_at, now + REMEMBER_SECONDS))

    def _sign(self, raw: str) -> bytes:
        return base64.b64encode(hmac.digest(self._secret, raw.encode(), hashlib.sha256))

"""Whose a bearer credential is, whichever of Better Auth's kinds; what was verified is remembered."""

import hashlib
import time
from collections.abc import Callable

from app.auth.bearer import invalid
from app.auth.claims import User
from app.auth.sessions import SessionVerifier, decoded
from app.auth.tokens import TokenVerifier, Verified
from app.errors import AppError, Unauthorized
from app.observer import NOBODY, Observer

_MAX_CHARACTERS = 8192
_MAX_REMEMBERED = 4096


class Verifier:
    """Tells a credential's user. A credential that was verified a moment ago costs a hash and a look."""

    def __init__(
        self,
        tokens: TokenVerifier,
        sessions: SessionVerifier | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        observer: Observer = NOBODY,
    ) -> None:
        self._tokens = tokens
        self._sessions = sessions
        self._clock = clock
        self._monotonic = monotonic
        self._observer = observer
        #: By their SHA-256, and till when: by a clock that nobody can set back.
        self._remembered: dict[bytes, tuple[Verified, float]] = {}

    async def user(self, credential: str) -> User:
        """Return whose credential it is.

        Raises Unauthorized, and SignInUnavailable when what it is checked against can't be had.
        """
        began = time.perf_counter()
        try:
            if len(credential) > _MAX_CHARACTERS:
                raise invalid(f"it has more than {_MAX_CHARACTERS} characters")
            credential, digest = _digested(credential)
            now = self._clock()
            known = self._remembered.get(digest)
            if known is not None and known[0].good_at(now) and self._monotonic() < known[1]:
                self._observer.token_known(began)
                return known[0].user
            verified = await self._verify(credential, now)
        except AppError as error:
            result = "refused" if isinstance(error, Unauthorized) else "unavailable"
            self._observer.token_checked(result, began)
            raise
        self._observer.token_checked("verified", began)
        self._remember(digest, verified, self._monotonic() + verified.until - now)
        return verified.user

    def remembered(self, credential: str) -> User | None:
        """Return whose credential it is if that was verified a moment ago.

        Raises Unauthorized if it can't be one.
        """
        known = self._remembered.get(_digested(credential)[1])
        if known is None or not known[0].good_at(self._clock()) or self._monotonic() >= known[1]:
            return None
        return known[0].user

    def has_verified(self, credential: str) -> bool:
        """Whether it once did, however long ago, as far as it still knows.

        Raises Unauthorized if it can't be one.
        """
        return _digested(credential)[1] in self._remembered

    async def _verify(self, credential: str, now: float) -> Verified:
        match credential.count("."):
            case 2:
                return await self._tokens.verified(credential, now)
            case 1 if self._sessions is not None:
                return await self._sessions.verified(credential, now)
            case 1:
                raise invalid("it looks like a session token, and BETTER_AUTH_DATABASE_URL is not set")
        raise invalid("it is neither a JSON Web Token nor a signed session token")

    def _remember(self, digest: bytes, verified: Verified, until: float) -> None:
        self._remembered.pop(digest, None)
        if len(self._remembered) >= _MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]  # the oldest
        self._remembered[digest] = (verified, until)


def _digested(credential: str) -> tuple[str, bytes]:
    """Return a credential as it was before it was percent-encoded, and what it is remembered by."""
    if "%" in credential:
        credential = decoded(credential)
    return credential, hashlib.sha256(credential.encode()).digest()

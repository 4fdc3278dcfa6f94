"""A sign-in that is used for longer than one request: whether it still holds, and for how long."""

import time
from collections.abc import Callable

from app.auth.claims import User
from app.auth.verifier import Verifier
from app.errors import Ending, Overloaded, SignInUnavailable, Unauthorized


class SignIn:
    """A credential that was verified, and goes on being used."""

    __slots__ = ("_clock", "_credential", "_user", "_verifier")

    def __init__(
        self, verifier: Verifier, credential: str, user: User, clock: Callable[[], float] = time.time
    ) -> None:
        self._verifier = verifier
        self._credential = credential
        self._user = user
        self._clock = clock

    @property
    def seconds_left(self) -> float:
        """How long the credential is good by its own word, and not a second of leeway longer."""
        return self._user.expires_at - self._clock()

    async def ending(self) -> Ending | None:
        """Return why the sign-in is over; None while it holds. It costs what verifying a credential costs.

        A session may have got a later end meanwhile. Whether somebody signed out can't be asked while
        what it is checked against is not there: then the sign-in holds until its end.
        """
        try:
            user = await self._verifier.user(self._credential)
        except (SignInUnavailable, Overloaded):
            user = self._user
        except Unauthorized:
            return Ending.SIGNED_OUT if self.seconds_left > 0 else Ending.TOKEN_EXPIRED
        if user != self._user:
            return Ending.SIGNED_OUT
        self._user = user
        return None if self.seconds_left > 0 else Ending.TOKEN_EXPIRED

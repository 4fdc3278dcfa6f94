"""What the caller can only wait for: 5xx."""

import random

from app.errors.family import AppError


class InternalError(AppError):
    status, code = 500, "INTERNAL_ERROR"
    message = "Something went wrong on our side; please report it with the X-Request-ID of this answer."


class Unavailable(AppError):
    """Something that is needed can't be had now (RFC 9110 section 15.6.4: 503; Retry-After is in seconds)."""

    status, code = 503, "SERVICE_UNAVAILABLE"
    message = "The database is not reachable right now; try again in a moment."

    def __init__(self, message: str | None = None, *, retry_after: int = 1, reason: str = "") -> None:
        super().__init__(message, headers={"Retry-After": str(retry_after)}, reason=reason)


class NotAsked(Unavailable):
    """The database did not answer others, so it was not asked; somebody asks again after `retry_after`."""

    def __init__(self, *, retry_after: int) -> None:
        super().__init__(retry_after=retry_after, reason="the database does not answer; it was not asked")


class TooLate(Unavailable):
    """The request took too long; what it still had to do was not begun."""

    message = "This took too long, and was given up; try again in a moment."

    def __init__(self) -> None:
        super().__init__(reason="it took longer than REQUEST_TIMEOUT")


class Overloaded(Unavailable):
    """More is asked for than can be served; nothing of this was begun.

    Those who come at the same time are told different times to come again, 1 to 3 seconds.
    """

    code = "OVERLOADED"
    message = "Too much is asked for right now; try again after the seconds that Retry-After names."

    def __init__(self, reason: str = "") -> None:
        super().__init__(retry_after=random.randint(1, 3), reason=reason)  # noqa: S311 - it only spreads them


class OutcomeUnknown(Unavailable):
    """A change was sent, and the answer to it was lost."""

    message = (
        "Your change may have been made or not: the database's answer was lost. Read again, or repeat the "
        "request with the same Idempotency-Key or id, which makes nothing twice."
    )


class SignInUnavailable(Unavailable):
    """What a credential is checked against can't be had now. Never a 401: that logs people out."""

    message = "Your sign-in can't be checked right now; try again in a moment."

    def __init__(self, reason: str) -> None:
        super().__init__(retry_after=5, reason=reason)

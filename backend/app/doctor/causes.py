"""Why a server could not be asked, in words: never in its own, which may say more than they should."""

import socket
import ssl
from collections.abc import Iterator
from enum import StrEnum

import httpx2
from redis import exceptions as redis


class Cause(StrEnum):
    """What went wrong on the way to a server, or was its answer."""

    REFUSED = "the connection is refused"
    UNKNOWN_HOST = "the host's name is not known"
    TIMEOUT = "no answer in time"
    CERTIFICATE = "its certificate is not trusted"
    TLS = "it does not speak TLS there"
    NO_SOCKET = "its Unix socket is not there"
    HUNG_UP = "it hung up"
    LOGIN = "it refuses the user or the password"
    NO_DATABASE = "it has no database of this name"
    FULL = "it has no connection left"
    BUSY = "it is starting or stopping"
    NO_TABLE = "the table is not there"
    NO_COLUMN = "a column is not there"
    NO_RIGHT = "the user may not read the table"
    NO_SCRIPT = "the user may not run the script, or not on its keys"
    READ_ONLY = "it takes no writes"
    NOT_REDIS = "what answers there is no Redis"
    OTHER = "something else"


_KINDS: list[tuple[type[BaseException] | tuple[type[BaseException], ...], Cause]] = [
    (ConnectionRefusedError, Cause.REFUSED),
    (socket.gaierror, Cause.UNKNOWN_HOST),
    ((TimeoutError, httpx2.TimeoutException), Cause.TIMEOUT),
    (ssl.SSLCertVerificationError, Cause.CERTIFICATE),
    (ssl.SSLError, Cause.TLS),
    (FileNotFoundError, Cause.NO_SOCKET),
    (redis.AuthenticationError, Cause.LOGIN),
    (redis.NoPermissionError, Cause.NO_SCRIPT),
    (redis.BusyLoadingError, Cause.BUSY),
    (redis.InvalidResponse, Cause.NOT_REDIS),
    (redis.ReadOnlyError, Cause.READ_ONLY),
    ((ConnectionResetError, EOFError, httpx2.RemoteProtocolError), Cause.HUNG_UP),
]

#: The beginnings of SQLSTATEs (PostgreSQL's appendix A).
_STATES = {
    "28": Cause.LOGIN,
    "3D": Cause.NO_DATABASE,
    "53": Cause.FULL,
    "57P": Cause.BUSY,
    "42P01": Cause.NO_TABLE,
    "42703": Cause.NO_COLUMN,
    "42501": Cause.NO_RIGHT,
}


def cause_of(error: BaseException) -> Cause:
    """Find the cause that a person can do something about, however deep it is wrapped."""
    for wrapped in _chain(error):
        state = getattr(wrapped, "sqlstate", None) or ""
        found = [cause for beginning, cause in _STATES.items() if state.startswith(beginning)]
        found += [cause for kinds, cause in _KINDS if isinstance(wrapped, kinds)]
        if found:
            return found[0]
        if "rejected SSL upgrade" in str(wrapped):  # asyncpg has no class for it
            return Cause.TLS
    return Cause.OTHER


def in_words(error: BaseException) -> str:
    """Say why: what is wrong with a certificate, and of an error that is none of the known ones its name."""
    cause, innermost = cause_of(error), list(_chain(error))[-1]
    if isinstance(innermost, ssl.SSLCertVerificationError):
        return f"{cause} ({innermost.verify_message})"
    if cause is not Cause.OTHER:
        return cause
    state = getattr(innermost, "sqlstate", None)
    return f"{type(innermost).__name__} {state}" if state else type(innermost).__name__


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Unwrap an error, the outermost first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__

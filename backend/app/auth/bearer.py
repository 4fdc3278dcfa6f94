"""The Authorization header (RFC 6750 section 2.1) and the challenges that answer it (section 3)."""

import re
from collections.abc import Sequence

from app.errors import BadRequest, Unauthorized

_CHALLENGE = 'Bearer realm="tasks"'
_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/%]+=*")  # token68, and % for session tokens that come encoded


def bearer_token(headers: Sequence[str]) -> str:
    """Return the token of a request, given all its Authorization headers.

    Raises Unauthorized when there is none and BadRequest when it can't be one.
    """
    if len(headers) > 1:
        raise _invalid_request("Send one Authorization header, not several.")
    scheme, _, token = headers[0].strip(" \t").partition(" ") if headers else ("", "", "")
    token = token.strip(" \t")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized(headers={"WWW-Authenticate": _CHALLENGE})
    if not _TOKEN.fullmatch(token):
        raise _invalid_request("The bearer token holds characters that no token has.")
    return token


def expired() -> Unauthorized:
    return _invalid_token(
        "The access token expired", "Your sign-in has expired; get a new token and try again.", "it expired"
    )


def invalid(reason: str) -> Unauthorized:
    """Whatever else is wrong with a token: the reason is for the log, not for who may have forged it.

    `tasks-api doctor` knows what to do by the reason's words (doctor/advice.py): change both together.
    """
    return _invalid_token(
        "The access token is invalid", "The access token is not valid; sign in again.", reason
    )


def _invalid_token(description: str, message: str, reason: str) -> Unauthorized:
    challenge = f'{_CHALLENGE}, error="invalid_token", error_description="{description}"'
    return Unauthorized(message, headers={"WWW-Authenticate": challenge}, reason=reason)


def _invalid_request(message: str) -> BadRequest:
    return BadRequest(message, headers={"WWW-Authenticate": f'{_CHALLENGE}, error="invalid_request"'})

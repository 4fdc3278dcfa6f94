"""Rate limits of a request: the user pays who is known, the address for a credential that is refused."""

from collections.abc import Sequence
from typing import NoReturn

from fastapi import Request

from app.auth import User, bearer_token
from app.errors import AppError, BadRequest, RateLimited, Unauthorized
from app.limiting import REQUEST, UNCHANGED, RateLimits, Standing, address_of

_ADDRESS = "too many refused credentials from this address"
_UNTRUSTED = f"{_ADDRESS}; it came through a proxy, and TRUSTED_PROXIES is 0"


async def caller(request: Request) -> User:
    """Return who calls. Raises what refuses a credential, and RateLimited where there were too many of those.

    A closed address is refused before its credential is looked at, unless that was good before: people behind
    one address are not kept out by who guesses there. What was good is looked at again in its time.
    """
    given = request.headers.getlist("authorization")
    refuse_closed(request, given)
    try:
        user: User = await request.app.state.verifier.user(bearer_token(given))
    except (BadRequest, Unauthorized):
        await count_refusal(request)
        raise
    return user


def refuse_closed(request: Request, given: Sequence[str] = ()) -> None:
    """Raise RateLimited for an address that had too many credentials refused, unless this one is known."""
    limits: RateLimits = request.app.state.rate_limits
    if limits.addresses is not None and limits.addresses.any_closed:
        standing = limits.addresses.closed(_address(request, limits))
        if standing is not None and not _known(request, given):
            _refuse(request, standing)


async def count_refusal(request: Request) -> None:
    """Count a credential that is missing or refused; raises RateLimited when there were too many."""
    limits: RateLimits = request.app.state.rate_limits
    if limits.addresses is not None:
        standing = await limits.addresses.refused(_address(request, limits))
        if standing.wait:
            _refuse(request, standing)


async def charge(request: Request, user: User, price: int) -> None:
    """Take the price out of the user's bucket; raises RateLimited when there is not enough in it."""
    limits: RateLimits = request.app.state.rate_limits
    if limits.users is not None:
        standing = await limits.users.take(user.id, price)
        request.state.rate_limit = standing
        if standing.wait:
            _refuse(request, standing)


def refund_unchanged(request: Request, user: User) -> None:
    """Give back most of a request that was answered 304."""
    limits: RateLimits = request.app.state.rate_limits
    if limits.users is not None:
        limits.users.give_back(user.id, REQUEST - UNCHANGED)
        request.state.rate_limit.give_back(REQUEST - UNCHANGED)


def _known(request: Request, given: Sequence[str]) -> bool:
    try:
        return bool(request.app.state.verifier.has_verified(bearer_token(given)))
    except AppError:
        return False


def _address(request: Request, limits: RateLimits) -> str:
    peer = request.client.host if request.client else None
    return address_of(peer, request.headers.getlist("x-forwarded-for"), limits.trusted_proxies)


def _refuse(request: Request, standing: Standing) -> NoReturn:
    limits: RateLimits = request.app.state.rate_limits
    request.state.rate_limit = standing  # the outermost middleware puts it on the answer
    limits.observer.rate_limited(standing.policy.name)
    if standing.policy.name == "user":
        raise RateLimited(retry_after=standing.retry_after)
    untrusted = limits.trusted_proxies == 0 and "x-forwarded-for" in request.headers
    raise RateLimited(
        "Too many sign-ins were refused here; try again after the seconds that Retry-After names.",
        retry_after=standing.retry_after,
        reason=_UNTRUSTED if untrusted else _ADDRESS,
    )

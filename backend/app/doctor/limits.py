"""The check of rate limits: whether Redis can be asked, where all processes are to count together."""

from app.doctor.causes import Cause, cause_of, in_words
from app.doctor.findings import Finding, ok, problem, unchecked
from app.doctor.subject import Subject

_ADVICE = {
    Cause.REFUSED: "Is it running there? Correct the host and the port in RATE_LIMIT_REDIS_URL.",
    Cause.UNKNOWN_HOST: "Correct the host in RATE_LIMIT_REDIS_URL.",
    Cause.TIMEOUT: "Is it frozen, or behind a firewall? To rediss:// one without TLS has no answer either.",
    Cause.CERTIFICATE: "Name its authority with ssl_ca_certs in RATE_LIMIT_REDIS_URL.",
    Cause.NO_SOCKET: "Correct the path in RATE_LIMIT_REDIS_URL: of the socket, or of ssl_ca_certs.",
    Cause.NOT_REDIS: "Correct the host and the port in RATE_LIMIT_REDIS_URL.",
    Cause.BUSY: "Try again in a moment.",
    Cause.LOGIN: "Correct the user and the password in RATE_LIMIT_REDIS_URL.",
    Cause.NO_SCRIPT: "Let the user of RATE_LIMIT_REDIS_URL call EVAL, EVALSHA, SCRIPT LOAD, TIME, GET "
    "and SET on keys like tasks-api:limit:*.",
    Cause.READ_ONLY: "Name the primary in RATE_LIMIT_REDIS_URL, and no replica.",
}

_OTHERWISE = "Correct the database's number and the options in RATE_LIMIT_REDIS_URL; its log may say more."


async def limits(subject: Subject) -> Finding:
    """Say whose requests are counted where, and ask Redis for nothing, as a request asks for its share."""
    settings, rate_limits = subject.settings, subject.parts.rate_limits
    if rate_limits.users is None and rate_limits.addresses is None:
        return unchecked("there are no rate limits; RATE_LIMIT and RATE_LIMIT_ADDRESS would be the settings")
    if rate_limits.store is None:
        workers = settings.workers
        alone = f", so {workers} workers let through {workers} times as much" if workers > 1 else ""
        return ok(f"each process counts for itself{alone}; RATE_LIMIT_REDIS_URL lets all count together")
    try:
        await rate_limits.store.ask()
    except Exception as error:  # noqa: BLE001 - the client's own, and those of the way to it
        advice = _ADVICE.get(cause_of(error), _OTHERWISE)
        return problem(
            f"Redis can't be asked, so each process counts for itself: {in_words(error)}. {advice}"
        )
    return ok("all processes count together: Redis answers")

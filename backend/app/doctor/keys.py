"""The public keys of the front end: can they be had, which of them can be used, and the usual mistakes."""

import re
from urllib.parse import urlsplit

from app.auth.key_document import describe
from app.auth.keys import ASYMMETRIC, Key, UnusableKeys, published_keys
from app.doctor.causes import Cause, cause_of, in_words
from app.doctor.findings import Finding, ok, problem, shown, unchecked
from app.doctor.subject import Document, Subject

_SHOWN_KEYS = 5
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_NAME_IT = "name the address of the keys with BETTER_AUTH_JWKS_URL"

#: What statuses say of the usual mistakes; the first digit stands for the others.
_STATUS_ADVICE = {
    "401": f"Something in front of it asks for a sign-in; let this path through, or {_NAME_IT}.",
    "403": f"Something in front of it refuses; let this path through, or {_NAME_IT}.",
    "404": "Is BETTER_AUTH_URL the baseURL of the front end, and does it have the jwt() plugin? If it sets "
    f"basePath, jwks.jwksPath or jwks.remoteUrl, {_NAME_IT}.",
    "429": "Its rate limit has had enough of us; try again later, and exempt this path.",
    "3": "It redirects, and only the address itself is trusted; name the final one with BETTER_AUTH_URL, or "
    "with BETTER_AUTH_JWKS_URL if only the keys are there. `curl -I` shows it.",
    "5": "The front end has failed; its log says why.",
}

_NETWORK_ADVICE = {
    Cause.REFUSED: f"Is the front end running there, at this port? If not, {_NAME_IT}.",
    Cause.TIMEOUT: f"Does a firewall stand between, or is the front end asleep? Try again, or {_NAME_IT}.",
    Cause.CERTIFICATE: "Install its authority in the system, or let SSL_CERT_FILE name it.",
    Cause.TLS: "Is it http, and not https?",
}


async def keys(subject: Subject) -> Finding:
    """Fetch the key set as the service does, and count what can be used."""
    document = await subject.document()
    if document is None or subject.parts.jwks is None:
        return unchecked("no tokens of the jwt() plugin are accepted; BETTER_AUTH_URL would be the setting")
    url = subject.parts.jwks.url
    if isinstance(document, Exception):
        return _unreachable(url, document)
    try:
        published, usable = published_keys(document.body), document.usable()
    except UnusableKeys as error:
        return _unusable(url, document, error)
    return ok(f"{len(usable)} of {len(published)} published at {url} can be used: {_listed(usable)}")


def _listed(usable: dict[str, Key]) -> str:
    shown_keys = list(usable.values())[:_SHOWN_KEYS]
    texts = [f"{shown(key.kid)} ({', '.join(sorted(key.algorithms))})" for key in shown_keys]
    more = len(usable) - len(shown_keys)
    return ", ".join(texts) + (f" and {more} more" if more else "")


def _unreachable(url: str, error: Exception) -> Finding:
    status = re.fullmatch(r"HTTP (\d)(\d\d)", describe(error))
    if status is not None:
        advice = _STATUS_ADVICE.get(status[1] + status[2]) or _STATUS_ADVICE.get(status[1])
        return problem(f"{url} answers {status[0]}. {advice or f'Correct BETTER_AUTH_URL, or {_NAME_IT}.'}")
    if isinstance(error, UnusableKeys):  # it is too large
        return problem(f"{url}: {error}. Is it the key set? If not, {_NAME_IT}.")
    return problem(f"{url} can't be fetched: {in_words(error)}. {_network_advice(url, cause_of(error))}")


def _network_advice(url: str, cause: Cause) -> str:
    if cause is Cause.REFUSED and urlsplit(url).hostname in _LOOPBACK:
        return (
            "Is the front end running? Inside a container localhost is the container itself: name the "
            "internal address with BETTER_AUTH_JWKS_URL, like http://web:3000/api/auth/jwks."
        )
    return _NETWORK_ADVICE.get(cause, f"Correct BETTER_AUTH_URL, or {_NAME_IT}.")


def _unusable(url: str, document: Document, error: UnusableKeys) -> Finding:
    try:
        count = len(published_keys(document.body))
    except UnusableKeys:
        return problem(f"{url}: {error}. Is it a page? Then {_NAME_IT}.")
    if not count:
        return problem(f"{url}: the key set is empty. Sign in and ask for a token once: that makes a key.")
    return problem(
        f"0 of {count} published at {url} can be used. Let the jwt() plugin make one: with a kid, for "
        f"signatures, for one of {', '.join(sorted(ASYMMETRIC))}; RSA with at least 2048 bits."
    )

"""What the value of a setting must be like, and what else follows from it."""

import re
from urllib.parse import urlsplit

#: HMAC-SHA256 wants a key of at least its output's size (RFC 7518 section 3.2).
_SECRET_BYTES = 32

_PORTS = {"http": 80, "https": 443}


def long_enough(secret: str) -> str:
    """Refuse a short secret (ValueError)."""
    if secret and len(secret.encode()) < _SECRET_BYTES:
        raise ValueError(f"must have at least {_SECRET_BYTES} bytes; make one with: openssl rand -base64 32")
    return secret


def origins(text: str) -> str:
    """Refuse what browsers do not send as an origin (ValueError): it would never match, in silence."""
    for origin in separated(text):
        if origin != "*" and not _is_origin(origin):
            raise ValueError(
                f"'{origin}' is not an origin as browsers send it; write it like https://app.example.com, in "
                "lower case, without wildcard, path or the scheme's own port"
            )
    return text


def _is_origin(text: str) -> bool:
    """Whether a browser may send it (RFC 6454 section 6.2)."""
    found = re.fullmatch(r"(https?)://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", text)
    return found is not None and found.groups() not in {("http", "80"), ("https", "443")}


def auth_url(text: str) -> str:
    """Refuse what is no plain address of a server (ValueError). A slash at its end means nothing."""
    try:
        url = urlsplit(text)
        plain = url.scheme in _PORTS and url.hostname and url.port != 0 and "@" not in url.netloc
    except ValueError:
        plain = False
    if text and (not plain or url.query or url.fragment or not text.isprintable() or " " in text):
        raise ValueError("must be an address like https://app.example.com, without user, ? and #")
    return text.rstrip("/")


def origin_of(url: str) -> str:
    """Return scheme, host and port, as Better Auth puts them into `iss` and `aud` (RFC 6454 section 6.2)."""
    parts = urlsplit(url)
    if not parts.hostname:
        return ""
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in {None, _PORTS[parts.scheme]} else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def default_jwks_url(url: str) -> str:
    """Return where Better Auth publishes its keys: below its URL's path, or without one below /api/auth."""
    if not url:
        return ""
    return f"{url}/jwks" if urlsplit(url).path else f"{url}/api/auth/jwks"


def lower(value: object) -> object:
    """Take a text in any case."""
    return value.lower() if isinstance(value, str) else value


def separated(text: str) -> list[str]:
    """Return the items of a list that is written with commas."""
    return [item.strip() for item in text.split(",") if item.strip()]

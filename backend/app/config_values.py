"""What the value of a setting must be like, and what else follows from it."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

#: HMAC-SHA256 wants a key of at least its output's size (RFC 7518 section 3.2).
_SECRET_BYTES = 32

_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65_535
_MOST_A_SECOND = 10_000
_HOST = r"([a-z0-9._-]+|\[[0-9a-f:.]+\])"


def long_enough(secret: str) -> str:
    """Refuse a short secret (ValueError)."""
    if secret and len(secret.encode()) < _SECRET_BYTES:
        raise ValueError(
            f"must have at least {_SECRET_BYTES} bytes; make one for both sides: openssl rand -base64 32"
        )
    return secret


def bearer(token: str) -> str:
    """Refuse what no Authorization header can carry (ValueError; RFC 6750 section 2.1)."""
    if token and not re.fullmatch(r"[A-Za-z0-9\-._~+/]+=*", token):
        raise ValueError("may have letters, digits and -._~+/ only; make one: openssl rand -hex 32")
    return token


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
    found = re.fullmatch(rf"(https?)://{_HOST}(?::([0-9]{{1,5}}))?", text)
    return found is not None and found.group(1, 3) not in {("http", "80"), ("https", "443")}


def auth_url(text: str) -> str:
    """Return an address as browsers write it; refuse what is none (ValueError).

    Better Auth makes `iss` and `aud` from it as browsers do, so another spelling would never match.
    """
    found = re.fullmatch(rf"(?i)(https?)://{_HOST}(?::([0-9]{{1,5}}))?(/[a-z0-9._~/-]*)?", text.strip())
    if text.strip() and (found is None or not _is_host(found[2]) or not _is_port(found[3])):
        raise ValueError(
            "must be an address like https://app.example.com, with a host that browsers leave as it is "
            "(names of other scripts as xn--...), without user, ? and #"
        )
    if found is None:
        return ""
    scheme, host, port = found[1].lower(), found[2].lower(), found[3]
    own_port = port is None or int(port) == _PORTS[scheme]
    return f"{scheme}://{host}{'' if own_port else f':{int(port)}'}{(found[4] or '').rstrip('/')}"


def base_url(text: str) -> str:
    """Do the same for the front end's own address (ValueError)."""
    url = auth_url(text)
    if url.endswith("/jwks"):
        raise ValueError("must be the front end's address; that of its keys is for BETTER_AUTH_JWKS_URL")
    return url


def _is_host(text: str) -> bool:
    try:
        if text.startswith("["):
            return f"[{ip_address(text[1:-1])}]" == text.lower()
        if text.rpartition(".")[2].isdecimal():
            return str(ip_address(text)) == text
        return text.encode("idna") != b""
    except ValueError:  # UnicodeError is one
        return False


def _is_port(text: str | None) -> bool:
    return text is None or 0 < int(text) <= _LAST_PORT


def audiences(text: str) -> str:
    """Refuse a list without any item (ValueError)."""
    if text.strip() and not separated(text):
        raise ValueError("names no audience")
    return text


def origin_of(url: str) -> str:
    """Return scheme, host and port of an address, as Better Auth puts them into `iss` and `aud`."""
    return "/".join(url.split("/")[:3])


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


def rate(text: str) -> str:
    """Return a rate as `300/minute`, or `off`; refuse what is neither (ValueError)."""
    plain = text.strip().lower()
    found = re.fullmatch(r"([1-9][0-9]{0,6})/(second|minute|hour)", plain)
    if plain != "off" and (found is None or (found[2] == "second" and int(found[1]) > _MOST_A_SECOND)):
        raise ValueError("must be like 300/minute (or /second, /hour; at most 10000/second), or off")
    return plain


def redis_url(text: str) -> str:
    """Return the address of a Redis or Valkey server; they speak the same protocol (ValueError)."""
    plain = re.sub(r"^valkey(s?)://", r"redis\1://", text.strip())
    if plain and not re.fullmatch(
        r"rediss?://([^@/\s]*@)?[^@/\s?#]+(/[0-9]*)?(\?[^\s#]*)?|unix://\S+", plain
    ):
        raise ValueError(
            "must be like redis://user:password@host:6379/0, rediss:// with TLS, or unix:///run/redis.sock; "
            "in the password / and @ are %2F and %40"
        )
    return plain

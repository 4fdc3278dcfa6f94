"""DATABASE_URL, as providers print it, turned into what asyncpg wants."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self
from urllib.parse import unquote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from app.errors import ConfigurationError

#: Neon marks its pooler in the host's first label; the ports are PgBouncer's and Supavisor's own.
_POOLER_SUFFIX = "-pooler"
_POOLER_PORTS = {6432, 6543}

_UNVERIFIED = {"allow", "prefer"}
_VERIFIED = {"require", "verify-ca", "verify-full"}

_PORTS = range(1, 65_536)


@dataclass(frozen=True)
class Target:
    """Which database to connect to, and how."""

    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    database: str
    tls: ssl.SSLContext | str | bool
    direct_tls: bool
    application_name: str
    pooled: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a PostgreSQL URL.

        `sslmode=require` and stricter verify the server's certificate and its name, against the system's
        authorities or `sslrootcert`. `channel_binding` is accepted and left out: asyncpg has no SCRAM-PLUS,
        and a verified certificate keeps out the same attacker. `options=endpoint=…` is left out because
        asyncpg names the host in the TLS handshake.

        Raises ConfigurationError for what can't be read or honoured; its text never holds the password.
        """
        url = _url(text)
        options = _Options(url.query)
        host = _one_host(options.take("host") or unquote(url.host or "localhost"))
        port = _port(options.take("port") if url.port is None else str(url.port))
        pooled = options.choice("pgbouncer", "true", "false") == "true"
        tls = _tls(host, options.take("sslmode") or options.take("ssl"), options.take("sslrootcert"))
        direct_tls = options.choice("sslnegotiation", "postgres", "direct") == "direct"
        if direct_tls and not isinstance(tls, ssl.SSLContext):
            raise ConfigurationError("DATABASE_URL: sslnegotiation=direct needs a host and sslmode=require")
        target = cls(
            host=host,
            port=port,
            user=url.username,
            password=None if url.password is None else str(url.password),
            database=url.database or "",
            tls=tls,
            direct_tls=direct_tls,
            application_name=options.take("application_name") or "tasks-api",
            pooled=pooled or host.split(".")[0].endswith(_POOLER_SUFFIX) or port in _POOLER_PORTS,
        )
        options.choice("channel_binding", "prefer", "require", "disable")
        _refuse_server_options(options.take("options"))
        options.refuse_the_rest()
        return target

    def direct(self) -> Self:
        """Return the same database without Neon's pooler between: for migrations."""
        label, *domain = self.host.split(".")
        return replace(self, host=".".join([label.removesuffix(_POOLER_SUFFIX), *domain]))

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of `asyncpg.connect`."""
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "password": self.password,
            "database": self.database,
            "ssl": self.tls,
            "direct_tls": self.direct_tls,
            "server_settings": {"application_name": self.application_name},
        }


def _url(text: str) -> URL:
    try:
        url = make_url(text.strip())
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "DATABASE_URL: not a URL; write it like postgresql://user:password@host/database"
        ) from None
    if url.get_backend_name() not in {"postgresql", "postgres"}:
        raise ConfigurationError("DATABASE_URL: it must start with postgresql://")
    if text.count("@") > (url.username is not None):
        # Some of the password would be taken for something else, which may be shown.
        raise ConfigurationError("DATABASE_URL: inside the user, the password and the options write @ as %40")
    if not url.database:
        raise ConfigurationError(
            "DATABASE_URL: the name of the database is missing; write it after the host, like host/database"
        )
    return url


def _one_host(host: str) -> str:
    if "," in host:
        raise ConfigurationError("DATABASE_URL: only one host can be honoured")
    if host.startswith("/"):  # the folder of a Unix socket
        return host
    try:
        host.encode("idna")  # what the resolver does, which would fail with every request
    except UnicodeError:
        host = ""
    if not host.isprintable() or not host:
        raise ConfigurationError("DATABASE_URL: this is not the name of a host")
    return host


def _port(text: str | None) -> int:
    if text is None:
        return 5432
    if not re.fullmatch("[0-9]{1,5}", text) or int(text) not in _PORTS:
        raise ConfigurationError(f"DATABASE_URL: the port is a whole number from 1 to {_PORTS[-1]}")
    return int(text)


def _tls(host: str, mode: str | None, root_certificate: str | None) -> ssl.SSLContext | str | bool:
    if mode is None:
        mode = "require" if root_certificate or host.endswith(".neon.tech") else "prefer"
    if mode == "disable" or host.startswith("/"):
        return False
    if mode in _UNVERIFIED:
        return mode
    if mode not in _VERIFIED:
        modes = ", ".join(["disable", *sorted(_UNVERIFIED), *sorted(_VERIFIED)])
        raise ConfigurationError(f"DATABASE_URL: sslmode is one of {modes}")
    try:
        system = root_certificate in {None, "system"}
        context = ssl.create_default_context(cafile=None if system else root_certificate)
    except (OSError, ValueError):
        raise ConfigurationError("DATABASE_URL: sslrootcert is not a file of certificates") from None
    context.set_alpn_protocols(["postgresql"])  # PostgreSQL 17 wants this name in a direct handshake
    return context


def _refuse_server_options(options: str | None) -> None:
    if options and not re.fullmatch(r"endpoint=[\w.-]+", options):
        raise ConfigurationError(
            "DATABASE_URL: server settings in `options` can't be honoured; use ALTER ROLE … SET instead"
        )


class _Options:
    """The URL's query; what nobody takes is refused by name, so that no wish is dropped in silence."""

    def __init__(self, query: Mapping[str, str | tuple[str, ...]]) -> None:
        self._left = dict(query)

    def take(self, name: str) -> str | None:
        value = self._left.pop(name, None)
        if isinstance(value, tuple):
            raise ConfigurationError(f"DATABASE_URL: the option {name} is given twice")
        return value

    def choice(self, name: str, *accepted: str) -> str | None:
        value = self.take(name)
        if value is not None and value not in accepted:
            raise ConfigurationError(f"DATABASE_URL: the option {name} must be one of {', '.join(accepted)}")
        return value

    def refuse_the_rest(self) -> None:
        self.take("connect_timeout")  # DATABASE_TIMEOUT covers it
        for name in self._left:
            # Only the first: what follows a `password` may be a piece of it.
            raise ConfigurationError(f"DATABASE_URL: can't honour the option {name}; remove it")

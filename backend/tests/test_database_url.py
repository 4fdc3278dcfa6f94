"""DATABASE_URL: what is understood, what is refused and in which words, and that verified TLS is demanded."""

import asyncio
import re
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import literal_column, select

from app.config import BACKEND, Settings
from app.database import Database
from app.database_url import Target
from app.errors import ConfigurationError, Unavailable
from app.statement import Statement

NEON = (
    "postgresql://neondb_owner:npg_AbC123@ep-cool-darkness-a1b2c3d4-pooler.us-east-2.aws.neon.tech/neondb"
    "?sslmode=require&channel_binding=require"
)
#: A server that is starting up is asked once more.
TRIES = 2

CANARY = "hunter2"


def is_verified(tls: object) -> bool:
    return isinstance(tls, ssl.SSLContext) and tls.check_hostname and tls.verify_mode == ssl.CERT_REQUIRED


def test_neons_console_string_works_as_pasted():
    target = Target.parse(NEON)
    assert target.host == "ep-cool-darkness-a1b2c3d4-pooler.us-east-2.aws.neon.tech"
    assert (target.port, target.user, target.password) == (5432, "neondb_owner", "npg_AbC123")
    assert (target.database, target.pooled, target.direct_tls) == ("neondb", True, False)
    assert is_verified(target.tls)
    assert target.arguments().keys() == {
        *("host", "port", "user", "password", "database", "ssl", "direct_tls", "server_settings"),
    }


def test_migrations_go_to_the_direct_host():
    direct = Target.parse(NEON).direct()
    assert direct.host == "ep-cool-darkness-a1b2c3d4.us-east-2.aws.neon.tech"
    assert direct.direct() == direct
    assert is_verified(direct.tls)


def test_neons_direct_string_is_not_pooled_and_verified_even_without_sslmode():
    target = Target.parse("postgresql://u:p@ep-x-1.eu-central-1.aws.neon.tech/neondb")
    assert not target.pooled
    assert is_verified(target.tls)


def test_the_endpoint_option_is_left_out():
    target = Target.parse(f"{NEON}&options=endpoint%3Dep-cool-darkness-a1b2c3d4")
    assert target.arguments()["server_settings"] == {"application_name": "tasks-api"}


def test_direct_tls_is_passed_on_with_the_protocols_name():
    assert Target.parse(f"{NEON}&sslnegotiation=direct").arguments()["direct_tls"] is True


@pytest.mark.parametrize(
    "scheme", ["postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg", "postgresql+psycopg2"]
)
def test_the_scheme_of_any_library_will_do(scheme):
    assert Target.parse(f"{scheme}://u:p@db/tasks").host == "db"


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("postgresql://u@db/t", "db", 5432),
        ("postgresql://u@db:5433/t", "db", 5433),
        ("postgresql:///t", "localhost", 5432),
        ("postgresql://u@/t?host=/run/postgresql", "/run/postgresql", 5432),
        ("postgresql://u@/t?host=/run/postgresql&port=5433", "/run/postgresql", 5433),
        ("postgresql://u@%2Frun%2Fpostgresql/t", "/run/postgresql", 5432),
        ("postgresql://u@[2001:db8::1]:5433/t", "2001:db8::1", 5433),
        ("  postgresql://u@db/t\n", "db", 5432),
    ],
)
def test_the_address_is_read(url, host, port):
    target = Target.parse(url)
    assert (target.host, target.port, target.database) == (host, port, "t")


@pytest.mark.parametrize("password", ["p@ss/w:rd?#&%", "ünï", "a+b c", "%40", "😀", "'\"\\"])
def test_a_percent_encoded_password_is_decoded_once(password):
    encoded = "".join(f"%{byte:02X}" for byte in password.encode())
    assert Target.parse(f"postgresql://u:{encoded}@h/d").password == password


@pytest.mark.parametrize("password", ["a/b?c#d", "a:b", "a+b", "a=b&c"])
def test_a_password_may_hold_what_no_parser_takes_for_something_else(password):
    assert Target.parse(f"postgresql://u:{password}@h/d").password == password


@pytest.mark.parametrize(
    ("url", "pooled"),
    [
        ("postgresql://h/d", False),
        ("postgresql://h:5433/d", False),
        ("postgresql://h:6432/d", True),
        ("postgresql://h:6543/d", True),
        ("postgresql://h/d?port=6543", True),
        ("postgresql://h/d?pgbouncer=true", True),
        ("postgresql://h/d?pgbouncer=false", False),
        ("postgresql://ep-x-pooler.neon.tech/d", True),
        ("postgresql://h.ep-pooler.example/d", False),
    ],
)
def test_a_pooler_is_recognised(url, pooled):
    assert Target.parse(url).pooled is pooled


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_sslmode_require_and_above_are_verified(mode):
    assert is_verified(Target.parse(f"postgresql://h/d?sslmode={mode}").tls)
    assert is_verified(Target.parse(f"postgresql://h/d?sslmode={mode}&sslrootcert=system").tls)


def test_a_root_certificate_means_that_it_is_checked(certificate):
    assert is_verified(Target.parse(f"postgresql://h/d?sslrootcert={certificate}").tls)


def test_only_who_asks_for_less_gets_less():
    assert Target.parse("postgresql://h/d?sslmode=disable").tls is False
    assert Target.parse("postgresql://h/d?sslmode=prefer").tls == "prefer"
    assert Target.parse("postgresql://h/d?sslmode=allow").tls == "allow"
    assert Target.parse("postgresql:///d?host=/run/postgresql&sslmode=require").tls is False


def test_the_application_is_named():
    settings = Target.parse("postgresql://h/d?application_name=mine").arguments()["server_settings"]
    assert settings == {"application_name": "mine"}


def test_connect_timeout_is_taken_because_ours_is_stricter():
    assert Target.parse("postgresql://h/d?connect_timeout=10").host == "h"


REFUSED = [
    ("", "not a URL"),
    ("nonsense", "not a URL"),
    (f"u:{CANARY}@h/d", "not a URL"),
    (f"postgresql://u:{CANARY}@h:port/d", "not a URL"),
    (f"postgresql://u:{CANARY}", "not a URL"),
    (f"mysql://u:{CANARY}@h/d", "must start with postgresql://"),
    (f"{CANARY}://u:p@h/d", "must start with postgresql://"),
    (f"postgresql://u:{CANARY}@h", "name of the database"),
    (f"postgresql://u:{CANARY}@h/", "name of the database"),
    (f"postgresql://u:{CANARY}@h:0/d", "port is a whole number"),
    (f"postgresql://u:{CANARY}@h:65536/d", "port is a whole number"),
    (f"postgresql://u:{CANARY}@h/d?port=five", "port is a whole number"),
    (f"postgresql://u:{CANARY}@h/d?port={'9' * 5000}", "port is a whole number"),
    (f"postgresql://u:{CANARY}@a,b/d", "only one host"),
    (f"postgresql://u:{CANARY}@/d?host=a,b", "only one host"),
    (f"postgresql://u:{CANARY}@a..b/d", "not the name of a host"),
    (f"postgresql://u:{CANARY}@a%00b/d", "not the name of a host"),
    (f"postgresql://u:p@{CANARY}@h/d", "write @ as %40"),
    (f"postgresql://u:p@h/d?{CANARY}=1@h/d", "write @ as %40"),
    (f"postgresql://u/x:{CANARY}@h/d", "write @ as %40"),
    (f"postgresql://u:{CANARY}@h/d?sslmode=strict", "sslmode is one of"),
    (f"postgresql://u:{CANARY}@h/d?ssl=true", "sslmode is one of"),
    (f"postgresql://u:{CANARY}@h/d?sslmode=require&sslrootcert=/nowhere", "sslrootcert"),
    (f"postgresql://u:{CANARY}@h/d?sslmode=require&sslrootcert={BACKEND}/alembic.ini", "sslrootcert"),
    (f"postgresql://u:{CANARY}@h/d?sslnegotiation=later", "sslnegotiation must be one of"),
    (f"postgresql://u:{CANARY}@h/d?sslnegotiation=direct", "sslnegotiation=direct needs"),
    (f"postgresql://u:{CANARY}@h/d?channel_binding=maybe", "channel_binding must be one of"),
    (f"postgresql://u:{CANARY}@h/d?pgbouncer=yes", "pgbouncer must be one of"),
    (f"postgresql://u:{CANARY}@h/d?options=-c%20statement_timeout%3D5s", "`options`"),
    (f"postgresql://u:{CANARY}@h/d?options=endpoint%3Dep-x%20-c%20jit%3Doff", "`options`"),
    (f"postgresql://u:{CANARY}@h/d?sslmode=require&sslmode=disable", "sslmode is given twice"),
    (f"postgresql://u:{CANARY}@h/d?sslmode=require&ssl=require", "the option ssl;"),
    (f"postgresql://u:{CANARY}@h/d?target_session_attrs=read-write", "target_session_attrs"),
    (f"postgresql://u:{CANARY}@h/d?sslcert=c.pem", "sslcert"),
    (f"postgresql://u:{CANARY}@h/d?gssencmode=disable", "gssencmode"),
    (f"postgresql://h/d?user=u&password={CANARY}", "the option user;"),
    (f"postgresql://h/d?password=x&{CANARY}=1", "the option password;"),
]


@pytest.mark.parametrize(("url", "reason"), REFUSED)
def test_what_cannot_be_honoured_is_refused_by_name_in_one_line_without_the_password(url, reason):
    with pytest.raises(ConfigurationError, match=re.escape(reason)) as refusal:
        Target.parse(url)
    message = str(refusal.value)
    assert message.startswith("DATABASE_URL: ")
    assert "\n" not in message
    assert CANARY not in message
    assert refusal.value.__cause__ is None


SHARDS = [
    "postgresql",
    "postgres",
    "mysql",
    "://",
    ":",
    "@",
    "/",
    "?",
    "&",
    "=",
    "#",
    "%",
    "%40",
    "%00",
    "u",
    "h",
]
SHARDS += [
    "[",
    "]",
    "[::1]",
    ",",
    "..",
    "d",
    "sslmode",
    "require",
    "options",
    "port",
    "host",
    "99999",
    "\n",
    "ü",
]
shards = st.lists(st.sampled_from(SHARDS) | st.text(max_size=3), max_size=8).map("".join)


@pytest.mark.no_cover  # slow under it, and covered by the rest
@given(before=shards, after=shards)
def test_whatever_stands_around_the_password_no_message_holds_it(before, after):
    for url in (
        f"postgresql://u:{before}{CANARY}{after}@h/d",
        f"postgresql://u:{CANARY}@{before}?{after}",
        f"{before}:{CANARY}@{after}",
        f"postgresql://h/d?password={before}{CANARY}{after}",
    ):
        assert CANARY not in shown(url)


def shown(url: str) -> str:
    """All that anybody gets to see of a URL."""
    try:
        return repr(Target.parse(url))
    except ConfigurationError as refusal:
        return str(refusal)


def test_a_target_does_not_show_its_password():
    target = Target.parse(f"postgresql://u:{CANARY}@h/d")
    assert target.password == CANARY
    assert CANARY not in repr(target)
    assert CANARY not in str(target)


# TLS, against a server that has got as far as the handshake.

#: Made for this test, for `localhost` alone, and trusted by nobody.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBhTCCASqgAwIBAgIULUPf78Pj7B/JXSHFmUcEdjGeTRUwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAx
MDAwMDAwWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARm8ywkwhmqBRK9Om4/WVbrR/FHhXOl5oU9/V1QSkrcbzOIakcoGN/g
RmQRBAZArJaOab/D8GinZPkchItbY6kro1gwVjAPBgNVHRMBAf8EBTADAQH/MA4G
A1UdDwEB/wQEAwIChDAdBgNVHQ4EFgQUK4ghuTnGvnzVvDgHe9wLj3ADy6UwFAYD
VR0RBA0wC4IJbG9jYWxob3N0MAoGCCqGSM49BAMCA0kAMEYCIQDU/RqK2/twC8wk
NCp3Q8rmRlLVKsB/x/PgfmNYP0JMxwIhAPh+hetGKxZP2XOMlQV+lln/f3NGYA++
M5uyZUb7H7o9
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgJmHHKFWQ1HRbl02h
inR8ETjxhPkwrXc/ZKWKlyKjDBahRANCAARm8ywkwhmqBRK9Om4/WVbrR/FHhXOl
5oU9/V1QSkrcbzOIakcoGN/gRmQRBAZArJaOab/D8GinZPkchItbY6kr
-----END PRIVATE KEY-----
"""
SSL_REQUEST = struct.pack("!ll", 8, 80_877_103)
STARTING_UP = b"SFATAL\0C57P03\0Mthe database system is starting up\0\0"
PING = Statement(select(literal_column("1")))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_text(CERTIFICATE)
    return path


@dataclass
class Listener:
    """Answers as PostgreSQL does until a client has said who it is, and remembers that."""

    tls: ssl.SSLContext | None
    port: int = 0
    asked: int = 0
    startups: list[bytes] = field(default_factory=list)
    protocols: list[str | None] = field(default_factory=list)

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            message = await _startup_message(reader)
            if message == SSL_REQUEST:
                writer.write(b"N" if self.tls is None else b"S")
                if self.tls is not None:
                    await writer.start_tls(self.tls)
                message = await _startup_message(reader)
            self.startups.append(message)
            if tls := writer.get_extra_info("ssl_object"):
                self.protocols.append(tls.selected_alpn_protocol())
            writer.write(b"E" + struct.pack("!l", len(STARTING_UP) + 4) + STARTING_UP)
            await writer.drain()
        writer.close()


async def _startup_message(reader: asyncio.StreamReader) -> bytes:
    size = await reader.readexactly(4)
    return size + await reader.readexactly(int.from_bytes(size) - 4)


@asynccontextmanager
async def listening(*, tls: bool, direct: bool = False) -> AsyncIterator[Listener]:
    context = server_context() if tls else None
    listener = Listener(context)
    server = await asyncio.start_server(listener.meet, "localhost", ssl=context if direct else None)
    listener.port = server.sockets[0].getsockname()[1]
    async with server:
        yield listener


def server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["postgresql"])
    with TemporaryDirectory() as folder:
        chain = Path(folder, "chain.pem")
        chain.write_text(KEY + CERTIFICATE)
        context.load_cert_chain(chain)
    return context


async def ask(listener: Listener, options: str, host: str = "localhost") -> None:
    """Run a statement there, which is never answered; what counts is how far the client goes."""
    url = f"postgresql://u:p@{host}:{listener.port}/d?{options}"
    database = Database(url, Settings())
    with pytest.raises(Unavailable):
        await database.fetch(PING)
    await database.close()
    assert listener.asked


async def test_a_server_without_tls_is_told_nothing():
    async with listening(tls=False) as listener:
        await ask(listener, "sslmode=require")
        assert listener.startups == []
        await ask(listener, "sslmode=prefer")
        assert len(listener.startups) == TRIES


async def test_a_certificate_that_nobody_vouches_for_is_told_nothing():
    async with listening(tls=True) as listener:
        await ask(listener, "sslmode=require")
        assert listener.startups == []


async def test_a_certificate_for_another_name_is_told_nothing(certificate):
    async with listening(tls=True) as listener:
        await ask(listener, f"sslmode=require&sslrootcert={certificate}", host="127.0.0.1")
        assert listener.startups == []


async def test_a_certificate_of_a_known_authority_for_this_name_is_trusted(certificate):
    async with listening(tls=True) as listener:
        await ask(listener, f"sslmode=require&sslrootcert={certificate}")
        assert len(listener.startups) == TRIES


async def test_direct_tls_names_the_protocol_in_its_handshake(certificate):
    async with listening(tls=True, direct=True) as listener:
        await ask(listener, f"sslmode=require&sslrootcert={certificate}&sslnegotiation=direct")
        assert listener.protocols == ["postgresql"] * TRIES

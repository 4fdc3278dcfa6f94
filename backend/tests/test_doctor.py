"""`tasks-api doctor`: every line that it can print, for a configuration or a token that deserves it."""

import asyncio
import json
import os
import re
import secrets
import select
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app import doctor as package
from app.config import EXAMPLE_SECRET, Settings
from app.doctor import run, subject
from app.doctor.advice import advice
from app.doctor.causes import Cause, cause_of
from app.doctor.peek import Peek
from app.embedded import embedded_postgres
from app.migrations import migrate, newest_revision
from tests.conftest import FAST, SECRET, MakeDatabase, administer, named
from tests.key_server import Behaviour, KeyServer, answering, hanging_up, key_server, waiting
from tests.servers import BIN, Commands, processes_of
from tests.signing import ISSUER, KeyPair, encoded, key_set
from tests.test_auth import token as hs256
from tests.test_database_url import listening
from tests.test_sessions import NOWHERE, TABLE, signed

NAMES = ["database", "schema", "keys", "claims", "secret", "sessions", "limits", "clock", "token"]
OTHER_SECRET = "another secret, of another front end"
FIRST, SECOND = KeyPair("first"), KeyPair("second", "RS256")

Doctor = Callable[..., Awaitable[dict[str, str]]]


def read(output: str) -> dict[str, str]:
    """What was printed, by check; each line says of what, and none has anything for the terminal to obey."""
    assert re.fullmatch(r"[ -~\n]+", output)
    first, *lines, last = output.splitlines()
    assert first.startswith("Settings from the environment and backend/.env; ")
    found: dict[str, str] = {}
    for line in lines:
        name = line[5:14].strip() or [*found][-1]
        found[name] = f"{found[name]}\n{line.strip()}" if name in found else line[:5] + line[15:]
    assert [*found] == NAMES
    problems = sum(text.startswith("!! ") for text in found.values())
    counted = "Everything is in order." if not problems else f"{problems} problem{'s' * (problems > 1)}."
    assert last == counted
    return found


@pytest.fixture
def doctor(settings: Settings, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Examine the tests' settings with some changes; what must never be shown is looked for every time."""

    async def examine(token: str | None = None, **changes: Any) -> dict[str, str]:
        changed = Settings.model_validate(settings.model_dump() | {"database_timeout": 4} | changes)
        with ThreadPoolExecutor(1) as own:  # one that was begun while coverage was not measured never is
            problems = await asyncio.get_running_loop().run_in_executor(own, run, changed, token)
        output, errors = capsys.readouterr()
        assert errors == ""
        found = read(output)
        assert problems == sum(text.startswith("!! ") for text in found.values())
        for hidden in ["hidden", SECRET, OTHER_SECRET, "Traceback", *pieces(token or "")]:
            assert hidden not in output
        return found

    return examine


def pieces(token: str) -> list[str]:
    """Every run of eight characters of a token; its own values are shown in another form."""
    return [token[at : at + 8] for at in range(len(token) - 7)]


def publishing(*pairs: KeyPair, late: float = 0, **headers: str) -> Behaviour:
    """Answer as a server does whose clock is late."""
    date = formatdate(time.time() - late, usegmt=True)
    return answering(key_set(*(pair.jwk() for pair in pairs)), date=date, **headers)


@pytest.fixture
async def front_end() -> AsyncIterator[KeyServer]:
    async with key_server() as keys:
        keys.behave = publishing(FIRST, SECOND)
        yield keys


@pytest.fixture
def published(front_end: KeyServer) -> dict[str, Any]:
    """The settings of a service whose front end is the key server."""
    return {"better_auth_url": ISSUER, "better_auth_jwks_url": front_end.url}


def fresh(**changes: Any) -> dict[str, Any]:
    """The times of a token that was just made."""
    return {"iat": int(time.time()), "exp": int(time.time()) + 900} | changes


def jwt(pair: KeyPair = FIRST, header: dict[str, Any] | None = None, **changes: Any) -> str:
    return pair.sign(header, **fresh(**changes))


# The database and its schema


async def test_with_everything_right_everything_is_in_order(doctor, published, make_database: MakeDatabase):
    url = await make_database()
    await administer(url, TABLE)
    found = await doctor(jwt(), **published, better_auth_database_url=url, rate_limit="300/minute")
    assert {text[:5] for text in found.values()} == {"ok   "}
    assert re.fullmatch(r"ok   the database 'test_\d+' at '/.*' answers in \d+\.\d ms", found["database"])
    assert found["schema"] == f"ok   up to date, at {newest_revision()}"
    assert found["sessions"] == "ok   Better Auth's table session can be read"
    assert re.match("ok   the front end's is .* and the database's is right to the second$", found["clock"])


async def test_what_is_not_configured_is_no_problem_and_names_its_setting(doctor):
    found = await doctor(better_auth_secret="")
    assert {name: text[:5] for name, text in found.items()} == {
        "database": "ok   ", "schema": "ok   ", "keys": "--   ", "claims": "--   ",
        "secret": "--   ", "sessions": "--   ", "limits": "--   ", "clock": "ok   ", "token": "--   ",
    }  # fmt: skip
    assert "BETTER_AUTH_URL" in found["keys"]
    assert "BETTER_AUTH_SECRET" in found["secret"]
    assert "BETTER_AUTH_DATABASE_URL" in found["sessions"]
    assert "RATE_LIMIT_ADDRESS" in found["limits"]
    assert "--token" in found["token"]


async def test_a_database_that_is_gone_is_one_problem_and_not_four(doctor):
    found = await doctor(database_url=NOWHERE, better_auth_database_url="same")
    assert found["database"] == (
        "!!   the database 'nothing' at '127.0.0.1:1' can't be reached: the connection is refused. "
        "Is PostgreSQL running there? Correct the host and the port in DATABASE_URL."
    )
    for name in ("schema", "sessions", "clock"):
        assert found[name].startswith("--   not checked: ")


@pytest.mark.parametrize(("workers", "said"), [(1, ";"), (3, ", so 3 workers let through 3 times as much;")])
async def test_limits_of_one_process_name_the_setting_for_several(doctor, workers, said):
    found = await doctor(rate_limit_address="60/minute", workers=workers)
    assert found["limits"] == (
        f"ok   each process counts for itself{said} RATE_LIMIT_REDIS_URL lets all count together"
    )


async def test_a_redis_that_is_gone_is_a_problem(doctor):
    found = await doctor(rate_limit="60/minute", rate_limit_redis_url="redis://u:hidden@127.0.0.1:1/0")
    assert found["limits"] == (
        "!!   Redis can't be asked, so each process counts for itself: the connection is refused. "
        "Is it running there? Correct the host and the port in RATE_LIMIT_REDIS_URL."
    )


@pytest.fixture
def agreeing() -> Iterator[str]:
    """What says OK to everything, as a stub may; gives its address for RATE_LIMIT_REDIS_URL."""

    def agree(caller: socket.socket) -> None:
        with caller:
            while said := caller.recv(65_536):
                caller.sendall(b"+OK\r\n" * len(re.findall(rb"(?:^|\r\n)\*[0-9]", said)))

    def serve() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=agree, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


async def test_what_only_agrees_is_no_redis(doctor, agreeing):
    found = await doctor(rate_limit="60/minute", rate_limit_redis_url=agreeing)
    assert "what answers there is no Redis. Correct the host and the port in" in found["limits"]


def test_only_a_redis_is_told_that_it_is_none():
    """asyncpg's errors of configuration are ValueErrors, and other checks ask here too."""
    assert cause_of(ValueError()) is cause_of(TypeError()) is Cause.OTHER


def as_role(url: str, role: str) -> str:
    return url.replace("postgres@", f"{role}@")


async def test_a_database_says_why_it_refuses(doctor, server):
    await administer(server, "CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
    await administer(server, "CREATE DATABASE closed ALLOW_CONNECTIONS false")
    async with listening(tls=False) as plain, listening(tls=True) as encrypted:
        reasons = {
            named(server, "missing"): "no database of this name. Create it",
            as_role(server, "nobody"): "refuses the user or the password. Correct",
            as_role(server, "crowded"): "no connection left. Lower DATABASE_POOL_SIZE",
            named(server, "closed"): "ObjectNotInPrerequisiteStateError 55000. Its log",
            "postgresql://u:hidden@/d?host=/nowhere": "its Unix socket is not there. ",
            f"postgresql://u:hidden@localhost:{plain.port}/d": "starting or stopping. Try again",
            f"postgresql://u:hidden@localhost:{plain.port}/d?sslmode=require": (
                "it does not speak TLS there. If the way to it is safe without, write sslmode=disable"
            ),
            f"postgresql://u:hidden@localhost:{encrypted.port}/d?sslmode=require": (
                "signed certificate). Name its authority with sslrootcert in DATABASE_URL"
            ),
        }
        for url, reason in reasons.items():
            assert reason in (await doctor(database_url=url))["database"]


async def test_a_host_that_is_not_known_is_named_by_its_setting(doctor, monkeypatch):
    def unknown(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    found = await doctor(
        database_url="postgresql://u:hidden@db.invalid/d", better_auth_url="https://app.invalid"
    )
    assert "the host's name is not known. Correct the host in DATABASE_URL." in found["database"]
    assert "the host's name is not known. Correct BETTER_AUTH_URL, or name" in found["keys"]


async def test_a_schema_that_is_behind_is_to_be_migrated(doctor, make_database: MakeDatabase):
    found = await doctor(database_url=await make_database(empty=True))
    assert found["schema"].startswith("!!   behind: the schema is at revision none and this version needs ")
    assert found["schema"].endswith("run: tasks-api migrate")


async def test_a_schema_that_is_ahead_is_in_order(doctor, make_database: MakeDatabase):
    url = await make_database()
    await administer(url, "UPDATE alembic_version SET version_num = 'later'")
    assert (await doctor(database_url=url))["schema"].startswith("ok   ahead, at 'later': ")


async def test_a_role_that_may_not_read_says_so(doctor, make_database: MakeDatabase):
    url = await make_database()
    await administer(url, TABLE)
    await administer(url, "CREATE ROLE outsider LOGIN")
    found = await doctor(database_url=as_role(url, "outsider"), better_auth_database_url="same")
    refused = "the user may not read the table. Let the user of {} read the table."
    assert found["schema"] == "!!   its revision can't be read: " + refused.format("DATABASE_URL")
    assert found["sessions"].endswith(refused.format("BETTER_AUTH_DATABASE_URL"))


# The keys, and what tokens must say


async def test_usable_keys_are_counted_and_named(doctor, published, front_end):
    front_end.behave = answering(key_set(FIRST.jwk(), SECOND.jwk(), FIRST.jwk(kid="k", use="enc")))
    assert (await doctor(**published))["keys"] == (
        f"ok   2 of 3 published at {front_end.url} can be used: 'first' (Ed25519, EdDSA), 'second' (RS256)"
    )


async def test_of_many_keys_only_some_are_named(doctor, published, front_end):
    front_end.behave = answering(key_set(*(FIRST.jwk(kid=f"key {number}") for number in range(7))))
    assert (await doctor(**published))["keys"].endswith("'key 4' (Ed25519, EdDSA) and 2 more")


async def test_a_key_id_is_for_the_terminal_to_show_and_not_to_obey(doctor, published, front_end):
    front_end.behave = answering(key_set(FIRST.jwk(kid="\x1b[2J\u202e" + "x" * 300)))
    assert r": '\x1b[2J\u202exxx" in (await doctor(**published))["keys"]
    assert "x" * 100 not in (await doctor(**published))["keys"]


ANSWERS: dict[str, tuple[Behaviour, str]] = {
    "not found": (
        answering(b"", "404 Not Found"),
        "answers HTTP 404. Is BETTER_AUTH_URL the baseURL of the front end, and does it have the jwt() plu",
    ),
    "redirected": (
        answering(b"", "308 Permanent Redirect", location="/elsewhere"),
        "answers HTTP 308. It redirects, and only the address itself is trusted; name the final one",
    ),
    "unauthorized": (answering(b"", "401 Unauthorized"), "Something in front of it asks for a sign-in;"),
    "forbidden": (answering(b"", "403 Forbidden"), "Something in front of it refuses;"),
    "too many": (answering(b"", "429 Too Many Requests"), "Its rate limit has had enough of us;"),
    "failed": (answering(b"", "500 Internal Server Error"), "The front end has failed; its log says why."),
    "a teapot": (answering(b"", "418 I'm a teapot"), "answers HTTP 418. Correct BETTER_AUTH_URL, or name"),
    "a page": (answering(b"<html>"), "the answer is not a JSON Web Key Set. Is it a page? Then name"),
    "no keys": (answering(key_set()), "the key set is empty. Sign in and ask for a token once"),
    "only a key that is none for us": (
        answering(key_set(FIRST.jwk(use="enc"))),
        " can be used. Let the jwt() plugin make one: with a kid, for signatures, for one of ES256, ES384,",
    ),
    "too large": (answering(b" " * 600_000), "the answer has more than 524288 bytes. Is it the key set?"),
    "a hang-up": (hanging_up, "it hung up. Correct BETTER_AUTH_URL, or name the address of the keys"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_without_usable_keys_is_explained(doctor, published, front_end, name):
    front_end.behave, explanation = ANSWERS[name]
    found = (await doctor(**published))["keys"]
    assert found.startswith("!!   0 of 1 published" if "only" in name else f"!!   {front_end.url}")
    assert explanation in found


@pytest.mark.parametrize(
    ("host", "explanation"),
    [
        ("localhost", "Inside a container localhost is the container itself: name the internal address with"),
        ("127.0.0.2", "Is the front end running there, at this port? If not, name the address of the keys"),
    ],
)
async def test_a_front_end_that_is_not_there_is_told_from_one_in_another_container(doctor, host, explanation):
    found = (await doctor(better_auth_url=f"http://{host}:1"))["keys"]
    assert f"http://{host}:1/api/auth/jwks can't be fetched: the connection is refused. " in found
    assert explanation in found


async def test_trouble_with_tls_is_told_apart(doctor, front_end):
    async with listening(tls=True, direct=True) as encrypted:
        untrusted = (await doctor(better_auth_url=f"https://localhost:{encrypted.port}"))["keys"]
    assert "its certificate is not trusted (self" in untrusted
    assert "Install its authority in the system" in untrusted

    def answer_in_plain(_reader: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    plain = await asyncio.start_server(answer_in_plain, "127.0.0.1", 0)
    async with plain:
        port = plain.sockets[0].getsockname()[1]
        none = (await doctor(better_auth_url=f"https://127.0.0.1:{port}"))["keys"]
    assert "it does not speak TLS there. Is it http, and not https?" in none


async def test_the_issuer_and_the_audiences_are_shown(doctor, published):
    found = await doctor(**published, better_auth_audience="https://b, https://a")
    assert found["claims"] == (
        "ok   tokens of the jwt() plugin must have iss 'https://app.example.com' "
        "and aud 'https://a' or 'https://b'"
    )


# The secret, the sessions, the clocks


async def test_whose_secret_it_is_is_said_and_the_secret_is_not(doctor, tmp_path):
    assert (await doctor())["secret"].startswith("ok   BETTER_AUTH_SECRET is set: ")
    (tmp_path / "secret").write_text(OTHER_SECRET)
    local = await doctor(data_dir=tmp_path, better_auth_secret=OTHER_SECRET)
    assert local["secret"].startswith("ok   the local development secret, with which `tasks-api token` signs")
    example = await doctor(better_auth_secret=EXAMPLE_SECRET)
    assert example["secret"] == (
        "!!   BETTER_AUTH_SECRET is the example's, which everybody knows: set your front end's"
    )


@pytest.mark.parametrize(
    ("columns", "explanation"),
    [
        (
            None,
            "the table is not there. Run Better Auth's own migrations, or correct BETTER_AUTH_DATABASE_URL:",
        ),
        (
            "token text, user_id text",
            "a column is not there. The table session must have the columns token, ",
        ),
    ],
)
async def test_a_table_of_sessions_that_is_another_is_explained(
    doctor, make_database: MakeDatabase, columns, explanation
):
    url = await make_database()
    if columns:
        await administer(url, f"CREATE TABLE session ({columns})")
    found = (await doctor(better_auth_database_url=url))["sessions"]
    assert found.startswith(f"!!   Better Auth's sessions can't be read: {explanation}")


async def test_a_database_of_sessions_that_is_gone_is_named_by_its_setting(doctor):
    found = (await doctor(better_auth_database_url=NOWHERE))["sessions"]
    assert "the connection is refused. Is PostgreSQL running there?" in found
    assert found.endswith("in BETTER_AUTH_DATABASE_URL.")


async def test_what_nobody_foresaw_is_one_problem_and_stops_no_other_check(
    doctor, make_database: MakeDatabase
):
    url = await make_database()
    await administer(url, "DROP TABLE alembic_version")
    await administer(url, "CREATE VIEW alembic_version AS SELECT 1 / (0 * random())::int AS version_num")
    found = await doctor(database_url=url)
    assert re.search("nobody foresaw this: DivisionByZeroError at .*:[0-9]+. Please", found["schema"])
    assert found["clock"].startswith("ok   ")


@pytest.mark.parametrize(
    ("late", "headers", "text"),
    [
        (60, {}, "!!   the front end's is 6. seconds behind and the database's is right to the second, "),
        (-300, {}, "!!   the front end's is 5 minutes ahead and "),
        (3, {}, "ok   the front end's is . seconds behind and "),
        (60, {"age": "60"}, "ok   the front end's is (right to the second|1 second behind) and "),
    ],
)
async def test_the_front_ends_clock_is_compared(doctor, published, front_end, late, headers, text):
    front_end.behave = publishing(FIRST, late=late, **headers)
    found = (await doctor(**published))["clock"]
    assert re.match(text, found)
    if text.startswith("!!"):
        assert found.endswith("this machine's. Set the clocks by NTP; tokens forgive 30 s.")


@pytest.mark.parametrize("headers", [{}, {"date": "yesterday"}])
async def test_a_front_end_that_does_not_say_what_time_it_is_is_not_compared(
    doctor, published, front_end, headers
):
    front_end.behave = answering(key_set(FIRST.jwk()), **headers)
    assert (await doctor(**published))["clock"] == "ok   the database's is right to the second"


async def test_the_databases_clock_is_compared(doctor, make_database: MakeDatabase):
    url = await make_database()
    await administer(url, "CREATE SCHEMA late")
    await administer(
        url,
        "CREATE FUNCTION late.clock_timestamp() RETURNS timestamptz LANGUAGE sql "
        "AS $$ SELECT pg_catalog.clock_timestamp() - interval '6 seconds' $$",
    )
    name = (await administer(url, "SELECT current_database()"))[0][0]
    await administer(url, f"ALTER DATABASE {name} SET search_path = late, pg_catalog")
    found = (await doctor(database_url=url))["clock"]
    assert found.startswith("!!   the database's is 6 seconds behind, compared with this machine's.")


# One token


async def verdict(doctor: Doctor, token: str, **changes: Any) -> tuple[str, list[str]]:
    """What is said of a token, and what is read from it."""
    first, *details = (await doctor(token, **changes))["token"].splitlines()
    return first, details


async def test_a_token_of_the_jwt_plugin_is_accepted(doctor, published):
    said, details = await verdict(doctor, jwt(sub="\u202e" + "a" * 200), **published)
    assert re.fullmatch(
        r"ok   accepted for the user '\\u202ea+\.\.\.: signed EdDSA with the published key 'first', "
        r"until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, in 15 minutes",
        said,
    )
    assert details == []


@pytest.mark.parametrize(
    "before", ["Bearer ", "authorization: bearer  ", "\n", '{"token":"', '{ "token" : "', '"']
)
async def test_what_was_pasted_along_is_taken_off(doctor, before):
    said, _ = await verdict(doctor, f"{before}{hs256(**fresh())}\n")
    assert said.startswith("ok   accepted for the user 'alice': signed HS256 with BETTER_AUTH_SECRET, until ")


async def test_a_session_token_is_accepted_until_its_session_ends(doctor, make_database: MakeDatabase):
    url = await make_database()
    await administer(url, TABLE)
    await administer(
        url, "INSERT INTO session VALUES ('1', $1, 'alice', now() + '73 hours'::interval)", "a" * 32
    )
    said, _ = await verdict(doctor, signed("a" * 32), database_url=url, better_auth_database_url="same")
    assert re.fullmatch(r"ok   accepted for the user 'alice': a session token, until .* UTC, in 3 days", said)


async def test_a_token_that_ends_after_the_year_9999_is_accepted(doctor):
    said, _ = await verdict(doctor, hs256(**fresh(exp=10**15)))
    assert said.endswith("until beyond the year 9999")


@pytest.mark.parametrize("answer", [answering(b"", "503 Service Unavailable"), answering(key_set())])
async def test_where_no_key_can_be_had_no_token_is_judged(doctor, published, front_end, answer):
    front_end.behave = answer
    said, details = await verdict(doctor, jwt(), **published)
    assert details[0] == "alg 'EdDSA', kid 'first', no typ"
    assert said == (
        "!!   can't be checked now (503): the keys of the Better Auth server can't be fetched. "
        "See the problem above; a server that runs may still have what it takes."
    )


FRONT_ENDS = "send the token that GET https://app.example.com/api/auth/token answers."
REFUSED: dict[str, tuple[Callable[[], str], str]] = {
    "empty": (lambda: "Bearer ", "!!   it is empty: did what was to print it fail?"),
    "broken": (
        lambda: jwt().replace(".", ".\n"),
        "!!   it holds characters that no token has: copy it again, without quotes and line breaks.",
    ),
    "expired": (
        lambda: jwt(exp=time.time() - 185),
        (
            "!!   refused (401): it expired. Get a new one: the token that GET "
            "https://app.example.com/api/auth/token answers; for development: tasks-api token --user alice."
        ),
    ),
    "of another server": (
        lambda: jwt(iss="http://localhost:3000"),
        (
            "!!   refused (401): iss is missing or another than the one expected. The jwt() plugin has "
            "an issuer of its own, as it seems: set BETTER_AUTH_ISSUER to this iss."
        ),
    ),
    "of another front end, or without baseURL": (
        lambda: jwt(iss="http://localhost:3000", aud="http://localhost:3000"),
        (
            "If that iss is your front end, set BETTER_AUTH_URL here to it: the same value on both sides. "
            "If it changes from request to request, the front end has no baseURL and takes the Host "
            "header's: set one."
        ),
    ),
    "nothing, as a page sends it": (
        lambda: "undefined",
        "The page had no token to send: was anybody signed in?",
    ),
    "with a path in iss": (
        lambda: jwt(iss=f"{ISSUER}/api/auth"),
        "It is the same server written differently: set BETTER_AUTH_ISSUER to exactly its iss.",
    ),
    "with an iss that is no address": (
        lambda: jwt(iss="http://[::1", aud="x"),
        "If that iss is your front end, set BETTER_AUTH_URL here to it",
    ),
    "for another audience": (
        lambda: jwt(aud=["https://other.example.com"]),
        "aud is missing or none of those expected. If it is meant for this API, set BETTER_AUTH_AUDIENCE to",
    ),
    "without a user": (lambda: jwt(sub=...), "Let whoever signs it set sub to the user's id."),
    "without an end": (
        lambda: jwt(exp=...),
        "Let whoever signs it set exp: seconds since 1970, as a number.",
    ),
    "from the future": (
        lambda: jwt(iat=time.time() + 600),
        "iat lies in the future. The clock of whoever signs it is ahead of this machine's: see the line on",
    ),
    "valid later": (
        lambda: jwt(nbf=time.time() + 600),
        "nbf lies in the future. The clock of whoever signs it",
    ),
    "in milliseconds": (
        lambda: jwt(iat=int(time.time() * 1000)),
        "Its times are in milliseconds, as it seems; let whoever signs it write seconds.",
    ),
    "of a key that is not published": (
        lambda: jwt(KeyPair("third")),
        "its kid names no published key. It is of another Better Auth (of another environment, say), or of",
    ),
    "signed by another": (
        lambda: jwt(KeyPair("first")),
        "its signature does not match its key. It was changed or cut off on its way: copy it again.",
    ),
    "of the cookie cache, by its key": (
        lambda: jwt(header={"typ": "better-auth.session-cache+jwt"}),
        f"This is Better Auth's cookie cache, and no access token: {FRONT_ENDS}",
    ),
    "of the cookie cache, by its audience": (
        lambda: jwt(aud="better-auth:session-cache"),
        "This is Better Auth's cookie cache",
    ),
    "of the cookie cache, by the secret": (
        lambda: hs256(session={}, user={}, **fresh(sub=...)),
        "This is Better Auth's cookie cache",
    ),
    "of the cookie cache, compact": (
        lambda: encoded({"session": {}, "expiresAt": 1}),
        "This is Better Auth's cookie cache",
    ),
    "of the cookie cache, encrypted": (
        lambda: encoded({"alg": "dir", "enc": "A256CBC-HS512"}) + "..x.y.z",
        "This is Better Auth's cookie cache",
    ),
    "of an e-mail's link": (
        lambda: hs256(email="a@example.com", **fresh(sub=...)),
        f"This is the token of an e-mail's link, and no access token: {FRONT_ENDS}",
    ),
    "of another secret": (
        lambda: hs256(secret=OTHER_SECRET, **fresh()),
        "its signature does not match its key. Both sides need the same BETTER_AUTH_SECRET; compare them,",
    ),
    "of the sign-in's body": (
        lambda: secrets.token_hex(16),
        (
            "it is neither a JSON Web Token nor a signed session token. Is it the `token` of the sign-in's "
            "body? That one is not signed: send the response header set-auth-token, which the bearer() "
            f"plugin sets. For session tokens set BETTER_AUTH_DATABASE_URL; without, {FRONT_ENDS}"
        ),
    ),
    "of a session, where they are off": (
        lambda: signed(secrets.token_hex(16)),
        (
            "it looks like a session token, and BETTER_AUTH_DATABASE_URL is not set. For session tokens set "
            f"BETTER_AUTH_DATABASE_URL; without, {FRONT_ENDS}"
        ),
    ),
    "unreadable": (
        lambda: "a.b.c",
        "its header can't be read. Send the token that GET https://app.example.com/",
    ),
    "far too long": (
        lambda: jwt(name="x" * 9000),
        "it has more than 8192 characters. Send the token that GET",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_refused_token_is_explained(doctor, published, name):
    make_token, explanation = REFUSED[name]
    said, _ = await verdict(doctor, make_token(), **published)
    assert said.startswith("!!   ")
    assert explanation in said


@pytest.mark.parametrize(
    ("make_token", "changes", "explanation"),
    [
        (
            jwt,
            {},
            (
                "it is signed with a key pair, and BETTER_AUTH_URL is not set. Set BETTER_AUTH_URL to your "
                "front end's. The jwt() plugin always signs with a key pair; "
                'jwt({ algorithm: "HS256" }) does nothing.'
            ),
        ),
        (
            lambda: hs256(**fresh()),
            {
                "better_auth_url": ISSUER,
                "better_auth_jwks_url": "http://127.0.0.1:1",
                "better_auth_secret": "",
            },
            "BETTER_AUTH_SECRET is not set. Set BETTER_AUTH_SECRET to your front end's.",
        ),
        (lambda: "a.b.c", {}, "Send the token that your front end gets from GET /api/auth/token."),
    ],
)
async def test_a_kind_of_token_that_is_off_names_its_setting(doctor, make_token, changes, explanation):
    assert explanation in (await verdict(doctor, make_token(), **changes))[0]


async def test_a_token_of_the_front_end_meets_the_local_secret(doctor, tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    said, _ = await verdict(doctor, hs256(secret=OTHER_SECRET, **fresh()), data_dir=tmp_path)
    assert said.endswith(
        "Set BETTER_AUTH_SECRET to your front end's; here it is the local development secret."
    )


async def test_in_production_an_expired_token_is_not_replaced_by_one_of_ours(doctor):
    said, _ = await verdict(
        doctor, hs256(**fresh(exp=1)), environment="production", cors_origins="https://app.example.com"
    )
    assert said.endswith("Get a new one: the token that your front end gets from GET /api/auth/token.")


async def test_a_session_token_that_is_refused_is_explained(doctor, make_database: MakeDatabase):
    url = await make_database()
    await administer(url, TABLE)
    await administer(
        url, "INSERT INTO session VALUES ('1', $1, 'alice', now() - '1 hour'::interval)", "a" * 32
    )
    explanations = {
        signed("a" * 32, OTHER_SECRET): "Both sides need the same BETTER_AUTH_SECRET; compare them,",
        signed(
            "b" * 32
        ): "or of another database. Sign in again. If that does not help, BETTER_AUTH_DATABASE_URL",
        signed("a" * 32): "it expired. Sign in again.",
        "c" * 32: "set-auth-token, which the bearer() plugin sets.",
    }
    for token, explanation in explanations.items():
        said, details = await verdict(doctor, token, database_url=url, better_auth_database_url="same")
        assert explanation in said
        assert "For session tokens set" not in said
        assert details == []


async def test_what_a_refused_token_says_of_itself_is_read_but_not_believed(doctor, published):
    token = jwt(
        header={"typ": "JWT"},
        iss="https://evil.example.com\x1b[2J" + "i" * 200,
        aud=["https://a", "https://b"],
        iat=int(time.time()) - 3600,
        nbf=int(time.time()) - 3600,
        exp=int(time.time()) - 185,
        email="hidden@example.com",
    )
    _, details = await verdict(doctor, token, **published)
    head, iss, aud, times, sub = details
    assert head == "alg 'EdDSA', kid 'first' (published), typ 'JWT'"
    assert re.fullmatch(
        r"iss 'https://evil\.example\.com\\x1b\[2Ji+\.\.\., expected 'https://app\.example\.com'", iss
    )
    assert len(iss) < 150
    assert aud == "aud ['https://a', 'https://b'], expected 'https://app.example.com'"
    assert times == "issued 60 minutes ago, valid for 60 minutes, expired 3 minutes ago"
    assert sub == "sub is there"


async def test_what_a_token_does_not_say_is_missed(doctor, published):
    _, details = await verdict(
        doctor, KeyPair("third").sign(payload=b'{"iat": true, "exp": "soon", "sub": ""}'), **published
    )
    assert details == [
        "alg 'EdDSA', kid 'third' (not published), no typ",
        "no iss, expected 'https://app.example.com'",
        "no aud, expected 'https://app.example.com'",
        "iat is no number, exp is no number",
        "sub is there, and no user id",
    ]
    _, details = await verdict(doctor, hs256(**fresh(sub=..., iat=..., nbf=time.time() + 7300)))
    assert details == [
        "alg 'HS256', no kid, no typ",
        "valid only in 2 hours, expires in 15 minutes",
        "no sub",
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMED = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "enc", "iss", "aud", "sub", "exp", "iat", "nbf"]), JSON
)


@given(NAMED, NAMED | JSON, st.sampled_from(["EdDSA", None]))
def test_whatever_a_token_holds_it_is_described_in_short_lines(header, claims, algorithm):
    token = f"{encoded(json.dumps(header | {'alg': algorithm}))}.{encoded(json.dumps(claims))}.x"
    settings = Settings(better_auth_url=ISSUER, better_auth_secret=SECRET)
    peek = Peek.at(token)
    assert all(len(line) < 400 for line in peek.described("", settings))
    assert advice(peek, "sub is missing", settings)


@pytest.mark.parametrize(
    "token", ["\udcff.x.y", "é.é.é", "....", "e30.e30.", "bnVsbA.W10.", "=.=.=", "." * 20_000]
)
def test_what_is_no_token_has_nothing_to_say(token):
    assert (Peek.at(token).header, Peek.at(token).claims) == ({}, {})


async def test_a_key_id_may_be_anything(doctor, published):
    token = f"{encoded({'alg': 'EdDSA', 'kid': ['first']})}.{encoded('{}')}.x"
    said, details = await verdict(doctor, token, **published)
    assert said.startswith("!!   refused (401): its kid is no text, or too long. ")
    assert details[0] == "alg 'EdDSA', kid ['first'] (not published), no typ"


# The command


async def test_it_ends_in_time_whatever_hangs(doctor, front_end, monkeypatch):
    """A database, its sessions, a front end and a resolver that take a connection and never answer."""
    over, find = threading.Event(), socket.getaddrinfo

    def hang(host: str, *arguments: Any, **options: Any) -> Any:
        return over.wait(60) if host == "hangs.invalid" else find(host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    monkeypatch.setattr(subject, "SECONDS", 0.5)
    monkeypatch.setattr(package, "_CHECK_SECONDS", 1)
    forever = asyncio.Event()
    front_end.behave = waiting(forever, hanging_up)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel takes the connection, and that is all
        port = silent.getsockname()[1]
        found = await doctor(
            jwt(),
            database_url=f"postgresql://u:hidden@127.0.0.1:{port}/d",
            database_timeout=60,
            better_auth_url=ISSUER,
            better_auth_jwks_url=front_end.url,
            better_auth_database_url="postgresql://u:hidden@hangs.invalid/d",
        )
    assert not over.is_set()  # nothing that hangs was waited for
    over.set()
    assert "no answer in time. Does a firewall stand between, or does it sleep?" in found["database"]
    assert "no answer in time. Does a firewall stand between, or is the front end asleep?" in found["keys"]
    assert found["clock"] == "--   not checked: there is no other clock to compare with"
    for name in ("sessions", "token"):
        assert found[name].startswith("!!   no answer within 1 s.")


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return Commands(tmp_path_factory.mktemp("checkout"))


def examined(finished: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert finished.stderr == ""
    found = read(finished.stdout)
    assert finished.returncode == any(text.startswith("!! ") for text in found.values())
    return found


def test_a_fresh_checkout_is_in_order_and_nothing_is_left_running(commands, tmp_path):
    found = examined(commands.run("tasks-api", "doctor", data_dir=tmp_path / "data"))
    assert found["database"].startswith(f"ok   the embedded database in '{tmp_path}/data' answers in ")
    assert found["schema"].startswith(
        "ok   behind; `tasks-api serve` or `tasks-api migrate` brings the embedded"
    )
    assert found["secret"].startswith("ok   the local development secret")
    assert not processes_of(tmp_path / "data")


async def test_an_embedded_database_that_runs_is_asked_and_left_alone(commands, tmp_path):
    with embedded_postgres(tmp_path / "data", FAST) as url:
        await asyncio.to_thread(migrate, url)
        found = examined(commands.run("tasks-api", "doctor", data_dir=tmp_path / "data"))
        assert found["schema"].startswith("ok   up to date, at ")
        assert await administer(url, "SELECT 1")


def test_a_problem_is_an_exit_code_too_in_production_as_elsewhere(commands):
    found = examined(
        commands.run(
            "tasks-api",
            "doctor",
            f"--token={jwt()}",
            environment="production",
            database_url=NOWHERE,
            better_auth_secret=SECRET,
            cors_origins="https://app.example.com",
            better_auth_url=ISSUER,
            better_auth_jwks_url="http://127.0.0.1:1",
        )
    )
    assert [name for name in NAMES if found[name].startswith("!!")] == ["database", "keys", "token"]


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"port": "abc"}, "PORT"),
        ({"better_auth_database_url": "mysql://u:hidden@h/d"}, "BETTER_AUTH_DATABASE_URL"),
    ],
)
def test_a_setting_that_will_not_do_is_one_line(commands, settings, name):
    finished = commands.run(
        "tasks-api", "doctor", **{"database_url": NOWHERE, "better_auth_secret": SECRET} | settings
    )
    assert (finished.returncode, finished.stdout) == (1, "")
    assert re.fullmatch(rf"tasks-api: {name}: [^\n]*\n", finished.stderr)
    assert "hidden" not in finished.stderr


@pytest.mark.parametrize("sent", ["a token", "nothing", "no text", "too much"])
def test_a_token_can_come_from_standard_input(commands, server, sent):
    inputs: dict[str, tuple[bytes, str]] = {
        "a token": (f"Bearer {hs256(**fresh())}\n".encode(), "ok   accepted for the user 'alice': "),
        "nothing": (b"", "!!   it is empty: "),
        "no text": (b"\xff\x00", "!!   it holds characters that no token has: "),
        "too much": (b"a" * 1_000_000, "!!   refused (401): it has more than 8192 characters. "),
    }
    finished = subprocess.run(
        [BIN / "tasks-api", "doctor", "--token", "-"],
        env=commands.environment(database_url=server, better_auth_secret=SECRET),
        cwd=commands.environment()["PYTHONPATH"],
        input=inputs[sent][0],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert finished.stderr == b""
    assert read(finished.stdout.decode())["token"].startswith(inputs[sent][1])


def test_a_token_that_is_typed_is_not_shown(commands, server):
    terminal, its_end = os.openpty()
    token = hs256(**fresh())
    with subprocess.Popen(
        [BIN / "tasks-api", "doctor", "--token", "-"],
        env=commands.environment(database_url=server, better_auth_secret=SECRET),
        cwd=commands.environment()["PYTHONPATH"],
        stdin=its_end,
        stdout=subprocess.PIPE,
        stderr=its_end,
        start_new_session=True,
    ) as process:
        os.close(its_end)
        try:
            assert select.select([terminal], [], [], 30)[0]  # it asks
            asked = os.read(terminal, 100)
            os.write(terminal, f"{token}\n".encode())
            assert process.stdout
            output = process.stdout.read().decode()
            echoed = os.read(terminal, 10_000)
        finally:
            process.kill()
            os.close(terminal)
    assert asked == b"Token (it is not shown): "
    assert echoed.strip() == b""
    assert read(output)["token"].startswith("ok   accepted for the user 'alice': ")

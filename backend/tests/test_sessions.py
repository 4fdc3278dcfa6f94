"""Session tokens: their signature, Better Auth's table, and what a caller is told when it can't be asked."""

import base64
import hashlib
import hmac
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from urllib.parse import quote

import httpx2 as httpx
import pytest

from app.auth import SessionVerifier, TokenVerifier, User, Verifier
from app.auth.tokens import sign
from app.config import Settings
from app.database import Database
from app.errors import ConfigurationError, Unauthorized
from app.main import close, create_app
from app.queries.sessions import Sessions
from tests.conftest import SECRET, ClientFor, MakeDatabase, administer
from tests.signing import Clock
from tests.test_auth import EXPIRED, INVALID

#: As Better Auth's own migrations make it, less what we do not read.
TABLE = """CREATE TABLE "session" (
    id text PRIMARY KEY, token text NOT NULL UNIQUE, "userId" text NOT NULL, "expiresAt" timestamptz NOT NULL
)"""

AddSession = Callable[..., Awaitable[str]]
NOWHERE = "postgresql://u:hidden@127.0.0.1:1/nothing"


def signed(raw: str, secret: str = SECRET) -> str:
    digest = hmac.digest(secret.encode(), raw.encode(), hashlib.sha256)
    return f"{raw}.{base64.b64encode(digest).decode()}"


@pytest.fixture(scope="module")
async def session_url(make_database: MakeDatabase) -> str:
    url = await make_database()
    await administer(url, TABLE)
    return url


@pytest.fixture
def add_session(session_url: str) -> AddSession:
    """Sign somebody in; gives the token as a front end has it."""

    async def add(user_id: str, expires_in: str = "7 days") -> str:
        raw = secrets.token_hex(16)
        await administer(
            session_url,
            "INSERT INTO session VALUES ($1, $1, $2, now() + $3::text::interval)",
            raw,
            user_id,
            expires_in,
        )
        return signed(raw)

    return add


@pytest.fixture(params=["same", "another"])
async def client(
    request: pytest.FixtureRequest, session_url: str, database_url: str, client_for: ClientFor
) -> AsyncIterator[httpx.AsyncClient]:
    """A stranger to a service that keeps its tasks beside the sessions, or elsewhere."""
    same = request.param == "same"
    app = create_app(
        Settings(
            database_url=session_url if same else database_url,
            better_auth_secret=SECRET,
            better_auth_database_url="same" if same else session_url,
            database_timeout=30,
            database_queue_wait=30,
        )
    )
    async with client_for(other_app=app) as client:
        yield client
    await close(app)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
async def sessions(session_url: str) -> AsyncIterator[Sessions]:
    database = Database(session_url, Settings(database_timeout=30, database_queue_wait=30))
    yield Sessions(database)
    await database.close()


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())


@pytest.fixture
def verifier(sessions: Sessions, clock: Clock) -> Verifier:
    return Verifier(TokenVerifier(), SessionVerifier(SECRET, sessions.find), clock)


@pytest.mark.parametrize("spelling", ["as it is", "percent-encoded"])
async def test_a_session_token_tells_its_user(client, add_session, spelling):
    user_id = str(uuid.uuid4())
    token = await add_session(user_id)
    made = await client.post(
        "/tasks",
        json={"text": "x"},
        headers=bearer(quote(token, safe="") if spelling == "percent-encoded" else token),
    )
    assert (made.status_code, made.json()["user_id"]) == (201, user_id)


async def test_every_spelling_of_a_token_is_remembered_as_one(verifier, add_session):
    token = await add_session("grace")
    spellings = [token, *(f"{token[:at]}%{ord(token[at]):02x}{token[at + 1 :]}" for at in range(20))]
    assert len({id(await verifier.user(spelling)) for spelling in spellings}) == 1


async def test_a_clock_that_is_set_back_prolongs_nothing(sessions, clock, add_session, session_url):
    monotonic = Clock(1000)
    verifier = Verifier(TokenVerifier(), SessionVerifier(SECRET, sessions.find), clock, monotonic)
    token = await add_session("judy")
    await verifier.user(token)
    await administer(session_url, "DELETE FROM session WHERE token = $1", token.partition(".")[0])
    clock.now -= 3600
    monotonic.now += 10.1
    with pytest.raises(Unauthorized):
        await verifier.user(token)


async def test_an_expired_session_says_so(client, add_session):
    answer = await client.get("/tasks", headers=bearer(await add_session("eve", "-1 second")))
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, EXPIRED)


async def test_a_session_ends_ten_seconds_after_the_sign_out(verifier, clock, add_session, session_url):
    token = await add_session("dave")
    assert await verifier.user(token) == User("dave")
    await administer(session_url, "DELETE FROM session WHERE token = $1", token.partition(".")[0])
    clock.now += 9.9
    assert await verifier.user(token) == User("dave")
    clock.now += 0.2
    with pytest.raises(Unauthorized) as refusal:
        await verifier.user(token)
    assert refusal.value.headers == {"WWW-Authenticate": INVALID}


async def test_a_session_is_not_remembered_past_its_end(verifier, clock, add_session):
    token = await add_session("dave", "5 seconds")
    await verifier.user(token)
    clock.now += 5.1
    with pytest.raises(Unauthorized) as refusal:
        await verifier.user(token)
    assert refusal.value.headers == {"WWW-Authenticate": EXPIRED}


RAW = "az51H8sPUVGAo2c1HiT7yLgEAAz3ebBv"
FORGED = {
    "another secret": signed(RAW, "x" * 32),
    "no signature": RAW,
    "an empty signature": f"{RAW}.",
    "url-safe base64": signed(RAW).replace("+", "-").replace("/", "_"),
    "no padding": signed(RAW).rstrip("="),
    "a character more": signed(RAW) + "A",
    "cut off": signed(RAW)[:-2],
    "another token's signature": f"{RAW[::-1]}.{signed(RAW).partition('.')[2]}",
    "a signed nothing": signed(""),
    "signed, but too short": signed("abc"),
    "signed, but too long": signed("x" * 129),
    "signed, but no token": signed("%" * 32),
    "percent-encoded twice": quote(quote(signed(RAW), safe=""), safe=""),
    "encoded NUL": quote(signed(RAW), safe="") + "%00",
    "broken encoding": quote(signed(RAW), safe="") + "%zz",
    "encoded and not UTF-8": f"{RAW}.%ff%fe",
}


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_token_is_refused_without_a_query(name):
    async def never(_raw: str) -> None:
        raise AssertionError("the table was asked")

    verifier = Verifier(TokenVerifier(), SessionVerifier(SECRET, never))
    with pytest.raises(Unauthorized) as refusal:
        await verifier.user(FORGED[name])
    assert refusal.value.headers == {"WWW-Authenticate": INVALID}


def test_the_forged_tokens_start_from_a_good_one():
    assert "+" in signed(RAW) or "/" in signed(RAW)
    assert signed(RAW).endswith("=")


async def test_a_signed_token_of_nobody_is_refused(client):
    answer = await client.get("/tasks", headers=bearer(signed(RAW)))
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, INVALID)


@pytest.mark.parametrize("user_id", ["", "x" * 256, "a\nb"])
async def test_a_user_id_that_cannot_have_tasks_is_refused(client, add_session, user_id):
    assert (await client.get("/tasks", headers=bearer(await add_session(user_id)))).status_code == 401


NOW_IN_UTC = "now() AT TIME ZONE 'UTC'"
UUID = "0bd1a6a0-42a7-4b0e-9a07-6f8e2f6d9a01"
COLUMNS = {
    "serial ids": ("integer", "7", "timestamptz", "now()"),
    "UUIDs": ("uuid", UUID, "timestamptz", "now()"),
    "times without a zone, as Prisma makes them": ("text", "frank", "timestamp(3)", NOW_IN_UTC),
}


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Our own zone says nothing about theirs."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize("name", COLUMNS)
async def test_the_columns_may_have_other_types(make_database: MakeDatabase, client_for, in_tokyo, name):
    id_type, user_id, time_type, now = COLUMNS[name]
    url = await make_database()
    await administer(url, f'CREATE TABLE session (token text, "userId" {id_type}, "expiresAt" {time_type})')
    for raw, expiry in [("x" * 32, "1 hour"), ("y" * 32, "-1 hour")]:
        row = f"'{raw}', '{user_id}', {now} + interval '{expiry}'"
        await administer(url, f"INSERT INTO session VALUES ({row})")  # noqa: S608 - all of it is ours
    app = create_app(Settings(database_url=url, better_auth_secret=SECRET, better_auth_database_url="same"))
    async with client_for(other_app=app) as client:
        made = await client.post("/tasks", json={"text": "x"}, headers=bearer(signed("x" * 32)))
        assert made.json()["user_id"] == user_id
        over = await client.get("/tasks", headers=bearer(signed("y" * 32)))
        assert over.headers["WWW-Authenticate"] == EXPIRED
    await close(app)


# When the table can't be asked


async def unavailable(client: httpx.AsyncClient) -> None:
    answer = await client.get("/tasks", headers=bearer(signed(RAW)))
    assert (answer.status_code, answer.json()["error"]) == (503, "SERVICE_UNAVAILABLE")
    assert answer.json()["message"].startswith("Your sign-in can't be checked")
    assert answer.headers["Retry-After"] == "5"
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("where", ["gone", "without the table"])
async def test_a_table_that_cannot_be_asked_is_503_and_never_401(database_url, client_for, where, caplog):
    app = create_app(
        Settings(
            database_url=database_url,
            better_auth_secret=SECRET,
            better_auth_database_url=NOWHERE if where == "gone" else "same",
        )
    )
    async with client_for(other_app=app) as client:
        await unavailable(client)
        assert "BETTER_AUTH_DATABASE_URL: can't read token" in caplog.text
        assert "hidden" not in caplog.text
        signed_in = bearer(sign("gina", SECRET, seconds=60))
        assert (await client.get("/tasks", headers=signed_in)).status_code == 200
    await close(app)


UNREADABLE = {
    "times as dates": 'token text, "userId" text, "expiresAt" date',
    "times beyond all calendars": 'token text, "userId" text, "expiresAt" timestamptz',
    "a token of another type": 'token uuid, "userId" text, "expiresAt" timestamptz',
    "no user": 'token text, "expiresAt" timestamptz',
    "times as text": 'token text, "userId" text, "expiresAt" text',
    "times as numbers": 'token text, "userId" text, "expiresAt" bigint',
    "times that may be missing": 'token text, "userId" text, "expiresAt" timestamptz',
}


@pytest.mark.parametrize("name", UNREADABLE)
async def test_a_table_that_is_not_like_better_auths_is_503_too(
    make_database: MakeDatabase, client_for, name
):
    url = await make_database()
    await administer(url, f"CREATE TABLE session ({UNREADABLE[name]})")
    if name.startswith("times"):
        value = {"missing": "NULL", "dates": "'2026-01-01'", "calendars": "'20000-01-01'"}.get(
            name.split()[-1], "'1'"
        )
        await administer(url, f"INSERT INTO session VALUES ('{RAW}', 'alice', {value})")  # noqa: S608 - ours
    app = create_app(Settings(database_url=url, better_auth_secret=SECRET, better_auth_database_url="same"))
    async with client_for(other_app=app) as client:
        await unavailable(client)
    await close(app)


async def test_session_tokens_are_off_unless_a_table_is_named(stranger):
    answer = await stranger.get("/tasks", headers=bearer(signed(RAW)))
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, INVALID)


def test_an_address_that_will_not_do_is_named_by_its_variable():
    with pytest.raises(ConfigurationError, match=r"^BETTER_AUTH_DATABASE_URL: it must start with postgresql"):
        create_app(Settings(better_auth_secret=SECRET, better_auth_database_url="mysql://h/d"))


async def test_the_connections_to_another_database_are_closed_too(
    session_url, database_url, add_session, client_for
):
    app = create_app(
        Settings(database_url=database_url, better_auth_secret=SECRET, better_auth_database_url=session_url)
    )
    async with client_for(other_app=app) as client:
        assert (await client.get("/tasks", headers=bearer(await add_session("ken")))).status_code == 200
    assert app.state.session_database._pools._opened  # noqa: SLF001
    await close(app)
    assert not app.state.session_database._pools._opened  # noqa: SLF001


def test_the_same_address_means_the_same_connections(database_url):
    app = create_app(
        Settings(database_url=database_url, better_auth_secret=SECRET, better_auth_database_url=database_url)
    )
    assert app.state.session_database is app.state.database


async def test_rights_on_three_columns_are_enough(session_url, add_session):
    await administer(session_url, "CREATE ROLE reader LOGIN")
    await administer(session_url, 'GRANT SELECT (token, "userId", "expiresAt") ON session TO reader')
    database = Database(session_url.replace("postgres@", "reader@"), Settings())
    verifier = Verifier(TokenVerifier(), SessionVerifier(SECRET, Sessions(database).find))
    assert await verifier.user(await add_session("heidi")) == User("heidi")
    await database.close()


async def test_a_view_stands_for_a_table_with_other_names(make_database: MakeDatabase):
    url = await make_database()
    for sql in [
        "CREATE TABLE sessions (token text, user_id text, expires_at timestamptz)",
        "INSERT INTO sessions VALUES (repeat('x', 32), 'ivan', now() + interval '1 hour')",
        "CREATE ROLE viewer LOGIN",
        "CREATE SCHEMA for_tasks_api",
        """CREATE VIEW for_tasks_api.session AS
           SELECT token, user_id AS "userId", expires_at AS "expiresAt" FROM public.sessions""",
        "GRANT USAGE ON SCHEMA for_tasks_api TO viewer",
        "GRANT SELECT ON for_tasks_api.session TO viewer",
        "ALTER ROLE viewer SET search_path = for_tasks_api, public",
    ]:
        await administer(url, sql)
    database = Database(url.replace("postgres@", "viewer@"), Settings())
    verifier = Verifier(TokenVerifier(), SessionVerifier(SECRET, Sessions(database).find))
    assert await verifier.user(signed("x" * 32)) == User("ivan")
    await database.close()

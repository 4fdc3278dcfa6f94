"""Nothing that a caller sends comes out where others read: log lines, labels, errors, PostgreSQL's log."""

import asyncio
import io
import itertools
import json
import logging
import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2 as httpx
import orjson
import pytest
from fastapi import FastAPI

from app.auth.tokens import sign
from app.config import Settings
from app.main import close, create_app
from app.observability import ConsoleFormatter, configure_logging
from tests.canaries import EXPLOSIVE, MARK, OPERATIONS, SESSION, Planted, canaries, cheap, planted, user
from tests.conftest import SECRET, ClientFor, MakeDatabase, administer
from tests.live import listening
from tests.servers import UNLIMITED, Commands
from tests.signing import KeyPair
from tests.test_sessions import TABLE, signed

#: Silent unless somebody asks for them; the last resort of who looks for a fault.
_TALKATIVE = ["", "app", "asyncio", "asyncpg", "concurrent", "sqlalchemy", "uvicorn", "uvicorn.error"]


@pytest.fixture
def everything_logged() -> Iterator[None]:
    """Every logger but the test client's own, from DEBUG on; and as it was, afterwards."""
    levels = {name: logging.getLogger(name).level for name in [*_TALKATIVE, "httpx2", "httpcore2"]}
    handlers = list(logging.getLogger().handlers)
    yield
    logging.getLogger().handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def log_everything(settings: Settings) -> None:
    configure_logging(settings)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.DEBUG)
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)


@pytest.fixture(scope="module")
async def watched_url(make_database: MakeDatabase) -> str:
    """A database that logs every statement with its duration, and refuses some texts."""
    url = await make_database()
    await administer(url, TABLE)
    await administer(url, f"ALTER TABLE tasks ADD CHECK (text NOT LIKE '%{EXPLOSIVE}%')")
    (row,) = await administer(url, "SELECT current_database()")
    for setting in ("log_statement = 'all'", "log_min_duration_statement = 0"):
        await administer(url, f"ALTER DATABASE {row[0]} SET {setting}")
    return url


@pytest.fixture
async def watched(watched_url: str) -> AsyncIterator[FastAPI]:
    app = create_app(
        Settings(
            database_url=watched_url,
            better_auth_secret=SECRET,
            better_auth_database_url="same",
            database_timeout=30,
            health_timeout=10,
            log_level="debug",
            **UNLIMITED,
        )
    )

    @app.get("/broken/{name}")
    async def break_down(name: str) -> None:
        raise RuntimeError(name)

    yield app
    await close(app)


async def log_of(url: str) -> Path:
    """PostgreSQL's own log."""
    (row,) = await administer(url, "SHOW data_directory")
    return Path(row[0]).with_name("postgres.log")


def test_a_canary_is_found_in_every_disguise():
    token = sign(f"x{MARK}", SECRET, seconds=60)
    for text in (MARK, MARK.upper(), f"a%20{MARK}", MARK.encode().hex(), *token.split(".")[1:2]):
        assert canaries(f"something {text} more"), text
    assert not canaries(sign("somebody", SECRET, seconds=60), "GET /tasks 200")


async def test_no_canary_comes_out_anywhere(
    watched, watched_url, client_for: ClientFor, everything_logged, capsys
):
    log_everything(watched.state.settings.model_copy(update={"log_format": "json"}))
    for_people = logging.StreamHandler(stream := io.StringIO())
    for_people.setFormatter(ConsoleFormatter())
    logging.getLogger().addHandler(for_people)
    database_log = await log_of(watched_url)
    begin = database_log.stat().st_size
    name = user()
    session = "INSERT INTO session VALUES ($1, $1, $2, now() + interval '1 day')"
    await administer(watched_url, session, SESSION, name)
    answers = []
    async with client_for(None, watched) as client:
        token = {"Authorization": f"Bearer {sign(name, SECRET, seconds=3600)}"}
        made = await client.post("/tasks", json={"text": MARK}, headers=token)
        with_token = planted(made.json()["id"], token["Authorization"])
        with_session = itertools.islice(planted(made.json()["id"], f"Bearer {signed(SESSION)}"), 0, None, 20)
        for one in itertools.chain(with_token, with_session):
            answer = await client.request(one.method, one.path, headers=one.headers, content=one.content)
            assert answer.status_code < 500, one
            answers.append((one, answer))
        exploding = {"text": f"{MARK} {EXPLOSIVE}"}
        broken = [
            await client.post("/tasks", json=exploding, headers=token),
            await client.get(f"/broken/{MARK}"),
        ]
        signed_in = await client.get("/tasks", headers={"Authorization": f"Bearer {signed(SESSION)}"})
        metrics = (await client.get("/metrics")).text
    assert signed_in.status_code == 200
    refused = [(one, answer) for one, answer in answers if answer.status_code >= 400]
    assert {answer.status_code for _, answer in refused} >= {400, 401, 404, 405, 412, 413, 415, 422}
    for one, answer in refused:
        assert not canaries(answer.content, str(answer.headers)), one
    assert [answer.status_code for answer in broken] == [500, 500]
    assert not canaries(*(answer.content + str(answer.headers).encode() for answer in broken))
    assert metrics.count("\n") > 100
    assert not canaries(metrics)
    for said in (capsys.readouterr().out, stream.getvalue()):
        assert not canaries(said)
        assert said.count("unexpected") == 2  # both bugs are told, by their name and where they are
        assert len(said.splitlines()) >= len(answers) + 3
    with database_log.open("rb") as log:
        log.seek(begin)
        statements = log.read()
    assert statements.count(b"INSERT INTO tasks") > 10
    assert b"violates check constraint" in statements
    assert not canaries(statements)


async def test_postgresql_would_log_it_if_it_were_told_to(watched, watched_url, client_for: ClientFor):
    """Or the test above would look in the wrong place."""
    (row,) = await administer(watched_url, "SELECT current_database()")
    log = await log_of(watched_url)
    told = {"log_parameter_max_length": "-1", "log_error_verbosity": "'default'"}
    for name, value in told.items():
        await administer(watched_url, f"ALTER DATABASE {row[0]} SET {name} = {value}")
    async with client_for(user(), watched) as client:
        assert (await client.post("/tasks", json={"text": f"{MARK} of this test"})).status_code == 201
    for name in told:
        await administer(watched_url, f"ALTER DATABASE {row[0]} RESET {name}")
    assert f"{MARK} of this test" in log.read_text(errors="replace")


async def test_an_outage_tells_no_address_password_or_key(client_for: ClientFor, everything_logged, capsys):
    app = create_app(
        Settings(
            database_url=f"postgresql://u:{MARK}@127.0.0.1:1/{MARK}",
            better_auth_secret=SECRET,
            better_auth_url="http://127.0.0.1:1",
            better_auth_jwks_url="http://127.0.0.1:1/keys",
            better_auth_database_url=f"postgresql://u:{MARK}@127.0.0.1:1/other{MARK}",
        )
    )
    log_everything(app.state.settings.model_copy(update={"log_format": "json"}))
    keyed = KeyPair(MARK).sign(sub=user(), iat=1, exp=4_000_000_000)
    async with client_for(None, app) as client:
        answers = [
            await client.get("/tasks", headers={"Authorization": f"Bearer {credential}"})
            for credential in (sign(user(), SECRET, seconds=60), keyed, signed(SESSION))
        ]
        answers.append(await client.get("/health"))
    await close(app)
    assert [answer.status_code for answer in answers] == [503] * 4
    lines = capsys.readouterr().out
    assert len([json.loads(line) for line in lines.splitlines()]) >= 7
    assert not canaries(lines, *(answer.content + str(answer.headers).encode() for answer in answers))


async def test_every_operation_there_is_was_planted_in(app):
    known = {(method, path.replace("{id}", "{task_id}")) for method, path in OPERATIONS}
    served = {
        (method.upper(), path.replace("{trashed_id}", "{task_id}"))
        for path, operations in app.openapi()["paths"].items()
        for method in operations
    }
    assert served - known == {
        ("GET", "/tasks/events"),  # has no end; it is planted in below
        ("GET", "/health/ready"),  # takes nothing, like /health/live
    }


#: So many requests, each with a canary and a line of its own, are sent below.
LINES = int(os.environ.get("PRIVACY_LINES", "200000"))
_BATCH = 32  # more ahead of their answers are refused
_CONNECTIONS = 8
_ID = re.compile(rb"\r\nx-request-id: (\S+)\r\n", re.IGNORECASE)


class Crowd:
    """Callers who send requests without waiting for answers (RFC 9112 section 9.3.2), and what they got."""

    def __init__(self, port: int, requests: list[Planted]) -> None:
        self._port = port
        self._requests = itertools.cycle([one.raw() for one in requests])
        self._left = LINES // _BATCH
        self.ids: list[bytes] = []

    async def ask(self) -> None:
        """Send batches until enough are sent. The last of each is known by its body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        last = b"GET /health/live HTTP/1.1\r\nHost: api.test\r\n\r\n"
        while self._left > 0:
            self._left -= 1
            writer.write(b"".join([*itertools.islice(self._requests, _BATCH - 1), last]))
            received = bytearray()
            while not received.endswith(b'"alive"}'):
                chunk = await reader.read(1 << 18)
                assert chunk, "the connection was closed"
                received += chunk
            ids = _ID.findall(received)
            assert len(ids) == _BATCH
            assert b"HTTP/1.1 5" not in received
            assert not canaries(bytes(received))
            self.ids += ids
        writer.close()
        await writer.wait_closed()


@pytest.mark.faults
async def test_no_canary_is_in_any_of_very_many_lines(watched_url, tmp_path: Path):
    """Real workers, at LOG_LEVEL=debug; every answer has its one line, and every line is JSON.

    Every planted request is made once. The bulk are refusals that ask no database: a million is two
    minutes of work for two cores, and they have the same line as all others.
    """
    settings = {
        "environment": "production", "database_url": watched_url, "better_auth_secret": SECRET,
        "better_auth_database_url": "same", "log_level": "debug", "metrics": "on", "docs": "on", "workers": 2,
        "rate_limit": "off", "rate_limit_address": "off",
    }  # fmt: skip
    (tmp_path / "checkout").mkdir()
    commands = Commands(tmp_path / "checkout", covered=False)
    with commands.start("tasks-api", "serve", data_dir=tmp_path / "data", **settings) as service:
        service.started(workers=2)
        own = f"Bearer {sign(user(), SECRET, seconds=36_000)}"
        ids = []
        async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
            made = await client.post("/tasks", json={"text": MARK}, headers={"Authorization": own})
            task = made.json()["id"]
            for one in planted(task, own):
                answer = await client.request(one.method, one.path, headers=one.headers, content=one.content)
                assert answer.status_code < 500, one
                assert answer.is_success or not canaries(answer.content, str(answer.headers)), one
                ids.append(answer.headers["X-Request-ID"].encode())
        async with listening(service.url, own.split()[1], Last_Event_ID=MARK, Cookie=MARK) as stream:
            await stream.next()
        crowd = Crowd(service.port, list(cheap(task, own)))
        async with asyncio.TaskGroup() as group:
            for _ in range(_CONNECTIONS):
                group.create_task(crowd.ask())
        async with httpx.AsyncClient(base_url=service.url, timeout=60) as client:
            assert not canaries((await client.get("/metrics")).content)
        assert service.ends_after(signal.SIGTERM)
        told: Counter[str] = Counter()
        with service.log.open("rb") as log:
            for line in log:
                assert not canaries(line), line
                entry = orjson.loads(line)
                if entry["logger"] == "app.requests":
                    told[entry["request_id"]] += 1
    answered = {one.decode() for one in [*ids, *crowd.ids]}
    assert len(answered) == len(ids) + len(crowd.ids) >= LINES
    assert answered <= told.keys()
    assert set(told.values()) == {1}

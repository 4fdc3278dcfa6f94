"""Whatever comes in: hostile requests to a real server, over a socket, each with its exact answer."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import orjson
import pytest

from app.auth.tokens import sign
from app.main import create_app
from tests import (
    hostile_bodies,
    hostile_fields,
    hostile_framing,
    hostile_methods,
    hostile_order,
    hostile_owners,
    hostile_queries,
    hostile_text,
    hostile_tokens,
    hostile_values,
)
from tests.conftest import SECRET, MakeDatabase, administer
from tests.hostile import CANARY, NAMES, Case, head
from tests.raw_http import Connection, Reply
from tests.servers import Commands, Service
from tests.test_openapi import served
from tests.test_sessions import NOWHERE

FAMILIES = (
    hostile_text, hostile_values, hostile_queries, hostile_tokens, hostile_owners, hostile_framing,
    hostile_fields, hostile_bodies, hostile_order, hostile_methods,
)  # fmt: skip
CASES: list[Case] = [case for family in FAMILIES for case in family.CASES]

HOST, JSON = "Host: api.test", "Content-Type: application/json"
LIVE, METRICS = (head(f"GET {path}", HOST) for path in ("/health/live", "/metrics"))
_ALL = """
SELECT md5(concat((SELECT string_agg(t::text, ',' ORDER BY t.user_id, t.id) FROM tasks t),
                  (SELECT string_agg(l::text, ',' ORDER BY l.user_id) FROM task_lists l),
                  (SELECT string_agg(k::text, ',' ORDER BY k::text) FROM idempotency_keys k)))
"""
_OTHERS = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
_OWN_ID = re.compile(r"[0-9a-f]{32}")
_EVERY_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_ALWAYS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return Commands(tmp_path_factory.mktemp("input"), covered=False)


@dataclass(frozen=True)
class Hostile:
    """A server, a connection to its database beside it, and the tasks that the cases name."""

    service: Service
    beside: asyncpg.Connection
    names: Mapping[str, str]

    async def everything(self) -> str:
        found: str = await self.beside.fetchval(_ALL)
        return found


@pytest.fixture(scope="module")
async def hostile(
    commands: Commands, make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Hostile]:
    """What these tests send is too much from one caller, so nobody is limited."""
    folder, url = tmp_path_factory.mktemp("hostile") / "data", await make_database()
    options = {"better_auth_secret": SECRET, "rate_limit": "off", "rate_limit_address": "off"}
    with commands.start("tasks-api", "serve", data_dir=folder, database_url=url, **options) as service:
        await asyncio.to_thread(service.started)
        beside = await asyncpg.connect(url)
        yield Hostile(service, beside, await _names(service.port))
        await beside.close()


async def _names(port: int) -> dict[str, str]:
    """Make the tasks that the cases name."""
    names = dict.fromkeys(NAMES, "") | {"absent": str(uuid.uuid4())}
    connection = await Connection.open(port)
    for name, owner in {"foreign": "bob", "taken": "bob", "task": "alice", "trashed": "alice"}.items():
        names["token"] = sign(owner, SECRET, seconds=3600)
        made = await connection.ask(Case(name=name, line="POST /tasks", body=b'{"text": "x"}').request(names))
        names[name] = orjson.loads(made.body)["id"]
    await connection.ask(Case(name="", line="DELETE /tasks/<trashed>").request(names))
    await connection.close()
    return names


Look = Callable[[], Awaitable[str]]


async def complaints(
    port: int, cases: list[Case], names: Mapping[str, str], look: Look | None = None
) -> AsyncIterator[str]:
    """Send all of them, on one connection as long as it lasts, and tell what is not as it should be.

    `look` looks at what is in the database. The connection is asked something else after each body; elsewhere
    the next case would not be answered as it should be.
    """
    connection, before = await Connection.open(port), await look() if look else ""
    for case in cases:
        request = case.request(names)
        wrong: list[str] = []
        try:
            wrong += faults(case, await connection.ask(request))
            if case.closes and not await connection.is_at_its_end():
                wrong.append("the connection stays open")
            if case.may_hide_another and (await connection.ask(LIVE)).status != 200:
                wrong.append("the connection is of no more use")
        except (EOFError, OSError, TimeoutError) as error:
            wrong.append(repr(error))
        after = await look() if look else ""
        if after != before and (case.expected >= 300 or request.startswith((b"GET", b"HEAD"))):
            wrong.append("something was changed")
        before = after
        if wrong or case.closes or case.unsent:
            await connection.close()
            connection = await Connection.open(port)
        if wrong:
            yield f"{case.name}: {'; '.join(wrong)}"
    await connection.close()


def faults(case: Case, reply: Reply) -> Iterator[str]:
    """Tell how an answer differs from the one that the case expects."""
    if reply.status != case.expected:
        yield f"{reply.status} instead of {case.expected}: {reply.raw!r:.700}"
        return
    if reply.status >= 300 and CANARY.encode() in reply.raw:
        yield "what was sent comes back"
    if case.closes and reply.one("connection") != "close":
        yield "it does not say that the connection is closed"
    if not case.ours:
        return
    yield from _of_headers(case, reply)
    if reply.status >= 400:
        yield from _of_a_refusal(case, reply)


def _of_headers(case: Case, reply: Reply) -> Iterator[str]:
    request_id = reply.one("x-request-id") or ""
    wanted = dict(case.answer)
    own = wanted.pop("X-Request-ID", None)
    if not (_OWN_ID if own == "<own>" else _EVERY_ID).fullmatch(request_id):
        yield f"X-Request-ID {reply.all('x-request-id')}"
    if own not in {None, "<own>", request_id}:
        yield f"X-Request-ID {request_id}"
    for name, value in (_ALWAYS | wanted).items():
        if reply.all(name) != ([] if value is None else [value]):
            yield f"{name}: {reply.all(name)} instead of {value!r}"
    if reply.all("server"):
        yield "it tells what serves"
    if reply.status in {401, 405} and not reply.one({401: "www-authenticate", 405: "allow"}[reply.status]):
        yield "a header is missing"


def _of_a_refusal(case: Case, reply: Reply) -> Iterator[str]:
    if reply.one("content-type") != "application/json":
        yield f"it is {reply.all('content-type')}"
    if not reply.body:
        if not case.line.startswith("HEAD "):
            yield "it has no body"
        return
    told = orjson.loads(reply.body)
    if list(told) != ["error", "message", "details"] or told["error"] != case.code:
        yield f"it tells {told}"
    if case.details is not None and told["details"] != list(case.details):
        yield f"its details are {told['details']}"


async def asked(port: int, request: bytes) -> Reply:
    """Ask once, on a connection of its own."""
    connection = await Connection.open(port)
    reply = await connection.ask(request)
    await connection.close()
    return reply


def counted(metrics: Reply, name: str, *labels: str) -> float:
    """The sum of a metric's series that have these labels, written as in the exposition."""
    lines = re.findall(rf"^({name}(?:{{.*}})?) (.*)$", metrics.body.decode(), re.MULTILINE)
    return sum(float(value) for series, value in lines if all(label in series for label in labels))


def test_there_are_many_and_no_two_the_same():
    assert len(CASES) >= 1000
    assert all(len(family.CASES) >= 30 for family in FAMILIES)
    requests = [
        case.request({name: name for name in NAMES}) for case in CASES if case.name != "the same again"
    ]
    assert len(set(requests)) == len(requests)


async def test_every_hostile_request_is_answered_exactly_and_none_is_a_mistake_of_ours(hostile: Hostile):
    port = hostile.service.port
    told = [line async for line in complaints(port, CASES, hostile.names, hostile.everything)]
    assert not told, "\n".join(told)
    metrics = await asked(port, METRICS)
    assert counted(metrics, "tasks_http_requests_refused_total", 'code="VALIDATION_ERROR"') > 300
    assert counted(metrics, "tasks_database_errors_total") == 0
    assert counted(metrics, "tasks_unexpected_errors_total") == 0
    assert counted(metrics, "tasks_http_request_duration_seconds_count", 'status="5xx"') == 0
    assert CANARY not in hostile.service.output
    assert "Traceback" not in hostile.service.output


PAIRS = ["/", "/docs", "/docs/swagger-ui.css", "/health", "/openapi.json", "/nowhere", "/tasks"]
PAIRS += [
    "/tasks?limit=1",
    "/tasks/<task>",
    "/tasks/<absent>",
    "/tasks/trash",
    "/tasks/changes",
    "/tasks/changes?since=x",
]


@pytest.mark.parametrize("path", PAIRS)
async def test_head_is_get_without_the_body(hostile: Hostile, path):
    got, headed = [
        await asked(hostile.service.port, Case(name="", line=f"{method} {path}").request(hostile.names))
        for method in ("GET", "HEAD")
    ]
    fields = [
        [field for field in reply.fields if field[0] not in {"date", "x-request-id"}]
        for reply in (got, headed)
    ]
    assert (headed.status, fields[1]) == (got.status, fields[0])
    assert int(headed.one("content-length") or 0) == len(got.body) > 0


#: What is refused before anything is asked of the database.
EARLY = {"UNAUTHORIZED", "METHOD_NOT_ALLOWED", "PAYLOAD_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE"}
REFUSED_EARLY = [
    case for case in CASES if case.code in EARLY or (case.code == "NOT_FOUND" and "nowhere" in case.name)
]
CREATE = Case(name="", line="POST /tasks", body=b'{"text": "x"}')


async def test_what_is_refused_takes_no_connection_to_the_database(settings, make_database: MakeDatabase):
    """Counted by the database: who is refused wakes nothing."""
    names = {name: str(uuid.uuid4()) for name in NAMES} | {"token": sign("alice", SECRET, seconds=3600)}
    url = await make_database()
    app = create_app(settings.model_copy(update={"database_url": url}))
    with served(app) as address:
        port = int(address.rpartition(":")[2])
        told = [line async for line in complaints(port, REFUSED_EARLY, names)]
        assert not told, "\n".join(told)
        assert len(await administer(url, _OTHERS)) == 0
        assert (await asked(port, CREATE.request(names))).status == 201
        assert len(await administer(url, _OTHERS)) == 1


async def test_without_a_database_the_same_is_refused(settings):
    names = {name: str(uuid.uuid4()) for name in NAMES} | {"token": sign("alice", SECRET, seconds=3600)}
    app = create_app(settings.model_copy(update={"database_url": NOWHERE, "database_timeout": 1}))
    with served(app) as address:
        port = int(address.rpartition(":")[2])
        assert (await asked(port, CREATE.request(names))).status == 503
        told = [line async for line in complaints(port, REFUSED_EARLY, names)]
        assert not told, "\n".join(told)


@pytest.mark.parametrize(
    ("line", "fields", "status"),
    [
        ("POST /tasks", (), 401),
        ("POST /tasks", ("Authorization: Bearer x",), 401),
        ("POST /tasks/batch", (), 401),
        ("POST /nowhere", (), 404),
        ("PUT /tasks", (), 405),
        ("POST /tasks", ("Authorization: Bearer <token>",), 413),
    ],
)
async def test_a_body_without_end_is_not_waited_for_and_not_kept(hostile: Hostile, line, fields, status):
    pid, port = hostile.service.process.pid, hostile.service.port
    before, chunk = _memory(pid), b"%x\r\n%b\r\n" % (65_536, b"{" * 65_536)
    request = head(line, HOST, *fields, JSON, "Transfer-Encoding: chunked")
    connection = await Connection.open(port)
    connection.send(request.replace(b"<token>", hostile.names["token"].encode()) + chunk * 2)
    assert (await connection.reply()).status == status  # and it goes on:
    with suppress(ConnectionError):
        for _ in range(300):
            connection.send(chunk)
            await connection.drain()
    assert (await asked(port, LIVE)).status == 200
    assert _memory(pid) - before < 10_000_000
    await connection.close()


def _memory(pid: int) -> int:
    """The resident memory of a process, in bytes (proc_pid_status(5))."""
    (kilobytes,) = re.findall(r"^VmRSS:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return 1024 * int(kilobytes)


async def test_who_is_refused_is_not_asked_to_send_the_body(hostile: Hostile):
    fields = ("Expect: 100-continue", "Content-Length: 13")
    stranger = await asked(hostile.service.port, head("POST /tasks", HOST, JSON, *fields))
    assert stranger.status == 401
    connection = await Connection.open(hostile.service.port)
    bearer = f"Authorization: Bearer {hostile.names['token']}"
    assert (await connection.ask(head("POST /tasks", HOST, JSON, bearer, *fields))).status == 100
    assert (await connection.ask(b'{"text": "x"}')).status == 201
    await connection.close()

"""The event stream, over real connections: what it tells, when, to whom, and how it ends."""

import asyncio
import gc
import inspect
import json
import logging
import math
import secrets
import signal
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any, get_args

import fastapi.routing
import fastapi.sse
import httpx2 as httpx
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.params import Depends
from fastapi.routing import iter_route_contexts

from app.api.gate import GuardedRoute
from app.auth import SessionVerifier, SignIn, TokenVerifier, User, Verifier
from app.config import Settings
from app.database import Database
from app.draining import Draining
from app.errors import Ending
from app.main import close, create_app, lifespan
from app.observability import user_hash
from app.queries.listener import Followed, Listener
from app.queries.owned import Owned
from app.queries.sessions import Sessions
from app.queries.tasks import UserTasks
from app.schemas.event import EndEvent, RevisionEvent
from tests.conftest import SECRET, MakeDatabase, administer
from tests.live import PATIENCE_SECONDS, listening, token
from tests.signing import Clock
from tests.test_openapi import served
from tests.test_round_trips import wire  # noqa: F401 - a fixture
from tests.test_sessions import NOWHERE, TABLE, signed

#: Fewer than what a service is made of.
MANY_OBJECTS = 50_000


@pytest.fixture(scope="module")
def service_app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture(scope="module")
def url(service_app: FastAPI) -> Iterator[str]:
    """A service that listeners of most tests share; each brings users of its own."""
    with served(service_app) as url:
        yield url


@pytest.fixture
def user_id() -> str:
    return f"alice-{uuid.uuid4()}"


async def write(url: str, user_id: str, times: int = 1) -> None:
    """Write through the process that the listeners are connected to."""
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE_SECONDS) as client:
        for _ in range(times):
            made = await client.post(
                "/tasks", json={"text": "x"}, headers={"Authorization": f"Bearer {token(user_id)}"}
            )
            assert made.status_code == 201


async def until(condition: Callable[[], object]) -> None:
    """Wait for what no event tells of."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0.01)


async def begun(listener: Listener) -> asyncio.Task[int | None]:
    """Let a listener wait."""
    waiting = asyncio.create_task(listener.next())
    await asyncio.sleep(0)  # one turn of the loop: until it waits
    return waiting


async def soon(awaited: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(awaited, PATIENCE_SECONDS)


# What is told


async def test_the_first_event_is_the_revision_that_the_user_is_at(url, user_id):
    async with listening(url, token(user_id)) as stream:
        assert await stream.revision() == 0
    await write(url, user_id, times=2)
    async with listening(url, token(user_id)) as stream:
        assert await stream.revision() == 2


async def test_on_the_wire_it_is_an_event_without_a_name(url, user_id):
    """So a browser's `onmessage` gets it."""
    async with listening(url, token(user_id)) as stream:
        assert sorted([await stream.line() for _ in range(3)]) == ["", 'data: {"revision":0}', "id: 0"]


async def test_every_kind_of_write_in_the_process_is_told(url, user_id):
    auth = {"Authorization": f"Bearer {token(user_id)}"}
    async with (
        listening(url, token(user_id)) as stream,
        httpx.AsyncClient(base_url=url, headers=auth, timeout=PATIENCE_SECONDS) as client,
    ):
        assert await stream.revision() == 0
        made = await client.post("/tasks", json={"text": "x"})
        path = f"/tasks/{made.json()['id']}"
        assert await stream.revision() == 1
        for number, change in enumerate([("PATCH", {"order": 1}), ("PUT", {"text": "y", "completed": True})]):
            await client.request(change[0], path, json=change[1])
            assert await stream.revision() == 2 + number
        await client.delete(path)
        assert await stream.revision() == 4


async def test_a_write_in_the_process_needs_no_poll(user_id, settings):
    """Asked of the parts, in one event loop, where the poll has no chance to run in between."""
    app = create_app(settings)
    with app.state.listeners.listen(user_id, signed_in(app, user_id)) as listener:
        listener.start(0, 0)
        app.state.listeners._loops[asyncio.get_running_loop()].poll.cancel()  # noqa: SLF001
        await UserTasks(app.state.database, user_id, app.state.listeners.tell).add(text="x")
        assert await soon(listener.next()) == 1
    await close(app)


async def test_a_write_by_another_process_is_told(url, client_for, user_id):
    async with listening(url, token(user_id)) as stream, client_for(user_id) as elsewhere:
        assert await stream.revision() == 0
        await elsewhere.post("/tasks", json={"text": "x"})
        assert await stream.revision() == 1


async def test_whatever_moves_the_counter_is_told(url, user_id, database_url):
    await write(url, user_id)
    async with listening(url, token(user_id)) as stream:
        assert await stream.revision() == 1
        await administer(database_url, "UPDATE task_lists SET revision = 70 WHERE user_id = $1", user_id)
        assert await stream.revision() == 70


async def test_all_of_a_users_streams_are_told(url, user_id):
    async with listening(url, token(user_id)) as one, listening(url, token(user_id)) as other:
        assert [await one.revision(), await other.revision()] == [0, 0]
        await write(url, user_id)
        assert [await one.revision(), await other.revision()] == [1, 1]


async def test_of_changes_that_come_fast_the_newest_is_told(settings, user_id):
    app = create_app(settings)
    with app.state.listeners.listen(user_id, signed_in(app, user_id)) as listener:
        listener.start(3, None)
        assert await listener.next() == 3
        for revision in (4, 5, 6, 5):
            app.state.listeners.tell(user_id, revision)
        assert await soon(listener.next()) == 6
        waiting = await begun(listener)
        app.state.listeners.tell(user_id, 6)
        app.state.listeners.tell(user_id, 7)
        assert await soon(waiting) == 7
    await close(app)


async def test_what_a_newcomer_reads_the_others_hear_too(settings, user_id):
    """It may be ahead of the poll."""
    app = create_app(settings)
    listeners, sign_in = app.state.listeners, signed_in(app, user_id)
    with listeners.listen(user_id, sign_in) as first, listeners.listen(user_id, sign_in) as second:
        first.start(1, 1)
        waiting = await begun(first)
        second.start(2, None)
        assert await soon(waiting) == 2
        second.start(1, None)
        assert await soon(second.next()) == 2
    await close(app)


# Resuming


async def test_who_has_the_last_event_hears_nothing_until_something_changes(url, user_id):
    await write(url, user_id)
    async with listening(url, token(user_id), Last_Event_ID="1") as stream:
        await write(url, user_id)
        assert await stream.revision() == 2


async def test_who_was_never_told_anything_but_zero_hears_nothing_either(url, user_id):
    async with listening(url, token(user_id), Last_Event_ID="0") as stream:
        await write(url, user_id)
        assert await stream.revision() == 1


@pytest.mark.parametrize("last", ["1", "0", "99", "", "x", "-3", "3.0", "03", "+3", b"\xb3", "3" * 30, '"3"'])
async def test_who_missed_something_hears_at_once_and_once(url, user_id, last):
    """An id that is none of ours counts like none."""
    await write(url, user_id, times=3)
    async with listening(url, token(user_id), Last_Event_ID=last) as stream:
        assert await stream.revision() == 3
        await write(url, user_id)
        assert await stream.revision() == 4


async def test_nothing_between_two_connections_is_lost(url, client_for, user_id):
    """Writers elsewhere, and a listener who comes and goes; at the end it knows the last revision."""
    heard = 0

    async def writes() -> None:
        async with client_for(user_id) as elsewhere:
            for _ in range(20):
                await elsewhere.post("/tasks", json={"text": "x"})

    writing = asyncio.create_task(writes())
    while heard < 20:
        async with listening(url, token(user_id), Last_Event_ID=str(heard)) as stream:
            revision = await stream.revision()
            assert revision > heard
            heard = revision
    await writing


# Staying connected


async def test_a_comment_comes_while_nothing_happens(url, user_id, monkeypatch):
    assert fastapi.sse._PING_INTERVAL == 15  # noqa: SLF001 - what the document promises
    monkeypatch.setattr(fastapi.routing, "_PING_INTERVAL", 0.02)
    async with listening(url, token(user_id), Last_Event_ID="0") as stream:
        assert [await stream.line() for _ in range(4)] == [": ping", "", ": ping", ""]
        await write(url, user_id)
        assert await stream.revision() == 1


async def test_nothing_on_the_way_may_keep_hold_or_press_it(url, user_id):
    async with listening(url, token(user_id)) as stream:
        headers = stream.response.headers
        assert stream.response.status_code == 200
        assert headers["Content-Type"].startswith("text/event-stream")
        assert {"no-store", "no-transform"} <= set(headers["Cache-Control"].split(", "))
        assert headers["X-Accel-Buffering"] == "no"
        assert headers["X-Content-Type-Options"] == "nosniff"


async def test_a_browser_may_open_and_read_it(url, user_id):
    origin = {"Origin": "http://localhost:3000"}
    async with httpx.AsyncClient(base_url=url) as client:
        preflight = await client.options(
            "/tasks/events",
            headers=origin
            | {
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": "authorization,last-event-id",
            },
        )
    assert preflight.status_code == 200
    async with listening(url, token(user_id), **origin) as stream:
        assert stream.response.headers["Access-Control-Allow-Origin"] == origin["Origin"]


# How it ends


async def test_it_ends_when_the_token_does_and_says_so(url, user_id):
    async with listening(url, token(user_id, seconds=2)) as stream:
        assert await stream.revision() == 0
        assert await stream.end() == "TOKEN_EXPIRED"


async def test_it_ends_when_the_process_does_and_says_so(service_app, url, user_id):
    async with listening(url, token(user_id)) as stream:
        assert await stream.revision() == 0
        service_app.state.listeners.end()
        assert await stream.end() == "SHUTDOWN"
    async with listening(url, token(user_id)) as late:
        assert await late.end() == "SHUTDOWN"
    service_app.state.listeners.begin()
    async with listening(url, token(user_id)) as stream:
        assert await stream.revision() == 0


async def test_thousands_are_told_of_the_end_a_few_at_a_time(settings, user_id):
    """All at once, none would be through before the server stops waiting."""
    app = create_app(settings.model_copy(update={"live_connections_per_user": 100}))
    with ExitStack() as stack:
        streams = [
            stack.enter_context(app.state.listeners.listen(user_id, signed_in(app, user_id)))
            for _ in range(100)
        ]
        for stream in streams:
            stream.start(0, 0)
        waiting = [await begun(stream) for stream in streams]
        app.state.listeners.end()
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE_SECONDS)
        assert 0 < sum(one.done() for one in waiting) < len(waiting)
        assert await soon(asyncio.gather(*waiting)) == [None] * len(streams)
        assert {stream.ending for stream in streams} == {Ending.SHUTDOWN}
    await close(app)


def test_a_lower_revision_is_believed_when_the_database_says_it_twice():
    """Once, it may be an answer from before a write that was told here; twice, a backup was restored."""
    followed = Followed()
    followed.polled(10)
    for revision, believed in ((4, 10), (11, 11), (4, 11), (5, 5), (6, 6)):
        followed.polled(revision)
        assert followed.revision == believed


async def test_a_signal_ends_the_streams_before_the_server_hears_of_it(settings, user_id):
    app, handled = create_app(settings), asyncio.Event()
    app.state.listeners.end()  # of a life before
    logger, thresholds = logging.getLogger(), gc.get_threshold()
    handlers = logger.handlers[:]
    before = signal.signal(signal.SIGTERM, lambda *_: handled.set())
    gc.set_threshold(700, 10, 10)  # CPython's own; another lifespan may have been here
    gc.unfreeze()
    try:
        async with lifespan(app):
            assert gc.get_threshold() > (700, 10, 10)
            assert gc.get_freeze_count() > MANY_OBJECTS
            with app.state.listeners.listen(user_id, signed_in(app, user_id)) as stream:
                stream.start(3, None)
                assert await stream.next() == 3
                signal.raise_signal(signal.SIGTERM)
                assert handled.is_set()
                assert await soon(stream.next()) is None
                assert stream.ending == Ending.SHUTDOWN
    finally:
        signal.signal(signal.SIGTERM, before)
        gc.set_threshold(*thresholds)
        gc.unfreeze()
        logger.handlers[:] = handlers


@pytest.fixture
async def session_url(make_database: MakeDatabase) -> str:
    url = await make_database()
    await administer(url, TABLE)
    return url


async def signed_into(session_url: str, user_id: str, expires_in: str = "7 days") -> str:
    raw = secrets.token_hex(16)
    row = "INSERT INTO session VALUES ($1, $1, $2, now() + $3::text::interval)"
    await administer(session_url, row, raw, user_id, expires_in)
    return signed(raw)


@pytest.fixture
def monotonic() -> Clock:
    """What a verified credential is remembered by."""
    return Clock(1000)


@pytest.fixture
def session_service(session_url: str, monotonic: Clock) -> Iterator[str]:
    app = create_app(
        Settings(
            database_url=session_url, better_auth_secret=SECRET, database_timeout=30, database_queue_wait=30
        )
    )
    sessions = SessionVerifier(SECRET, Sessions(app.state.database).find)
    app.state.verifier = Verifier(TokenVerifier(SECRET), sessions, time.time, monotonic)
    with served(app) as url:
        yield url


async def test_who_signed_out_hears_of_no_change(session_service, session_url, monotonic, user_id):
    async with listening(session_service, await signed_into(session_url, user_id)) as stream:
        assert await stream.revision() == 0
        await administer(session_url, "DELETE FROM session")
        await write(session_service, user_id)
        assert await stream.revision() == 1  # still remembered
        monotonic.now += 11
        await write(session_service, user_id)
        assert await stream.end() == "SIGNED_OUT"


async def test_a_session_that_passes_to_another_user_ends_the_stream(
    session_service, session_url, monotonic, user_id
):
    async with listening(session_service, await signed_into(session_url, user_id)) as stream:
        assert await stream.revision() == 0
        await administer(session_url, "UPDATE session SET \"userId\" = 'mallory'")
        monotonic.now += 11
        await write(session_service, user_id)
        assert await stream.end() == "SIGNED_OUT"


async def test_a_session_that_cannot_be_asked_for_ends_nothing(
    session_service, session_url, monotonic, user_id
):
    async with listening(session_service, await signed_into(session_url, user_id)) as stream:
        assert await stream.revision() == 0
        await administer(session_url, "ALTER TABLE session RENAME TO elsewhere")
        monotonic.now += 11
        await write(session_service, user_id)
        assert await stream.revision() == 1


async def test_a_session_ends_the_stream_at_its_end(session_service, session_url, user_id):
    async with listening(session_service, await signed_into(session_url, user_id, "1 second")) as stream:
        assert await stream.revision() == 0
        assert await stream.end() == "TOKEN_EXPIRED"


async def test_a_session_that_got_a_later_end_goes_on(session_url, user_id):
    clock, database = (
        Clock(time.time()),
        Database(session_url, Settings(database_timeout=30, database_queue_wait=30)),
    )
    verifier = Verifier(TokenVerifier(), SessionVerifier(SECRET, Sessions(database).find), clock)
    credential = await signed_into(session_url, user_id, "1 minute")
    sign_in = SignIn(verifier, credential, await verifier.user(credential), clock)
    later = "UPDATE session SET \"expiresAt\" = now() + interval '1 hour'"
    await administer(session_url, later)
    clock.now += 61
    assert sign_in.seconds_left < 0
    assert await sign_in.ending() is None
    assert sign_in.seconds_left > 3000
    clock.now += 3600
    assert await sign_in.ending() == Ending.TOKEN_EXPIRED
    await database.close()


async def test_a_token_gets_no_leeway_here(user_id):
    """It is for the clocks of who signs; who listens gets a new token and connects again."""
    clock = Clock(time.time())
    verifier = Verifier(TokenVerifier(SECRET), clock=clock)
    credential = token(user_id, seconds=100)
    sign_in = SignIn(verifier, credential, await verifier.user(credential), clock)
    clock.now += 99 - 1
    assert await sign_in.ending() is None
    clock.now += 2
    assert await verifier.user(credential) == User(user_id)
    assert await sign_in.ending() == Ending.TOKEN_EXPIRED


def test_who_a_user_is_does_not_depend_on_the_end_of_the_token():
    assert User("alice", 1) == User("alice", 2) == User("alice")
    assert len({User("alice", 1), User("alice", 2)}) == 1


# Who may listen, and how often


async def test_a_stranger_is_refused_before_anything_begins(stranger):
    refused = await stranger.get("/tasks/events")
    assert (refused.status_code, refused.json()["error"]) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_it_is_no_task_to_the_other_methods(alice, method):
    refused = await alice.request(method, "/tasks/events", json={})
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET")


async def test_another_users_writes_wake_nobody(url, user_id):
    bob = f"bob-{uuid.uuid4()}"
    await write(url, bob, times=3)
    async with listening(url, token(user_id)) as stream, listening(url, token(bob)) as other:
        assert [await stream.revision(), await other.revision()] == [0, 3]
        await write(url, bob, times=3)
        while await other.revision() < 6:
            pass
        await write(url, user_id)
        assert await stream.revision() == 1


async def test_the_poll_tells_nobody_of_anothers_revision(settings, user_id):
    app, bob = create_app(settings), f"bob-{uuid.uuid4()}"
    listeners = app.state.listeners
    with (
        listeners.listen(user_id, signed_in(app, user_id)) as hers,
        listeners.listen(bob, signed_in(app, bob)) as his,
    ):
        hers.start(0, 0)
        his.start(0, 0)
        waiting = await begun(hers)
        await UserTasks(app.state.database, bob).add(text="x")
        assert await soon(his.next()) == 1
        assert not waiting.done()
        waiting.cancel()
    await close(app)


async def test_one_too_many_is_429_and_a_place_is_free_when_one_leaves(settings, user_id):
    app = create_app(settings.model_copy(update={"live_connections_per_user": 2}))
    with served(app) as url:
        async with AsyncExitStack() as streams, AsyncExitStack() as leaving:
            await leaving.enter_async_context(listening(url, token(user_id)))
            await streams.enter_async_context(listening(url, token(user_id)))
            async with listening(url, token(user_id)) as refused:
                body = json.loads(await refused.response.aread())
                assert (refused.response.status_code, body["error"]) == (429, "RATE_LIMITED")
                assert int(refused.response.headers["Retry-After"]) > 0
            async with listening(url, token(f"bob-{uuid.uuid4()}")) as other:
                assert await other.revision() == 0
            await leaving.aclose()
            status = 429
            async with asyncio.timeout(PATIENCE_SECONDS):
                while status == 429:
                    async with listening(url, token(user_id)) as stream:
                        status = stream.response.status_code
            assert status == 200


async def test_a_stream_that_cannot_begin_is_503_and_takes_no_place(stranger, client_for, user_id):
    app = create_app(Settings(database_url=NOWHERE, better_auth_secret=SECRET))
    async with client_for(user_id, app) as client:
        answer = await client.get("/tasks/events")
    assert (answer.status_code, answer.json()["error"]) == (503, "SERVICE_UNAVAILABLE")
    assert not app.state.listeners._loops  # noqa: SLF001


def signed_in(app: FastAPI, user_id: str) -> SignIn:
    return SignIn(app.state.verifier, token(user_id), User(user_id))


# What it asks of the database


def polls(loop: asyncio.AbstractEventLoop) -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks(loop) if task.get_name() == "poll for revisions"]


async def test_there_is_no_poll_while_nobody_listens(service_app, url, user_id):
    async with listening(url, token(user_id)):
        (loop,) = service_app.state.listeners._loops  # noqa: SLF001
        async with listening(url, token(f"bob-{uuid.uuid4()}")):
            assert len(polls(loop)) == 1
        await until(lambda: len(service_app.state.listeners._loops[loop].followed) == 1)  # noqa: SLF001
        assert len(polls(loop)) == 1
    await until(lambda: not polls(loop))
    assert not service_app.state.listeners._loops  # noqa: SLF001
    async with listening(url, token(user_id)):
        assert len(polls(loop)) == 1


async def test_all_who_are_connected_are_asked_for_in_one_round_trip(wire):  # noqa: F811 - it is the fixture
    app = create_app(
        Settings(database_url=wire[1], better_auth_secret=SECRET, database_timeout=30, database_queue_wait=30)
    )
    users = [f"{uuid.uuid4()}" for _ in range(5)]
    for user_id in users:
        await UserTasks(app.state.database, user_id).add(text="x")
    with ExitStack() as stack:
        listeners = [
            stack.enter_context(app.state.listeners.listen(user_id, signed_in(app, user_id)))
            for user_id in users
        ]
        here = app.state.listeners._loops[asyncio.get_running_loop()]  # noqa: SLF001
        here.poll.cancel()
        for cost in (None, 1):  # the first time the statement is prepared
            before = wire[0].round_trips
            await here._ask()  # noqa: SLF001
            assert cost is None or wire[0].round_trips - before == cost
        assert [await listener.next() for listener in listeners] == [1] * 5
    await close(app)


async def test_to_open_a_stream_costs_one_round_trip(wire, client_for, user_id):  # noqa: F811
    app = create_app(
        Settings(database_url=wire[1], better_auth_secret=SECRET, database_timeout=30, database_queue_wait=30)
    )
    app.state.listeners.end()  # so that a client which waits for the whole answer gets one
    async with client_for(user_id, app) as client:
        for cost in (None, 1):
            before = wire[0].round_trips
            assert (await client.get("/tasks/events")).status_code == 200
            assert cost is None or wire[0].round_trips - before == cost
    await close(app)


async def test_a_poll_that_fails_is_logged_once_and_goes_on(make_database: MakeDatabase, caplog, user_id):
    own = await make_database()
    app = create_app(
        Settings(database_url=own, better_auth_secret=SECRET, database_timeout=30, database_queue_wait=30)
    )
    await UserTasks(app.state.database, user_id).add(text="x")
    with app.state.listeners.listen(user_id, signed_in(app, user_id)) as listener:
        listener.start(1, 1)
        (here,) = app.state.listeners._loops.values()  # noqa: SLF001
        await administer(own, "ALTER TABLE task_lists RENAME TO elsewhere")
        await until(lambda: here._failing)  # noqa: SLF001
        await here._ask()  # noqa: SLF001
        await administer(own, "ALTER TABLE elsewhere RENAME TO task_lists")
        await administer(own, "UPDATE task_lists SET revision = 9")
        assert await soon(listener.next()) == 9
        (line,) = [text for text in caplog.messages if "live events" in text]
        assert "UndefinedTableError" in line
        assert user_id not in line
        await administer(own, "ALTER TABLE task_lists RENAME TO elsewhere")
        await here._ask()  # noqa: SLF001
        assert len([text for text in caplog.messages if "live events" in text]) == 2
    await close(app)


# What stands around it


async def test_the_log_has_one_line_when_a_stream_is_over(url, user_id, caplog):
    def lines() -> list[Any]:
        return [vars(line) for line in caplog.records if vars(line).get("user") == user_hash(user_id)]

    with caplog.at_level(logging.INFO, "app.requests"):
        async with listening(url, token(user_id)) as stream:
            assert await stream.revision() == 0
            assert lines() == []
        await until(lines)
    (line,) = lines()
    assert [line[name] for name in ("method", "route", "status", "reason")] == [
        "GET",
        "/tasks/events",
        200,
        None,
    ]


async def test_the_document_describes_the_events(stranger):
    document = (await stranger.get("/openapi.json")).json()
    operation = document["paths"]["/tasks/events"]["get"]
    assert [*operation["responses"]["200"]["content"]] == ["text/event-stream"]
    described = operation["responses"]["200"]["content"]["text/event-stream"]
    assert described["schema"]["properties"].keys() == {"data", "event", "id", "retry"}
    data = [line.removeprefix("data: ") for line in described["example"].splitlines() if "data" in line]
    RevisionEvent.model_validate_json(data[0], strict=True)
    EndEvent.model_validate_json(data[1])
    for status in ("401", "429", "503"):
        assert [*operation["responses"][status]["content"]] == ["application/json"]
    assert "422" not in operation["responses"]
    assert "$ref" not in json.dumps(operation["responses"]["200"])
    (header,) = operation["parameters"]
    assert (header["name"], header["in"]) == ("Last-Event-ID", "header")


async def test_whatever_a_route_gets_of_its_caller_tells_the_listeners(app):
    known = {"database": app.state.database, "settings": app.state.settings, "listeners": app.state.listeners}
    known["response"] = Response()
    known["request"] = Request(
        {
            "type": "http",
            "app": app,
            "headers": [(b"authorization", b"Bearer x")],
            "state": {"user": User(f"alice-{uuid.uuid4()}"), "until": math.inf},
        }
    )
    found = set()
    for make in makers(app):
        wanted = inspect.signature(make).parameters
        made: Any = make(**{name: value for name, value in known.items() if name in wanted})
        owned: Any = await (anext(made) if inspect.isasyncgen(made) else made)
        assert owned._tell == app.state.listeners.tell, type(owned)  # noqa: SLF001
        found.add(type(owned).__name__)
        if inspect.isasyncgen(made):
            await made.aclose()
    assert {"UserTasks", "UserRevisions"} <= found


def makers(app: FastAPI) -> set[Callable[..., Any]]:
    """The dependencies that give routes something of their caller's."""
    found = set()
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, GuardedRoute):
            for annotation in inspect.signature(context.original_route.endpoint).parameters.values():
                kind, *marks = get_args(annotation.annotation) or [None]
                if isinstance(kind, type) and issubclass(kind, Owned):
                    found |= {
                        mark.dependency for mark in marks if isinstance(mark, Depends) and mark.dependency
                    }
    return found


# The end of a process (test_processes.py has real ones)


def test_before_a_signal_is_handled_it_is_told(monkeypatch):
    told: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda *_: told.append("handled"))
    try:
        with Draining(0, 1).before_signals(lambda: told.append("told")):
            signal.raise_signal(signal.SIGTERM)
            assert told == ["told", "handled"]
        signal.raise_signal(signal.SIGTERM)
        assert told == ["told", "handled", "handled"]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_that_nobody_handles_keeps_its_default():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with Draining(0, 1).before_signals(lambda: None):
            assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_who_takes_the_signal_over_meanwhile_keeps_it():
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with Draining(0, 1).before_signals(lambda: None):
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_elsewhere_than_in_the_main_thread_signals_stay_as_they_are():
    handlers = []

    def look() -> None:
        with Draining(0, 1).before_signals(lambda: None):
            handlers.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [before]

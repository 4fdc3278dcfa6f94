"""More is asked for than the database has room for: who is refused, how, and who notices nothing of it."""

import asyncio
import logging
import math
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import asyncpg
import httpx2 as httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Float, bindparam, func, select

from app.auth import SignIn, TokenVerifier, User, Verifier
from app.auth.sessions import SessionVerifier
from app.config import Settings
from app.errors import Overloaded, TooLate, Unavailable
from app.main import close, create_app
from app.queries.sessions import Sessions
from app.queries.tasks import UserTasks
from app.statement import Statement
from tests.conftest import SECRET, ClientFor, until_waiting
from tests.test_errors import assert_error
from tests.test_sessions import signed

NAP = Statement(
    select(func.pg_sleep(bindparam("seconds", type_=Float)), func.length(bindparam("user_id", type_=None)))
)

Hold = Callable[[httpx.AsyncClient], AbstractAsyncContextManager[None]]
Serve = Callable[..., AbstractAsyncContextManager[FastAPI]]


@pytest.fixture
def serve(database_url: str) -> Serve:
    """Make the app with limits of one's own."""

    @asynccontextmanager
    async def serving(**limits: object) -> AsyncIterator[FastAPI]:
        common = {"database_url": database_url, "better_auth_secret": SECRET, "database_timeout": 30}
        app = create_app(Settings.model_validate(common | limits))
        yield app
        await close(app)

    return serving


async def slow(client: httpx.AsyncClient) -> tuple[str, str]:
    """Make a user's task, to be locked; return its id and whose it is."""
    made = (await client.post("/tasks", json={"text": "slow"})).json()
    return made["id"], made["user_id"]


@asynccontextmanager
async def busy(
    database_url: str, app: FastAPI, client_for: ClientFor, requests: int = 1
) -> AsyncIterator[list[httpx.Response]]:
    """Keep connections busy with changes of one user's, which wait for a lock, till the end."""
    answers: list[httpx.Response] = []
    async with client_for(f"slow-{uuid.uuid4()}", app) as client:
        task, user = await slow(client)
        holder = await asyncpg.connect(database_url)
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("SELECT 1 FROM task_lists WHERE user_id = $1 FOR UPDATE", user)

        async def change() -> None:
            answers.append(await client.patch(f"/tasks/{task}", json={"text": "changed"}))

        changing = [asyncio.create_task(change()) for _ in range(requests)]
        await until_waiting(database_url)
        try:
            yield answers
        finally:
            await transaction.rollback()
            await holder.close()
            await asyncio.gather(*changing)


@pytest.fixture
def other(client_for: ClientFor) -> Callable[[FastAPI], AbstractAsyncContextManager[httpx.AsyncClient]]:
    return lambda app: client_for(f"other-{uuid.uuid4()}", app)


def counted(app: FastAPI, code: str) -> float:
    found: float = app.state.observer.registry.get_sample_value(
        "tasks_http_requests_refused_total", {"code": code}
    )
    return found


async def test_with_the_queue_full_a_request_is_refused_at_once_and_says_when_to_come_again(
    database_url, serve, client_for, other, caplog
):
    limits = {"database_pool_size": 1, "database_queue": 0, "database_queue_wait": 30}
    async with serve(**limits) as app, other(app) as client:
        async with busy(database_url, app, client_for) as answers:
            with caplog.at_level(logging.INFO):
                refused = await client.get("/tasks")
            assert_error(refused, 503, "OVERLOADED")
            assert refused.headers["Retry-After"] in {"1", "2", "3"}
            assert not answers
        assert (await client.get("/tasks")).status_code == 200
        assert [answer.status_code for answer in answers] == [200]
        assert (counted(app, "OVERLOADED"), counted(app, "SERVICE_UNAVAILABLE")) == (1, 0)
    lines = [record.__dict__ for record in caplog.records if record.name == "app.requests"]
    (reason,) = [line["reason"] for line in lines if line["status"] == 503]
    assert reason == "too many wait for the database"
    assert not [record for record in caplog.records if record.name == "app"]


async def test_a_request_that_waits_too_long_is_refused(database_url, serve, client_for, other):
    limits = {"database_pool_size": 1, "database_queue": 5, "database_queue_wait": 0.05}
    async with serve(**limits) as app, other(app) as client, busy(database_url, app, client_for):
        assert_error(await client.get("/tasks"), 503, "OVERLOADED")
        assert app.state.database.slots.room == 5


async def test_a_request_whose_turn_comes_in_time_is_served(database_url, serve, client_for, other):
    limits = {"database_pool_size": 1, "database_queue": 5, "database_queue_wait": 30}
    async with serve(**limits) as app, other(app) as client:
        async with busy(database_url, app, client_for):
            waiting = asyncio.create_task(client.get("/tasks"))
            await asyncio.sleep(0.05)
            assert not waiting.done()
            assert app.state.database.slots.room == 4
        assert (await waiting).status_code == 200


async def test_what_needs_no_database_is_answered_as_ever(database_url, serve, client_for, other):
    """Nothing of it takes a connection, or waits for one."""
    limits = {"database_pool_size": 1, "database_queue": 0}
    async with serve(**limits) as app, other(app) as client, client_for(None, app) as stranger:
        async with busy(database_url, app, client_for):
            assert (await stranger.get("/tasks")).status_code == 401
            assert (await stranger.get("/nowhere")).status_code == 404
            assert (await client.delete("/tasks")).status_code == 405
            assert (await client.post("/tasks", content=b"x" * 70_000)).status_code == 413
            assert (await client.post("/tasks", content=b"x")).status_code == 415
            assert (await client.post("/tasks", json={"text": 1})).status_code == 422
            assert (await client.get("/tasks/no-uuid")).status_code == 422
            assert (await stranger.get("/health/live")).status_code == 200
            assert (await stranger.get("/metrics")).status_code == 200
        assert counted(app, "OVERLOADED") == 0


async def test_a_full_queue_is_healthy_as_long_as_the_database_answers(serve, client_for, other):
    async with serve(database_pool_size=1, database_queue=0, health_timeout=5) as app, other(app) as client:
        naps = [
            asyncio.create_task(app.state.database.fetch(NAP, seconds=0.05, user_id="")) for _ in range(6)
        ]
        await asyncio.sleep(0)
        assert_error(await client.get("/tasks"), 503, "OVERLOADED")
        assert (await client.get("/health")).json()["database"] == "connected"
        assert not naps[-1].done()
        await asyncio.gather(*naps)


async def test_a_greedy_user_leaves_room_for_others(database_url, serve, client_for, other):
    """All that he sends waits for a lock: half of the connections, and half of the queue, is all he gets."""
    limits = {"database_pool_size": 4, "database_queue": 8, "database_queue_wait": 30}
    async with serve(**limits) as app, other(app) as client, other(app) as another:
        async with busy(database_url, app, client_for, requests=20) as answers:
            assert {answer.status_code for answer in answers} <= {503}
            for _ in range(5):
                both = await asyncio.gather(client.get("/tasks"), another.get("/tasks"))
                assert [answer.status_code for answer in both] == [200, 200]
        statuses = [answer.status_code for answer in answers]
        assert (statuses.count(200), statuses.count(503)) == (6, 14)
        assert app.state.database.slots.room == 12


async def test_callers_who_leave_the_queue_leave_nothing_in_it(database_url, serve, client_for, other):
    limits = {"database_pool_size": 1, "database_queue": 6, "database_queue_wait": 30}
    async with serve(**limits) as app, other(app) as client:
        async with busy(database_url, app, client_for):
            leaving = [asyncio.create_task(client.get("/tasks")) for _ in range(3)]
            await asyncio.sleep(0.05)
            assert app.state.database.slots.room == 3
            for task in leaving:
                task.cancel()
            await asyncio.gather(*leaving, return_exceptions=True)
            assert app.state.database.slots.room == 6
        assert app.state.database.slots.room == 7


async def test_a_session_that_cannot_be_looked_up_for_others_is_no_sign_out(database_url, serve, client_for):
    async with serve(database_pool_size=1, database_queue=0) as app, busy(database_url, app, client_for):
        find = Sessions(app.state.database).find
        with pytest.raises(Overloaded):
            await find("a-token-of-somebody")
        verifier = Verifier(TokenVerifier(), SessionVerifier(SECRET, find))
        credential, user = signed("a-token-of-somebody"), User("somebody", math.inf)
        assert await SignIn(verifier, credential, user).ending() is None


async def test_a_request_is_given_up_when_its_time_is_up(database_url, serve, client_for):
    """However long a single statement may take."""
    async with serve(request_timeout=0.3) as app, client_for(f"slow-{uuid.uuid4()}", app) as client:
        task, user = await slow(client)
        holder = await asyncpg.connect(database_url)
        async with holder.transaction():
            await holder.execute("SELECT 1 FROM task_lists WHERE user_id = $1 FOR UPDATE", user)
            async with asyncio.timeout(20):
                answer = await client.patch(f"/tasks/{task}", json={"text": "x"})
        await holder.close()
        assert_error(answer, 503, "SERVICE_UNAVAILABLE")
        assert answer.headers["Retry-After"]


async def test_several_statements_share_the_time_of_their_request(serve):
    """Each of them alone would be in time."""
    async with serve() as app:
        await app.state.database.clock()  # a connection is there
        asked = UserTasks(app.state.database, "alice", _until=asyncio.get_running_loop().time() + 1)
        await asked._read(NAP, seconds=0.5)  # noqa: SLF001
        with pytest.raises(Unavailable) as late:
            await asked._read(NAP, seconds=0.7)  # noqa: SLF001
        assert isinstance(late.value.__cause__, TimeoutError)
        with pytest.raises(TooLate) as too_late:
            await asked.all()
        assert too_late.value.reason == "it took longer than REQUEST_TIMEOUT"
        async with asyncio.timeout(20):
            while app.state.database.slots.room < 110:  # noqa: ASYNC110 - it is cancelled first
                await asyncio.sleep(0.01)

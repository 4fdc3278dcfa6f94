"""Requests that are refused before they begin, in the protocol that `serve` speaks."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI

from app.auth.tokens import sign
from app.config import Settings
from app.main import close, create_app
from tests.conftest import SECRET
from tests.memory_wire import Answer, Server
from tests.servers import UNLIMITED

ORIGIN = "https://app.example.com"


@pytest.fixture
async def narrow(database_url: str) -> AsyncIterator[FastAPI]:
    """With room for 40 in front of the database, and on the way to it."""
    narrow = create_app(
        Settings(
            database_url=database_url,
            better_auth_secret=SECRET,
            cors_origins=ORIGIN,
            database_pool_size=2,
            database_queue=38,
            database_queue_wait=30,
            database_timeout=30,
            **UNLIMITED,
        )
    )
    yield narrow
    await close(narrow)


def request(user: str, line: str = "GET /tasks HTTP/1.1", body: bytes = b"", **headers: str) -> bytes:
    named = {"Host": "x", "Authorization": f"Bearer {sign(user, SECRET, seconds=60)}"} | headers
    if body:
        named |= {"Content-Length": str(len(body)), "Content-Type": "application/json"}
    lines = [line, *(f"{name.replace('_', '-')}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def users(count: int) -> list[str]:
    return [f"user-{uuid.uuid4()}" for _ in range(count)]


async def at_once(app: FastAPI, requests: Sequence[bytes]) -> list[Answer]:
    """Send each on a connection of its own, all in one turn of the event loop."""
    return await asyncio.gather(*(Server(app).send(one) for one in requests))


@asynccontextmanager
async def full(app: FastAPI) -> AsyncIterator[None]:
    """Let others have every slot and every place in the queue."""
    slots = app.state.database.slots
    takers = [asyncio.create_task(slots.take(f"taker-{number}")) for number in range(40)]
    await asyncio.sleep(0)
    yield
    await left(takers[2:])
    for number in range(2):
        slots.give_back(f"taker-{number}")


async def left(takers: Sequence[asyncio.Task[None]]) -> None:
    for taker in takers:
        taker.cancel()
    await asyncio.wait(takers)


def statuses(answers: Sequence[Answer]) -> list[int]:
    return [answer.status for answer in answers]


async def test_of_those_that_come_in_one_turn_as_many_begin_as_there_is_room_for(narrow):
    found = statuses(await at_once(narrow, [request(user) for user in users(100)]))
    assert found == sorted(found)
    assert 35 <= found.count(200) <= 40
    assert found.count(503) == 100 - found.count(200)


async def test_in_the_next_turn_there_is_room_again(narrow):
    for _ in range(3):
        assert statuses(await at_once(narrow, [request(user) for user in users(30)])) == [200] * 30


async def test_one_credential_begins_no_more_than_it_leaves_to_others(narrow):
    greedy, others = request("greedy"), [request(user) for user in users(10)]
    found = statuses(await at_once(narrow, [*[greedy] * 200, *others]))
    assert found[200:] == [200] * 10
    assert found[:200].count(200) < 30


async def test_one_credential_is_one_however_it_is_spelled(narrow):
    token = sign("greedy", SECRET, seconds=60)
    spaces = [" " + space * number for number in range(1, 101) for space in (" ", "\t")]
    greedy = [request("greedy", Authorization=f"Bearer{between}{token}") for between in spaces]
    found = statuses(await at_once(narrow, [*greedy, *(request(user) for user in users(10))]))
    assert found[200:] == [200] * 10
    assert found[:200].count(200) < 30


async def test_while_the_queue_is_full_who_is_known_does_not_begin(narrow, caplog):
    known, stranger = (request(user) for user in users(2))
    server = Server(narrow)
    assert (await server.send(known)).status == 200
    slots = narrow.state.database.slots
    takers = [asyncio.create_task(slots.take(f"taker-{number}")) for number in range(40)]
    await asyncio.sleep(0)
    caplog.clear()  # of what is logged where other tests have set the level
    with caplog.at_level(logging.INFO, "app.requests"):
        found = statuses([await server.send(one) for one in (known, stranger)])
    assert found == [503, 503]
    assert len([record for record in caplog.records if record.name == "app.requests"]) == 1  # the stranger
    await left(takers[20:])
    waiting = asyncio.create_task(server.send(known))  # now there is a place for him
    await asyncio.sleep(0)
    await left(takers[2:20])
    for number in range(2):
        slots.give_back(f"taker-{number}")
    assert (await waiting).status == 200


async def test_such_a_refusal_is_like_any_other(narrow, client_for):
    """Same body, same headers, to pages of other origins too."""
    burst = [request(user, Origin=ORIGIN, X_Request_ID="mine") for user in users(100)]
    refused = (await at_once(narrow, burst))[-1]
    assert refused.status == 503
    assert b'"error":"OVERLOADED"' in refused.body
    assert refused.headers["retry-after"] in {"1", "2", "3"}
    assert refused.headers["x-request-id"] == "mine"
    assert refused.packets == 1
    assert refused.headers["access-control-allow-origin"] == ORIGIN
    headers = {"Origin": ORIGIN, "Authorization": f"Bearer {sign('a', SECRET, seconds=60)}"}
    async with client_for(None, narrow) as client:
        like = await client.get("/tasks/no-uuid", headers=headers)
    assert like.status_code == 422
    own = {"date", "retry-after"}  # of the server, and of 503
    assert refused.headers.keys() - own == {name.lower() for name in like.headers}
    same = [name for name in refused.headers if name.startswith(("access-", "content-s", "x-c", "vary"))]
    assert {name: refused.headers[name] for name in same} == {name: like.headers[name] for name in same}


async def test_an_unknown_page_and_no_page_at_all_get_what_they_always_get(narrow):
    stranger = (await at_once(narrow, [request(user, Origin="https://else.example") for user in users(100)]))[
        -1
    ]
    assert stranger.status == 503
    assert "access-control-allow-origin" not in stranger.headers
    nobody = (await at_once(narrow, [request(user) for user in users(100)]))[-1]
    assert nobody.status == 503
    assert nobody.headers["vary"] == "Origin"
    assert "access-control-expose-headers" not in nobody.headers
    assert len(nobody.headers["x-request-id"]) == 32


async def test_health_documents_and_preflights_always_begin(narrow):
    preflight = request("a", "OPTIONS /tasks HTTP/1.1", Origin=ORIGIN, Access_Control_Request_Method="GET")
    live, paths = request("a", "GET /health/live HTTP/1.1"), request("a", "GET /openapi.json HTTP/1.1")
    burst = [request(user) for user in users(100)]
    found = statuses(await at_once(narrow, [*burst, *[live, preflight, paths] * 20]))
    assert found[99] == 503
    assert found[100:] == [200] * 60


async def test_a_refused_connection_goes_on_and_what_comes_of_a_body_is_left_out(narrow):
    create = request("a", "POST /tasks HTTP/1.1", b'{"text": "refused"}')
    burst = [Server(narrow).send(request(user)) for user in users(100)]
    server = Server(narrow)
    *_, refused = await asyncio.gather(*burst, server.send(create))
    assert refused.status == 503
    listed = await server.send(request("a"))
    assert (listed.status, b"refused" in listed.body) == (200, False)
    assert (await server.send(create)).status == 201


async def test_head_gets_no_body_and_who_waits_for_leave_to_send_one_is_not_refused_here(narrow):
    head = request("a", "HEAD /tasks HTTP/1.1")
    *_, refused = await at_once(narrow, [*(request(user) for user in users(100)), head])
    assert (refused.status, refused.body) == (503, b"")
    assert int(refused.headers["content-length"]) > 0
    expecting = request("b", "POST /tasks HTTP/1.1", b'{"text": "x"}', Expect="100-continue")
    *_, answer = await at_once(narrow, [*(request(user) for user in users(60)), expecting])
    assert answer.status == 100


async def test_requests_in_one_go_are_answered_in_their_order_though_some_are_refused(narrow):
    live, head = request("a", "HEAD /health/live HTTP/1.1"), request("a", "HEAD /tasks HTTP/1.1")
    server = Server(narrow)
    assert (await server.send(head)).status == 200  # he is known
    async with full(narrow):
        assert await server.send_all([head, live, head, head, live]) == [503, 200, 503, 503, 200]


async def test_who_does_not_read_is_not_refused_here(narrow):
    """He would be sent more and more; what comes from the service waits until he reads."""
    server = Server(narrow)
    assert (await server.send(request("a"))).status == 200  # he is known
    async with full(narrow):
        server.reads(yes=False)
        waiting = asyncio.create_task(server.send(request("a")))
        await asyncio.sleep(0.1)
        assert server.sent == b""
        server.reads(yes=True)
        assert (await waiting).status == 503


async def test_a_connection_that_is_not_kept_is_closed_with_the_refusal(narrow):
    requests = [request(user, "GET /tasks HTTP/1.0") for user in users(100)]
    servers = [Server(narrow) for _ in requests]
    answers = await asyncio.gather(*(server.send(one) for server, one in zip(servers, requests, strict=True)))
    assert answers[-1].status == 503
    assert answers[-1].headers["connection"] == "close"
    assert servers[-1].closed


async def test_a_process_that_is_about_to_end_closes_with_the_refusal(narrow):
    narrow.state.draining.began = True
    servers = [Server(narrow) for _ in range(100)]
    answers = await asyncio.gather(*(server.send(request(f"late-{at}")) for at, server in enumerate(servers)))
    assert answers[-1].status == 503
    assert answers[-1].headers["connection"] == "close"
    assert servers[-1].closed


async def test_the_log_has_one_line_for_all_of_a_second_and_the_metrics_count_each(narrow, caplog):
    def refused() -> float | None:
        registry, labels = narrow.state.observer.registry, {"code": "OVERLOADED"}
        found: float | None = registry.get_sample_value("tasks_http_requests_refused_total", labels)
        return found

    with caplog.at_level(logging.WARNING):
        count = statuses(await at_once(narrow, [request(user) for user in users(100)])).count(503)
        async with asyncio.timeout(20):
            while refused() != count:  # noqa: ASYNC110 - no event for it
                await asyncio.sleep(0.05)
    assert f"OVERLOADED: refused {count} requests before they began" in caplog.messages


async def test_what_was_refused_in_the_last_second_of_a_process_is_told_at_its_end(narrow, caplog):
    count = statuses(await at_once(narrow, [request(user) for user in users(100)])).count(503)
    assert count
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        await close(narrow)
        await close(narrow)
    assert caplog.messages == [f"OVERLOADED: refused {count} requests before they began"]

"""What HAProxy answers itself, with deploy/haproxy.cfg: what is more than it lets through, and failures."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import httpx2 as httpx
import pytest

from app.auth.tokens import sign
from app.errors import AppError, NotFound, Overloaded, RequestTimeout, Unavailable
from tests.balanced import NAMES, Balancer, Instance, balancer, kill
from tests.conftest import PATIENT, SECRET, MakeDatabase
from tests.live import listening, token
from tests.raw import connected, request
from tests.servers import START_SECONDS, UNLIMITED, Commands, wait_for

pytestmark = pytest.mark.faults

#: What one instance is given at once (`maxconn` in deploy/haproxy.cfg).
MOST = 20
PATHS = ("/tasks", "/%74asks", "/tasks/trash", "/nowhere", "/tasks/01a22b7d-68f1-7184-a224-ea9cb78caccb")
#: Time in which all that is let through has got there.
SETTLE_SECONDS = 0.5


@pytest.fixture
async def database(make_database: MakeDatabase) -> str:
    return await make_database()


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Balancer]:
    with balancer(tmp_path) as running:
        yield running


@pytest.fixture
def instance(front: Balancer, tmp_path: Path, database: str) -> Iterator[Instance]:
    """The only one of two that is there, with room for everything in itself."""
    (tmp_path / "checkout").mkdir()
    room = {"database_pool_size": 2 * MOST}
    settings = PATIENT | UNLIMITED | room | {"database_url": database, "better_auth_secret": SECRET}
    commands = Commands(tmp_path / "checkout", covered=False)
    up, down = NAMES
    with Instance(commands, up, front.ports[up], tmp_path, **settings) as running:
        assert wait_for(lambda: front.is_up(up) and front.is_down(down), START_SECONDS)
        yield running


@asynccontextmanager
async def held_up(database: str) -> AsyncIterator[None]:
    """Let no list be answered meanwhile."""
    connection = await asyncpg.connect(database)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


@pytest.fixture
async def client(front: Balancer, instance: Instance) -> AsyncIterator[httpx.AsyncClient]:
    unbounded = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=front.url, timeout=30, limits=unbounded) as asking:
        yield asking


def read(
    client: httpx.AsyncClient, user: str, path: str = "/tasks", **headers: str
) -> asyncio.Task[httpx.Response]:
    return asyncio.ensure_future(
        client.get(path, headers={"Authorization": f"Bearer {token(user)}"} | headers)
    )


def spelled(credential: str) -> list[str]:
    """Write a credential in ways that are all the same to the service."""
    spaces = [" " + space * number for number in range(1, 11) for space in (" ", "\t")]
    return [scheme + between + credential for scheme in ("Bearer", "bearer", "BEARER") for between in spaces]


def statuses(answers: list[httpx.Response]) -> Counter[int]:
    return Counter(answer.status_code for answer in answers)


async def test_an_instance_is_given_no_more_than_it_can_do_and_the_rest_is_refused(front, client, database):
    async with held_up(database):
        taken_on = [read(client, f"user-{number}") for number in range(MOST)]
        await asyncio.sleep(SETTLE_SECONDS)
        late = [(f"late-{number}", path) for number in range(MOST) for path in PATHS]
        refused = await asyncio.gather(*(read(client, user, path) for user, path in late))
        assert not any(task.done() for task in taken_on)
        assert int(front.statistics()["tasks1"]["scur"]) == MOST
    assert statuses(refused) == {503: len(late)}
    assert front.refused() == len(late)
    assert front.most_queued() == 0
    assert statuses(await asyncio.gather(*taken_on)) == {200: MOST}
    assert (await read(client, "late-0")).status_code == 200


async def test_the_refusal_is_the_one_of_the_service(client, database):
    async with held_up(database):
        waiting = [read(client, f"user-{number}") for number in range(MOST)]
        await asyncio.sleep(SETTLE_SECONDS)
        answers = await asyncio.gather(
            *(read(client, "late", Origin="https://app.example") for _ in range(30))
        )
        nothing = await client.head("/tasks", headers={"Authorization": f"Bearer {token('late')}"})
    await asyncio.gather(*waiting)
    own = Overloaded()
    for answer in answers:
        assert_like_any_error(answer, Overloaded)
        assert answer.status_code == own.status
        assert answer.headers["access-control-expose-headers"] == "Retry-After"
        assert answer.json() == {"error": own.code, "message": own.message, "details": own.details}
    assert {answer.headers["retry-after"] for answer in answers} == {"1", "2", "3"}
    assert (nothing.status_code, nothing.content) == (own.status, b"")


async def test_nobody_takes_more_than_he_leaves(front, client, database):
    async with held_up(database):
        greedy = [read(client, "greedy", Authorization=one) for one in spelled(token("greedy"))]
        await asyncio.sleep(SETTLE_SECONDS)
        his = int(front.statistics()["tasks1"]["scur"])
        assert MOST // 2 <= his <= MOST // 2 + 2  # two threads may look at the same time
        others = [read(client, f"user-{number}") for number in range(MOST - his)]
        await asyncio.sleep(SETTLE_SECONDS)
        assert not any(task.done() for task in others)
    assert statuses(await asyncio.gather(*greedy)) == {200: his, 503: len(greedy) - his}
    assert statuses(await asyncio.gather(*others)) == {200: len(others)}


async def test_who_has_no_token_takes_no_more_than_he_leaves_either(front, client, database):
    async with held_up(database):
        waiting = [read(client, f"user-{number}") for number in range(MOST)]
        await asyncio.sleep(SETTLE_SECONDS)
        assert (await client.get("/tasks")).status_code == 503
        assert front.most_queued() == 0
    await asyncio.gather(*waiting)
    assert (await client.get("/tasks")).status_code == 401


async def test_who_has_no_token_is_counted_by_his_address(front, client):
    elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
    async with httpx.AsyncClient(base_url=front.url, transport=elsewhere) as other:
        for stranger in (client, client, other):
            assert (await stranger.get("/tasks")).status_code == 401
    assert front.told("show table callers").count("key=") == 2


#: Of each the buffer has no room for what comes of it, and then some more is owed.
LARGE = [
    ({"Content_Length": 100_000}, b"x" * 40_000),
    ({"Transfer_Encoding": "chunked"}, b"9000\r\n" + b"x" * 0x9000 + b"\r\n"),
    ({"Content_Length": 13_000, "X_Filler": "x" * 20_000}, b"x" * 12_900),
    ({"Content_Length": 2**32 + 100}, b"x" * 40_000),
]
#: The first bytes of HTTP/2, and a POST with a part of its body (RFC 9113 sections 3.4, 4.1 and 6).
HTTP_2 = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
    b"\x00\x00\x11\x01\x04\x00\x00\x00\x01\x83\x86\x44\x06/tasks\x41\x05a.tes"
    + (b"\x00\x40\x00\x00\x00\x00\x00\x00\x01" + b"x" * 16_384)
    * 3
)


@pytest.mark.parametrize(("headers", "part"), LARGE, ids=["large", "chunked", "large head", "huge"])
async def test_bodies_that_come_slowly_take_no_place(front, client, headers, part):
    """Nor do they where a refusal was sent already: the instance reads on, for as long as it may take."""
    sent = request("/tasks", method="POST", Authorization="Bearer nobody's", **headers)
    await assert_no_place_is_taken(front, client, [sent, part])


async def test_nor_do_those_with_a_long_path(front, client):
    """Which is as much of the head as a header is."""
    path = "/tasks?q=" + "x" * 10_000
    sent = request(path, method="POST", Content_Length=14_000, X_Filler="x" * 16_000)
    await assert_no_place_is_taken(front, client, [sent, b"x" * 10_000])


async def test_nor_do_those_of_http_2(front, client):
    await assert_no_place_is_taken(front, client, [HTTP_2])


async def assert_no_place_is_taken(front: Balancer, client: httpx.AsyncClient, sent: Sequence[bytes]) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(2 * MOST):
            slow = await stack.enter_async_context(connected(front.port))
            slow.send(*sent)
        await asyncio.sleep(SETTLE_SECONDS)
        assert int(front.statistics()["tasks1"]["scur"]) == 0
        assert (await read(client, "alice")).status_code == 200


async def test_who_reads_slowly_takes_no_place(front, client):
    """On a network with packets of a usual size: the loopback's are so large that they hide it."""
    headers = {"Authorization": f"Bearer {token('reader')}"}
    for _ in range(3):
        tasks = [{"op": "create", "text": "x" * 500} for _ in range(100)]
        await client.post("/tasks/batch", json={"operations": tasks}, headers=headers)
    with ExitStack() as stack:
        for number in range(2 * MOST):
            reader = stack.enter_context(socket.socket())
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
            reader.connect(("127.0.0.1", front.port))
            of_his = sign("reader", SECRET, seconds=3600 + number)
            reader.sendall(request("/tasks", Authorization=f"Bearer {of_his}"))
        assert await asyncio.to_thread(
            wait_for, lambda: int(front.statistics()["tasks1"]["scur"]) == 0, START_SECONDS / 10
        )
        assert (await read(client, "alice")).status_code == 200


async def test_who_leaves_gives_his_place_back(front, client, database):
    async with held_up(database):
        for number in range(MOST // 2):
            async with connected(front.port) as leaving:
                leaving.send(request("/tasks", user=f"user-{number}"))
                await asyncio.sleep(SETTLE_SECONDS / 10)
                leaving.writer.close()
        assert await asyncio.to_thread(
            wait_for, lambda: int(front.statistics()["tasks1"]["scur"]) == 0, SETTLE_SECONDS
        )


async def test_who_closes_his_end_and_reads_on_is_told_like_any_error(front, client):
    async with connected(front.port) as closing:
        closing.send(request("/tasks", user="alice"))
        closing.writer.write_eof()
        answer = await closing.answer()
    assert (answer.status, answer.json["error"]) == (400, "BAD_REQUEST")
    assert "may have been made" in answer.json["message"]


async def test_what_takes_no_time_is_let_through(front, client, database):
    preflight = {"Origin": "http://localhost:3000", "Access-Control-Request-Method": "GET"}
    listener = {"Authorization": f"Bearer {token('listener')}"}
    async with held_up(database):
        waiting = [read(client, f"user-{number}") for number in range(MOST)]
        await asyncio.sleep(SETTLE_SECONDS)
        for path in ("/", "/docs", "/openapi.json", "/health", "/health/live", "/health/ready"):
            assert (await client.get(path)).status_code == 200, path
        assert (await client.options("/tasks", headers=preflight)).status_code == 200
        for path in ("/tasks/events", "/tasks/%65vents"):
            async with client.stream("GET", path, headers=listener) as stream:
                assert stream.status_code == 200
                assert int(front.statistics()["tasks1"]["scur"]) == MOST
    await asyncio.gather(*waiting)


async def test_the_log_has_no_queries(front, client):
    assert (await read(client, "alice", "/tasks?q=canary")).status_code == 200
    log = front.control.with_name("haproxy.log")
    assert await asyncio.to_thread(wait_for, lambda: "GET /tasks" in log.read_text(), START_SECONDS)
    assert "canary" not in log.read_text()


async def test_metrics_are_not_for_everybody(front, client):
    for path in ("/metrics", "/%6detrics"):
        answer = await client.get(path)
        assert_like_any_error(answer, NotFound)
        assert answer.status_code == 404
    assert front.refused() == 0


# What went wrong


async def test_what_no_instance_answers_is_told_like_any_error(front, instance, client, database):
    own = {"Authorization": f"Bearer {token('alice')}"}
    task = (await client.post("/tasks", json={"text": "x"}, headers=own)).json()
    async with held_up(database), httpx.AsyncClient(base_url=front.url, timeout=30) as new:
        change = asyncio.ensure_future(new.patch(f"/tasks/{task['id']}", json={"order": 1}, headers=own))
        await asyncio.sleep(SETTLE_SECONDS)
        kill(instance.service)
        lost = await change
    assert await asyncio.to_thread(wait_for, lambda: front.is_down("tasks1"), START_SECONDS)
    refused = [await client.get(path, headers=own) for path in ("/tasks", "/health")]
    for answer in (lost, *refused):
        assert_like_any_error(answer, Unavailable)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "may have been made" in lost.json()["message"]
    assert front.refused() == 2


async def test_an_instance_that_does_not_answer_is_not_waited_for_for_ever(
    front, instance, database, tmp_path
):
    soon = {"timeout server 10s": "timeout server 1s"}
    with balancer(tmp_path / "impatient", front.ports, soon) as impatient:
        assert await asyncio.to_thread(wait_for, lambda: impatient.is_down("tasks2"), START_SECONDS)
        async with held_up(database), httpx.AsyncClient(base_url=impatient.url, timeout=30) as client:
            answer = await read(client, "alice")
    assert_like_any_error(answer, Unavailable)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "No answer came in time" in answer.json()["message"]


async def test_a_stream_of_events_may_be_silent_for_longer(front, instance, tmp_path):
    soon = {"timeout server 10s": "timeout server 1s"}
    with balancer(tmp_path / "impatient", front.ports, soon) as impatient:
        assert await asyncio.to_thread(wait_for, lambda: impatient.is_down("tasks2"), START_SECONDS)
        async with listening(impatient.url, token("alice")) as stream:
            before = await stream.next()
            await asyncio.sleep(2)
            async with httpx.AsyncClient(base_url=impatient.url) as client:
                own = {"Authorization": f"Bearer {token('alice')}"}
                await client.post("/tasks", json={"text": "x"}, headers=own)
            assert await stream.next() != before


async def test_a_body_that_does_not_come_is_told_like_any_error(tmp_path):
    soon = {"timeout http-request 10s": "timeout http-request 1s"}
    with balancer(tmp_path, changes=soon) as impatient:
        async with connected(impatient.port) as client:
            client.send(request("/tasks", method="POST", Content_Length=100), b"half of it")
            answer = await client.answer()
    told = RequestTimeout
    assert answer.status == told.status
    assert answer.json == {"error": told.code, "message": told.message, "details": []}
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_the_service_judges_heads_of_any_size_that_it_may_accept(front, instance):
    large = request("/tasks", user="alice", X_Filler="x" * 15_500)
    many = request("/tasks", user="alice", **{f"X-{number}": "x" for number in range(105)})
    for sent, status in ((large, 200), (many, 431)):
        async with connected(front.port) as client:
            client.send(sent)
            answer = await client.answer()
            assert (answer.status, "x-request-id" in answer.headers) == (status, True)


def assert_like_any_error(answer: httpx.Response, kind: type[AppError]) -> None:
    said = answer.json()
    assert (said.keys(), said["error"]) == ({"error", "message", "details"}, kind.code)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == "*"

"""What a client may send before there is a request, and how slowly; on real sockets."""

import asyncio
import logging
import socket
import time
import uuid
from collections.abc import AsyncIterator, Callable

import pytest
from fastapi import FastAPI

from app.config import Settings
from app.exposition import exposition
from app.main import close, create_app
from tests.raw import PATIENCE_SECONDS, Answer, Client, connected, listening, request
from tests.test_metrics import samples, value

MOST = 2048
SECONDS = 0.2  # of patience
JSON = {"Content_Type": "application/json"}

Log = Callable[[], list[str]]


@pytest.fixture
async def impatient(settings: Settings) -> AsyncIterator[FastAPI]:
    limits = dict.fromkeys(("request_head_timeout", "request_body_timeout", "send_timeout"), SECONDS)
    app = create_app(settings.model_copy(update=limits | {"max_header_bytes": MOST}))
    yield app
    await close(app)


@pytest.fixture
async def port(impatient: FastAPI) -> AsyncIterator[int]:
    async with listening(impatient) as port:
        yield port


@pytest.fixture
async def client(port: int) -> AsyncIterator[Client]:
    async with connected(port) as client:
        yield client


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """What the service and its server wrote so far, short."""
    caplog.set_level(logging.INFO, "app")
    caplog.set_level(logging.INFO, "uvicorn")

    def lines() -> list[str]:
        return [
            f"{record.method} {record.route} {record.status}: {record.reason}"  # type: ignore[attr-defined]
            if record.name == "app.requests"
            else record.getMessage()
            for record in caplog.records
            if record.name in {"app", "app.requests", "uvicorn.error"}
        ]

    return lines


@pytest.fixture
def user() -> str:
    return f"alice-{uuid.uuid4()}"


def assert_refused(answer: Answer, status: int, code: str) -> None:
    """In the one shape, with the headers that every answer has, and the last on its connection."""
    assert (answer.status, answer.json["error"]) == (status, code)
    assert list(answer.json) == ["error", "message", "details"]
    assert answer.json["message"].endswith(".")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert len(answer.headers["x-request-id"]) == 32


def sized(total: int) -> bytes:
    """A request whose path and headers have exactly so many bytes, as they are counted."""
    path = "/health/live"
    return request(path, X_Fill="x" * (total - len(path) - len("Hostapi.testX-Fill")))


MALFORMED = {
    "no HTTP": b"hello\r\n\r\n",
    "an unknown method": b"FANCY / HTTP/1.1\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "a line without a name": b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nA: \0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a path that is not ASCII": "GET /ü HTTP/1.1\r\n\r\n".encode(),
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED)
async def test_what_is_not_http_is_a_bad_request(client, sent):
    client.send(sent)
    assert_refused(await client.answer(), 400, "BAD_REQUEST")
    assert await client.rest() == b""


async def test_what_is_not_http_is_one_line_in_the_log_and_is_counted(impatient, client, log):
    client.send(b"GET / HTTP/1.1\r\nX-Request-ID: mine\r\nHost: x\r\ncanary\r\n\r\n")
    answer = await client.answer()
    assert answer.headers["x-request-id"] == "mine"
    assert log() == ["GET - 400: malformed: Invalid header token"]
    found = samples(exposition(impatient.state.observer).decode())
    assert value(found, "tasks_http_requests_refused_total", code="BAD_REQUEST") == 1
    assert value(found, "tasks_http_requests_in_flight") == 0


async def test_a_page_of_a_listed_origin_may_read_a_refusal(client):
    client.send(b"GET / HTTP/1.1\r\nOrigin: http://localhost:3000\r\nHost: x\r\n: x\r\n\r\n")
    assert (await client.answer()).headers["access-control-allow-origin"] == "http://localhost:3000"


async def test_a_refused_head_request_is_answered_without_a_body(client):
    client.send(request("/", method="HEAD", X_Fill="x" * MOST))
    answer = await client.answer(head_only=True)
    assert (answer.status, int(answer.headers["content-length"]) > 50) == (431, True)
    assert await client.rest() == b""


# How much


@pytest.mark.parametrize("part", [1, 700, MOST, 10 * MOST])
async def test_headers_may_have_so_many_bytes_and_no_more(settings, part):
    """In parts as small as can be, which may take its time."""
    app = create_app(settings.model_copy(update={"max_header_bytes": MOST, "request_head_timeout": 60}))
    for size, status in [(MOST, 200), (MOST + 1, 431)]:
        async with listening(app) as port, connected(port) as client:
            sent = sized(size)
            for start in range(0, len(sent), part):
                client.send(sent[start : start + part])
                await asyncio.sleep(0)
            answer = await client.answer()
            assert answer.status == status
    assert_refused(answer, 431, "HEADERS_TOO_LARGE")


async def test_so_many_lines_of_headers_are_accepted_and_no_more(port):
    for lines, status in [(100, 200), (101, 431)]:
        async with connected(port) as client:
            client.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n", b"A:\r\n" * (lines - 1), b"\r\n")
            assert (await client.answer()).status == status


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_path_may_have_half_of_that(port, method):
    for size, status in [(MOST // 2, 404), (MOST // 2 + 1, 414)]:
        async with connected(port) as client:
            client.send(request("/" + "x" * (size - 1), method=method))
            answer = await client.answer()
            assert answer.status == status
    assert_refused(answer, 414, "URI_TOO_LONG")


@pytest.mark.parametrize(
    ("head", "status"),
    [(b"GET / HTTP/1.1\r\nA: ", 431), (b"GET / HTTP/1.1\r\n", 431), (b"GET /", 414)],
    ids=["a value", "names", "a path"],
)
async def test_a_head_without_end_is_refused_before_it_is_kept(client, head, status, log):
    """The client sends far more than any buffer on the way holds, and reads the answer afterwards."""
    client.send(head)
    for _ in range(200):
        client.send(b"x" * 65_536)
        await client.writer.drain()
    assert (await client.answer()).status == status
    assert len(log()) == 1


async def test_trailers_are_no_headers_and_not_without_end(client, user, log):
    head = request("/tasks", method="POST", user=user, Transfer_Encoding="chunked", **JSON)
    body = b'{"text": "x"}'
    chunk = b"%x\r\n%s\r\n" % (len(body), body)
    client.send(head, chunk, b"0\r\nX-Request-ID: from-a-trailer\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, len(answer.headers["x-request-id"])) == (201, 32)
    client.send(head, chunk, b"0\r\nX-Fill: ", b"x" * 100_000)
    assert_refused(await client.answer(), 431, "HEADERS_TOO_LARGE")
    assert await client.rest() == b""
    assert len(log()) == 2


async def test_a_body_in_the_smallest_chunks_is_read(client, user):
    """Five bytes around each byte of data."""
    body = b'{"text": "x"}' + b" " * 100
    head = request("/tasks", method="POST", user=user, Transfer_Encoding="chunked", **JSON)
    client.send(head, *(b"1\r\n%c\r\n" % byte for byte in body), b"0\r\n\r\n")
    assert (await client.answer()).status == 201


async def test_a_malformed_body_is_a_bad_request_with_one_line_in_the_log(port, user, log):
    for credential, status in [({"user": user}, 400), ({}, 401)]:
        async with connected(port) as client:
            client.send(request("/tasks", method="POST", Transfer_Encoding="chunked", **JSON, **credential))
            await asyncio.sleep(0.05)
            client.send(b"zz\r\n")
            answer = await client.answer()
            assert answer.status == status
            assert await client.rest() == b""
    assert [line.partition(": ")[0] for line in log()] == ["POST /tasks 400", "POST /tasks 401"]


# How slowly


async def test_who_sends_nothing_is_closed_without_a_word(impatient, client, log):
    assert await client.rest() == b""
    assert log() == []
    found = samples(exposition(impatient.state.observer).decode())
    assert value(found, "tasks_connections_cut_total", why="silent") == 1


async def test_half_a_head_is_given_up(client, log):
    client.send(b"GET /tasks?q=canary HTTP/1.1\r\nHost: ")
    assert_refused(await client.answer(), 408, "REQUEST_TIMEOUT")
    assert await client.rest() == b""
    assert log() == ["GET - 408: the head did not come in time"]


@pytest.mark.parametrize("before", [b"", request()], ids=["the first", "the next"])
async def test_a_head_that_comes_in_drops_is_given_up(client, before):
    client.send(before)
    if before:
        assert (await client.answer()).status == 200
    drops = asyncio.create_task(client.dribble([b"GET / HTTP/1.1\r\n", *[b"A: b\r\n"] * 400], 0.05))
    assert_refused(await client.answer(), 408, "REQUEST_TIMEOUT")
    assert await client.rest() == b""
    drops.cancel()


async def test_empty_lines_do_not_keep_a_connection(impatient):
    async with listening(impatient, keep_alive=SECONDS) as port, connected(port) as client:
        client.send(request())
        await client.answer()
        drops = asyncio.create_task(client.dribble([b"\r\n"] * 400, 0.05))
        assert await client.rest() == b""
        drops.cancel()


async def test_a_busy_process_gives_nobody_up_for_that(client):
    """Where the rest of the head has come long ago, and waits for the process."""
    client.send(b"GET /health/live HTTP/1.1\r\n")
    await asyncio.sleep(SECONDS / 2)
    client.send(b"Host: api.test\r\n\r\n")
    time.sleep(3 * SECONDS)  # noqa: ASYNC251 - the event loop is to wait
    assert (await client.answer()).status == 200


@pytest.mark.parametrize("framing", [{"Content_Length": 100}, {"Transfer_Encoding": "chunked"}], ids=str)
@pytest.mark.parametrize("drops", [[], [b"1\r\n \r\n"] * 100], ids=["nothing", "drops"])
async def test_a_body_that_does_not_come_is_given_up(client, user, framing, drops, log):
    client.send(request("/tasks", method="POST", user=user, **JSON, **framing))
    dribbling = asyncio.create_task(client.dribble(drops, 0.1))
    assert_refused(await client.answer(), 408, "REQUEST_TIMEOUT")
    assert await client.rest() == b""
    assert log() == ["POST /tasks 408: the body did not come in time"]
    dribbling.cancel()


async def test_a_large_body_may_take_longer(client, user):
    body = b'{"text": "x"}' + b" " * (60_000 - 13)
    client.send(request("/tasks", method="POST", user=user, Content_Length=len(body), **JSON))
    parts = [body[start : start + 15_000] for start in range(0, len(body), 15_000)]
    await client.dribble(parts, SECONDS * 0.75)
    assert (await client.answer()).status == 201


async def test_the_time_of_a_body_is_none_of_what_the_request_has(settings, user):
    """REQUEST_TIMEOUT is for the database: a client on a slow line would never get through."""
    app = create_app(settings.model_copy(update={"request_timeout": SECONDS, "database_timeout": SECONDS}))
    body = b'{"text": "x"}'
    async with listening(app) as port, connected(port) as client:
        client.send(request("/health"))  # a connection to the database is there
        assert (await client.answer()).status == 200
        client.send(request("/tasks", method="POST", user=user, Content_Length=len(body), **JSON))
        await asyncio.sleep(2 * SECONDS)
        client.send(body)
        assert (await client.answer()).status == 201
    await close(app)


async def test_a_body_that_nobody_wanted_may_not_go_on_for_ever(impatient):
    async with listening(impatient, keep_alive=SECONDS) as port, connected(port) as client:
        client.send(request("/tasks", method="POST", Content_Length=60_000, **JSON))
        assert (await client.answer()).status == 401
        drops = asyncio.create_task(client.dribble([b"x"] * 400, 0.05))
        assert await client.rest() == b""
        drops.cancel()


async def test_who_reads_nothing_is_cut_off(impatient, port):
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.settimeout(10)
        reader.connect(("127.0.0.1", port))
        await asyncio.to_thread(reader.sendall, request("/docs/swagger-ui-bundle.js") * 5)
        found = 0.0
        async with asyncio.timeout(20):
            while not found:
                found = cut_unread(impatient)
                await asyncio.sleep(0.05)
    assert found == 1


def cut_unread(app: FastAPI) -> float:
    found = samples(exposition(app.state.observer).decode())
    return value(found, "tasks_connections_cut_total", why="unread")


async def test_who_reads_slowly_is_not(impatient, port):
    """A hundredth of the answers in a quarter of the time that no progress is borne."""
    async with connected(port) as client:
        client.send(request("/docs/swagger-ui-bundle.js"))
        whole = len((await client.answer()).body)
    async with connected(port) as client:
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.send(request("/docs/swagger-ui-bundle.js") * 5)
        read = 0
        while read < 5 * whole:
            part = await client.read(400_000)
            assert part
            read += len(part)
            await asyncio.sleep(SECONDS / 8)
    assert cut_unread(impatient) == 0


# What goes on working


async def test_a_connection_is_kept(client, user):
    for _ in range(3):
        client.send(request("/tasks", user=user))
        answer = await client.answer()
        assert (answer.status, answer.headers.get("connection")) == (200, None)


async def test_requests_in_one_go_are_answered_in_their_order(client, user):
    body = b'{"text": "x"}'
    post = request("/tasks", method="POST", user=user, Content_Length=len(body), **JSON) + body
    client.send(request() * 2, post * 20, request("/nowhere"), b"garbage\r\n\r\n", request())
    assert [(await client.answer()).status for _ in range(24)] == [200] * 2 + [201] * 20 + [404, 400]
    assert await client.rest() == b""


async def test_more_in_one_go_than_anybody_sends_are_refused(client, log):
    """A packet of the shortest requests would take a hundred times its size of memory."""
    client.send(request() * 1000)
    answers = [await client.answer() for _ in range(34)]
    assert [answer.status for answer in answers[:-1]] == [200] * 33
    assert_refused(answers[-1], 429, "RATE_LIMITED")
    assert await client.rest() == b""
    assert len(log()) == 34


async def test_a_head_that_begins_in_the_packet_of_another_is_waited_for(client, user):
    body = b'{"text": "x"}' + b" " * (MOST - 20)
    post = request("/tasks", method="POST", user=user, Content_Length=len(body), **JSON) + body
    large = sized(MOST)
    client.send(post, large[:10])
    assert (await client.answer()).status == 201
    for start in range(10, len(large), 100):
        client.send(large[start : start + 100])
        await asyncio.sleep(0)
    assert (await client.answer()).status == 200


async def test_who_asks_to_continue_is_told_to(client, user):
    client.send(request("/tasks", method="POST", user=user, Expect="100-continue", Content_Length=13, **JSON))
    assert (await client.answer()).status == 100
    client.send(b'{"text": "x"}')
    assert (await client.answer()).status == 201


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
async def test_an_upgrade_is_answered_as_if_nobody_had_asked_for_it(client, protocol, log):
    for _ in range(2):
        client.send(request(Connection="Upgrade", Upgrade=protocol, Sec_WebSocket_Key="x"))
        assert (await client.answer()).status == 200
    assert log() == ["GET /health/live 200: None"] * 2


async def test_a_stream_of_events_may_be_silent_for_as_long_as_it_likes(port, client, user):
    client.send(request("/tasks/events", user=user))
    while b"revision" not in await client.read(65_536):
        pass
    await asyncio.sleep(4 * SECONDS)
    async with connected(port) as writer:
        writer.send(request("/tasks", method="POST", user=user, Content_Length=13, **JSON), b'{"text": "x"}')
        assert (await writer.answer()).status == 201
    while b'{"revision":1}' not in await client.read(65_536):
        pass


async def test_a_head_that_began_before_the_last_answer_has_all_the_time_for_its_own(impatient, user):
    async with listening(impatient, keep_alive=SECONDS) as port, connected(port) as client:
        stream = request("/tasks/events", user=user)
        client.send(request(), stream[:10])
        assert (await client.answer()).status == 200
        client.send(stream[10:])
        await asyncio.sleep(3 * SECONDS)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SECONDS):
                await client.rest()


async def test_a_stream_of_events_ends_with_its_connection_also_if_more_was_asked_for(
    impatient, port, client, user
):
    """What waits behind it would not hide from it that its client has gone."""

    def streams() -> float:
        return value(samples(exposition(impatient.state.observer).decode()), "tasks_event_streams")

    client.send(request("/tasks/events", user=user), request())
    while b"revision" not in await client.read(65_536):
        pass
    assert streams() == 1
    client.writer.transport.abort()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while streams():  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.02)

"""How the parts of an answer are sent: packets are counted by the kernel, on real sockets."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
import uvloop

from app.config import Settings
from app.corked import Corked
from app.main import close, create_app
from tests.raw import Client, connected, listening, request

#: Where Linux's `struct tcp_info` has how many packets with data came in.
DATA_SEGMENTS_IN = 152


def packets(client: Client) -> int:
    """How many packets with data have come in on a connection."""
    end = client.writer.get_extra_info("socket")
    told = end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, DATA_SEGMENTS_IN + 4)
    count: int = struct.unpack_from("I", told, DATA_SEGMENTS_IN)[0]
    return count


@pytest.fixture
async def port(settings: Settings) -> AsyncIterator[int]:
    app = create_app(settings)
    async with listening(app) as port:
        yield port
    await close(app)


BODY = b'{"text": "x"}'
POST = request(
    "/tasks", method="POST", user="one packet", Content_Length=len(BODY), Content_Type="application/json"
)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request("/health/live"), 200),
        (request("/tasks", user="one packet"), 200),
        (POST + BODY, 201),
        (request("/tasks", method="HEAD", user="one packet"), 200),
        (request("/tasks"), 401),
        (request("/nowhere"), 404),
        (b"garbage\r\n\r\n", 400),
    ],
    ids=["live", "list", "create", "head", "without a token", "nowhere", "garbage"],
)
async def test_an_answer_is_one_packet(port, sent, status):
    async with connected(port) as client:
        client.send(sent)
        assert (await client.answer(head_only=sent.startswith(b"HEAD"))).status == status
        assert packets(client) == 1


async def test_answers_to_requests_in_one_go_keep_their_order(port):
    head, live = request("/health/live", method="HEAD"), request("/health/live")
    async with connected(port) as client:
        client.send(head, live, head, live)
        for head_only in (True, False, True, False):
            answer = await client.answer(head_only=head_only)
            assert (answer.status, answer.body == b"") == (200, head_only)


# On any kind of event loop

each_loop = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


@asynccontextmanager
async def ends() -> AsyncIterator[tuple[Corked, Client]]:
    """A connection: what is written to at one end, and a client at the other."""
    loop = asyncio.get_running_loop()
    made: asyncio.Future[asyncio.Transport] = loop.create_future()

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.set_result(cast("asyncio.Transport", transport))

    server = await loop.create_server(Server, "127.0.0.1", 0)
    async with connected(server.sockets[0].getsockname()[1]) as client:
        transport = await made
        yield Corked(transport, loop), client
        transport.abort()
    server.close()


@each_loop
def test_what_is_written_in_one_turn_is_sent_together(run):
    async def written() -> None:
        async with ends() as (corked, client):
            corked.write(b"head ")
            corked.write(b"body")
            assert await client.read(100) == b"head body"
            assert packets(client) == 1

    run(written())


@each_loop
def test_what_is_written_alone_is_sent_with_the_end_of_the_turn(run):
    async def written() -> None:
        async with ends() as (corked, client):
            for part in (b"head", b"body"):
                corked.write(part)
                assert await client.read(100) == part

    run(written())


@each_loop
def test_a_body_may_be_empty(run):
    async def written() -> None:
        async with ends() as (corked, client):
            for part in (b"head", b"", b"", b"next ", b"body"):
                corked.write(part)
            corked.close()
            assert await client.rest() == b"headnext body"

    run(written())


@each_loop
@pytest.mark.parametrize("end", ["close", "write_eof"])
def test_what_is_held_is_sent_before_the_end(run, end):
    async def written() -> None:
        async with ends() as (corked, client):
            corked.write(b"head")
            getattr(corked, end)()
            assert await client.rest() == b"head"

    run(written())


@each_loop
def test_what_is_held_is_lost_with_its_connection_without_a_word(run):
    async def written() -> list[dict[str, object]]:
        failed: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
        async with ends() as (corked, client):
            corked.abort()
            corked.write(b"an answer to nobody")  # it is sent after the connection is lost
            assert await client.rest() == b""
        return failed

    assert run(written()) == []

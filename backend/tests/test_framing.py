"""Requests follow each other on a connection, however they are cut, and none hides in another."""

import asyncio
from itertools import pairwise
from typing import Any

import httptools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.config import Config
from uvicorn.server import ServerState

from app.framing import Framing
from tests.hostile import chunked, head
from tests.hostile_framing import HOST, UPGRADE
from tests.memory_wire import Wire

BODY = b"GET /hidden HTTP/1.1\r\nHost: api.test\r\n\r\n"
LENGTH = f"Content-Length: {len(BODY)}"
CHUNKS = "Transfer-Encoding: chunked"

LATE = b"X-Late: 1\r\n"

#: Requests as they are sent, and as the application should see them.
REQUESTS = [
    (head("GET /a", HOST), "GET /a b''"),
    (head("GET /upgraded", HOST, *UPGRADE), "GET /upgraded b''"),
    (head("GET /websocket", HOST, "Connection: upgrade", "Upgrade: websocket"), "GET /websocket b''"),
    (head("POST /a", HOST, LENGTH) + BODY, f"POST /a {BODY!r}"),
    (head("POST /upgraded", HOST, *UPGRADE, LENGTH) + BODY, f"POST /upgraded {BODY!r}"),
    (head("POST /chunks", HOST, CHUNKS, *UPGRADE) + chunked(BODY[:9], BODY[9:]), f"POST /chunks {BODY!r}"),
    (
        head("POST /trailer", HOST, CHUNKS) + chunked(BODY, trailer=LATE),
        f"POST /trailer {BODY!r}",
    ),
    (b"\r\n" + head("GET /after-a-line", HOST), "GET /after-a-line b''"),
]


class Quiet(Wire):
    """Can be closed, and asked to wait, and does nothing of it."""

    def close(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Fed(Framing):
    """Nothing around it: who is refused is told so, and no more."""

    def data_received(self, data: bytes) -> None:
        try:
            self.feed(data)
        except httptools.HttpParserError:
            self.send_400_response("malformed")


async def seen(*pieces: bytes) -> tuple[list[str], bytes]:
    """What an application is asked when the pieces arrive one by one, and what goes back."""
    requests: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        late = [name for name, _ in scope["headers"] if name in {b"x-late", b"upgrade"}]
        requests.append(f"{scope['method']} {scope['path']} {body!r}{late or ''}")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    state, wire = ServerState(), Quiet()
    protocol = Fed(Config(app, log_config=None, access_log=False, lifespan="off"), state, {})
    protocol.connection_made(wire)
    for piece in pieces:
        protocol.data_received(piece)
        await asyncio.sleep(0)
    while state.tasks:
        await asyncio.wait(state.tasks)
    protocol.connection_lost(None)
    return requests, bytes(wire.sent)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=6), st.lists(st.integers(0, 600), max_size=8))
def test_however_the_stream_is_cut_the_requests_are_the_same(messages, cuts):
    stream = b"".join(sent for sent, _ in messages)
    places = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
    pieces = [stream[begin:end] for begin, end in pairwise(places)]
    requests, _ = asyncio.run(seen(*pieces))
    assert requests == [told for _, told in messages]


def test_a_stream_of_single_bytes_is_the_same_too():
    stream = b"".join(sent for sent, _ in REQUESTS)
    requests, _ = asyncio.run(seen(*(stream[place : place + 1] for place in range(len(stream)))))
    assert requests == [told for _, told in REQUESTS]


@pytest.mark.parametrize("fields", [(), (HOST, HOST), ("Host: a b",), ("Host: a", "Host: b")])
def test_without_one_host_the_application_is_not_asked(fields):
    requests, answer = asyncio.run(seen(head("GET /", *fields)))
    assert (requests, answer[:12]) == ([], b"HTTP/1.1 400")


def test_a_thousand_upgrades_in_one_piece_are_a_thousand_requests():
    requests, _ = asyncio.run(seen(head("GET /", HOST, *UPGRADE) * 1000))
    assert requests == ["GET / b''"] * 1000

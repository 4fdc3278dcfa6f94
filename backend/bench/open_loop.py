"""Load that does not wait: requests leave at a constant rate, whether the earlier ones were answered or not.

A generator that waits for answers slows down with the server, and so hides what callers see of an overload
("coordinated omission", Gil Tene). Here a request's time counts from when it was meant to leave.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import NamedTuple

import uvloop

_TICK_SECONDS = 0.001
_KEPT_CONNECTIONS, _MOST_CONNECTIONS = 500, 4000
_AT_ONCE = 50
_SETTLE_SECONDS = 0.3  # what was closed is closed, whatever was sent is through
#: A caller waits so long for an answer; one that comes later helps nobody.
PATIENCE_SECONDS = 2.0
GIVEN_UP = 0  #: in place of a status
OK, UNAVAILABLE = 200, 503


class Answer(NamedTuple):
    """What became of a request: when it was meant to leave, its status, and how long it took, in seconds."""

    at: float
    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Stream:
    """Requests in turn, at one rate after another: pairs of a rate per second and for how many seconds."""

    requests: Sequence[bytes]
    rates: Sequence[tuple[float, float]]

    def moments(self) -> Iterator[float]:
        """Tell when each request is to leave, from the start."""
        begins = 0.0
        for rate, seconds in self.rates:
            yield from (begins + number / rate for number in range(round(rate * seconds)))
            begins += seconds


class _Connection(asyncio.Protocol):
    """A kept connection with one request on the way at most. Of a body it only counts the bytes."""

    def __init__(self, done: Callable[["_Connection", int], None]) -> None:
        self._done = done
        self._head = b""
        self._left = 0
        self._status = GIVEN_UP
        self.began = 0.0
        self.busy: Answered | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if not self._left:
            head, end, body = (self._head + data).partition(b"\r\n\r\n")
            if not end:
                self._head = head
                return
            self._head, self._status = b"", int(head[9:12])
            length = head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
            self._left, data = int(length or 0), body
        self._left -= len(data)
        if self._left <= 0:
            self._left = 0
            self._done(self, self._status)

    def connection_lost(self, _error: Exception | None) -> None:
        self._done(self, GIVEN_UP)


Answered = Callable[[int, float], None]  #: is told a status, and when the answer was complete


class _Callers:
    """Kept connections to one server: as many as are needed at the same time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[_Connection] = []
        self._busy: dict[_Connection, None] = {}  # who began first is first
        self._opening = 0
        self._wanted: deque[tuple[bytes, float, Answered]] = deque()
        self._tasks = set[asyncio.Task[None]]()

    async def open(self, count: int) -> None:
        """Open so many connections before anything is asked."""
        while count > 0:
            self._opening += _AT_ONCE
            await asyncio.gather(*(self._open() for _ in range(_AT_ONCE)))
            count -= _AT_ONCE

    def send(self, request: bytes, began: float, answered: Answered) -> None:
        """Send a request as soon as a connection can be had."""
        self._wanted.append((request, began, answered))
        self._go_on()

    def give_up(self, before: float) -> None:
        """Close the connections whose requests left before; they are not answered any more."""
        while self._busy and (oldest := next(iter(self._busy))).began < before:
            oldest.transport.abort()
            self._done(oldest, GIVEN_UP)
        while self._wanted and self._wanted[0][1] < before:
            self._wanted.popleft()[2](GIVEN_UP, time.monotonic())

    def close(self) -> None:
        for connection in [*self._idle, *self._busy]:
            connection.transport.abort()

    def _go_on(self) -> None:
        while self._wanted and self._idle:
            connection = self._idle.pop()
            if connection.transport.is_closing():
                continue
            request, connection.began, connection.busy = self._wanted.popleft()
            connection.transport.write(request)
            self._busy[connection] = None
        if len(self._wanted) > self._opening and len(self._busy) + self._opening < _MOST_CONNECTIONS:
            self._opening += 1
            task = asyncio.get_running_loop().create_task(self._open())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(self._done), "127.0.0.1", self._port
            )
        except OSError:
            return
        finally:
            self._opening -= 1
        self._idle.append(connection)
        self._go_on()

    def _done(self, connection: _Connection, status: int) -> None:
        if connection.busy is None:
            return
        del self._busy[connection]
        answered, connection.busy = connection.busy, None
        answered(status, time.monotonic())
        if status != GIVEN_UP:
            self._idle.append(connection)
            self._go_on()


def load(port: int, *streams: Stream) -> list[list[Answer]]:
    """Send streams at the same time; return what became of the requests of each, in no order."""
    return uvloop.run(_load(port, streams))


async def _load(port: int, streams: Sequence[Stream]) -> list[list[Answer]]:
    callers = _Callers(port)
    await callers.open(_KEPT_CONNECTIONS)
    await asyncio.sleep(_SETTLE_SECONDS)
    ended = asyncio.Event()
    tidying = asyncio.create_task(_tidy(callers, ended))
    found = await asyncio.gather(*(_send(callers, stream) for stream in streams))
    ended.set()
    await tidying
    callers.close()
    await asyncio.sleep(_SETTLE_SECONDS)
    return found


async def _tidy(callers: _Callers, ended: asyncio.Event) -> None:
    while not ended.is_set():
        callers.give_up(time.monotonic() - PATIENCE_SECONDS)
        await asyncio.sleep(0.02)


async def _send(callers: _Callers, stream: Stream) -> list[Answer]:
    answers: list[Answer] = []
    sent, start, requests = 0, time.monotonic() + 0.1, cycle(stream.requests)
    for moment in stream.moments():
        early = start + moment - time.monotonic()
        if early > 0:  # a timer is a millisecond wide; what is due meanwhile leaves together
            await asyncio.sleep(max(early, _TICK_SECONDS))

        def answered(status: int, now: float, moment: float = moment) -> None:
            answers.append(Answer(moment, status, now - start - moment))

        callers.send(next(requests), start + moment, answered)
        sent += 1
    while len(answers) < sent:  # noqa: ASYNC110 - what is on its way is answered, or given up
        await asyncio.sleep(0.01)
    return answers


def closed(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> float:
    """Return how many requests a second are answered 200 when so many callers each wait for their answer."""
    return uvloop.run(_closed(port, requests, connections, seconds))


async def _closed(port: int, requests: Sequence[bytes], connections: int, seconds: float) -> float:
    callers, following = _Callers(port), cycle(requests)
    start = time.monotonic()
    warm, end, served = start + seconds / 4, start + seconds, 0

    def answered(status: int, now: float) -> None:
        nonlocal served
        served += status == OK and warm <= now < end
        if now < end:
            callers.send(next(following), now, answered)

    for _ in range(connections):
        callers.send(next(following), start, answered)
    await asyncio.sleep(seconds)
    callers.close()
    await asyncio.sleep(_SETTLE_SECONDS)
    return served / (end - warm)

"""Clients that are slow on purpose, and heads without end, against `serve` as it comes."""

import asyncio
import itertools
import resource
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.processes import workers
from tests.conftest import SECRET
from tests.raw import connected, request
from tests.servers import Commands, Service

pytestmark = pytest.mark.faults

SOCKETS = 1000
CLOSED_SECONDS = 10
MEGABYTES = 20  # that a worker may grow by
LARGE = 50_000_000
JSON = {"Content_Type": "application/json"}


@pytest.fixture(scope="module", autouse=True)
def _many_files() -> Iterator[None]:
    """For the servers too, which inherit it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], min(8192, before[1])), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module", params=[1, 2], ids=["1 worker", "2 workers"])
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, database_url: str
) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("slow")
    settings = {"database_url": database_url, "better_auth_secret": SECRET, "log_format": "json"}
    with Commands(folder, covered=False).start(
        "tasks-api", "serve", data_dir=folder / "data", workers=request.param, **settings
    ) as service:
        yield service.started(workers=request.param)


class Memory:
    """How much the workers grew, at most; Linux remembers the peak since it was told to forget it."""

    def __init__(self, service: Service) -> None:
        self._pids = workers(service.process.pid)
        for pid in self._pids:
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        self._before = self._peaks()

    def _peaks(self) -> list[int]:
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in self._pids]
        return [int(text.partition("VmHWM:")[2].split()[0]) for text in texts]

    @property
    def megabytes(self) -> float:
        grown = [after - before for after, before in zip(self._peaks(), self._before, strict=True)]
        return max(grown) / 1024


@asynccontextmanager
async def healthy(port: int) -> AsyncIterator[Counter[int]]:
    """Somebody who works all the while; what was answered, by status."""
    statuses: Counter[int] = Counter()

    async def work() -> None:
        async with connected(port) as client:
            while True:
                client.send(request("/tasks", user="healthy"))
                statuses[(await client.answer()).status] += 1
                await asyncio.sleep(0.02)

    working = asyncio.create_task(work())
    yield statuses
    assert not working.done(), "the connection of somebody who works was closed"
    working.cancel()


async def kept_waiting(port: int, head: bytes, drops: Iterator[bytes]) -> tuple[float, bytes]:
    """Send a drop a second until the server closes; return for how long, and what it said."""
    async with connected(port) as client:
        opened = time.monotonic()
        client.send(head)
        dribbling = asyncio.create_task(client.dribble(drops, 1))
        said = await client.rest()
        dribbling.cancel()
        return time.monotonic() - opened, said


#: What is sent at once, what in drops, and how the answer begins.
SLOW = {
    "silent": (b"", [], b""),
    "half a head": (b"GET /tasks HTTP/1.1\r\nHost:", [], b"HTTP/1.1 408 "),
    "a head in drops": (b"GET /tasks HTTP/1.1\r\n", itertools.repeat(b"A: b\r\n"), b"HTTP/1.1 408 "),
    "a body in drops": (
        request("/tasks", method="POST", user="slow", Content_Length=1000, **JSON),
        itertools.repeat(b" "),
        b"HTTP/1.1 408 ",
    ),
    "a body of a stranger in drops": (
        request("/tasks", method="POST", Content_Length=1000, **JSON),
        itertools.repeat(b" "),
        b"HTTP/1.1 401 ",
    ),
}


async def test_a_thousand_slow_clients_are_closed_in_time_and_disturb_nobody(service):
    memory = Memory(service)
    async with healthy(service.port) as statuses:
        found = await asyncio.gather(
            *(
                kept_waiting(service.port, head, iter(drops))
                for head, drops, _ in itertools.islice(itertools.cycle(SLOW.values()), SOCKETS)
            )
        )
    for (_seconds, said), (head, _, wanted) in zip(found, itertools.cycle(SLOW.values()), strict=False):
        begun = head.startswith(b"POST")
        # A thousand that begin in one turn of the event loop are more than there is room for.
        assert said.startswith((wanted, b"HTTP/1.1 503 ") if begun else wanted), said
        assert bool(said) is bool(wanted)
    assert max(seconds for seconds, _ in found) < CLOSED_SECONDS
    assert set(statuses) == {200}
    assert statuses.total() > 20
    assert memory.megabytes < MEGABYTES
    refused = service.output.count('"status":408')
    assert refused == sum(said.startswith(b"HTTP/1.1 408 ") for _seconds, said in found)
    assert "Traceback" not in service.output


ENDLESS = {
    "a value": (b"GET / HTTP/1.1\r\nHost: x\r\nA: ", 431),
    "names": (b"GET / HTTP/1.1\r\nHost: x\r\n", 431),
    "a path": (b"GET /", 414),
    "a trailer": (
        request("/tasks", method="POST", user="slow", Transfer_Encoding="chunked", **JSON) + b"0\r\nA: ",
        431,
    ),
}


@pytest.mark.parametrize("kind", ENDLESS)
async def test_fifty_megabytes_of_head_are_refused_and_not_kept(service, kind):
    """Who sends them all before looking for an answer still finds it."""
    head, status = ENDLESS[kind]
    memory = Memory(service)
    line = b"A" * 99 + b": " + b"b" * 97 + b"\r\n" if kind == "names" else b"x" * 200
    async with healthy(service.port) as statuses, connected(service.port) as client:
        client.send(head)
        for _ in range(LARGE // 200_000):
            client.send(line * 1000)
            await client.writer.drain()
        answer = await client.answer()
        assert await client.rest() == b""
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert set(statuses) <= {200}
    assert memory.megabytes < MEGABYTES


async def test_clients_that_never_read_are_cut_off(service):
    """A hundred, who ask for more than all buffers on the way hold."""
    memory = Memory(service)
    readers = [await asyncio.to_thread(unread, service.port) for _ in range(100)]
    async with healthy(service.port) as statuses, asyncio.timeout(3 * CLOSED_SECONDS):
        while readers:
            await asyncio.sleep(0.5)
            readers = [reader for reader in readers if not is_cut_off(reader)]
    assert set(statuses) == {200}
    assert memory.megabytes < MEGABYTES


def unread(port: int) -> socket.socket:
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.connect(("127.0.0.1", port))
    reader.sendall(request("/docs/swagger-ui-bundle.js") * 20)
    reader.settimeout(0)
    return reader


def is_cut_off(reader: socket.socket) -> bool:
    """Whether the server has reset a connection; nothing is read, so only writing tells."""
    try:
        reader.send(b"\r\n")
    except BlockingIOError:
        return False
    except OSError:
        reader.close()
        return True
    return False

"""The most that wrk asks for here: of a server that reads nothing and always says the same."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import uvloop

from bench.load import load
from bench.work import WORKS

_SECONDS = 0.5
_ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{"status":"ok"}'


class _Same(asyncio.Protocol):
    """Answers whatever comes; a request of ours is always one piece."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, _data: bytes) -> None:
        self._transport.write(_ANSWER)


@contextmanager
def trivial_server() -> Iterator[str]:
    """Run the server as a process of its own; give its URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        process = subprocess.Popen(  # noqa: S603 - no shell
            [sys.executable, "-m", __name__, str(listener.fileno())], pass_fds=[listener.fileno()]
        )
        host, port = listener.getsockname()
        try:
            yield f"http://{host}:{port}"
        finally:
            process.kill()
            process.wait()


def ceiling(connections: int, rounds: int) -> list[float]:
    """Measure how many requests wrk makes in a second, with the requests that it sends elsewhere."""
    requests = WORKS["list_20"].requests("", [])
    with trivial_server() as url:
        return [
            load(url, requests, connections=connections, seconds=_SECONDS).per_second for _ in range(rounds)
        ]


async def _serve(listener: socket.socket) -> None:
    server = await asyncio.get_running_loop().create_server(_Same, sock=listener)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(socket.socket(fileno=int(sys.argv[1]))))

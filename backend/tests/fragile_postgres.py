"""A PostgreSQL of a test's own, as safe as in production, that is killed, frozen and cut off.

Nothing that a commit promises is relaxed. Only its log between checkpoints is short, so that it is soon back.
"""

import asyncio
import os
import random
import signal
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from app.embedded import url
from app.embedded.cluster import (
    SOCKET_NAME,
    command_line,
    own_private_folder,
    prepare,
    socket_dir,
    surroundings,
)
from app.embedded.postmaster import end_leftover, ready_server
from tests.servers import START_SECONDS

_OPTIONS = {
    "checkpoint_timeout": "30s",
    "max_wal_size": "64MB",
    "max_connections": "100",
    "log_checkpoints": "off",
    "autovacuum_naptime": "10s",
}
_LOOK_SECONDS = 0.01
#: How the process of a session calls itself: by its user.
_SESSION = b"postgres: postgres "
#: Closed like this, a connection is reset: both ends lose what is on the way.
_AT_ONCE = struct.pack("ii", 1, 0)


class FragilePostgres:
    """The server, from its first start to its last end; the sessions meant are those of the service."""

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder.resolve()
        self.url = url(self.data_dir)
        self._cluster, self._sockets = self.data_dir / "postgres", socket_dir(self.data_dir)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    async def start(self) -> None:
        """Start it; over what a killed one left, which it may refuse until the last old session is gone."""
        async with asyncio.timeout(START_SECONDS):
            while not await self._is_ready():
                end_leftover(self._cluster)
                (self._sockets / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)
                self._launch()

    async def end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            await asyncio.to_thread(self._process.wait, START_SECONDS)

    async def kill(self) -> None:
        """Kill the main process; its sessions notice by themselves."""
        assert self._process
        self._process.kill()
        await asyncio.to_thread(self._process.wait)

    def kill_a_session(self, draw: random.Random) -> bool:
        """Kill a session; PostgreSQL then throws out all others and recovers. Whether there was one."""
        sessions = [pid for pid in children(self.pid) if _title(pid).startswith(_SESSION)]
        if sessions:
            with suppress(ProcessLookupError):
                os.kill(draw.choice(sessions), signal.SIGKILL)
        return bool(sessions)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let no process of it run."""
        processes = [self.pid, *children(self.pid)]
        for pid in processes:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in processes:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    @asynccontextmanager
    async def behind_a_proxy(self) -> AsyncIterator["Resettable"]:
        """Give another way to it, whose connections can be reset."""
        proxy = Resettable(str(self._sockets / SOCKET_NAME))
        server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            await proxy.close()

    async def _is_ready(self) -> bool:
        """Wait until the server that was started is ready; False where it is not, or none was."""
        while self._process is not None and self._process.poll() is None:
            if ready_server(self._cluster) == self._process.pid:
                return True
            await asyncio.sleep(_LOOK_SECONDS)
        return False

    def _launch(self) -> None:
        if not self._cluster.exists():
            self.data_dir.mkdir(parents=True, exist_ok=True)
            prepare(self._cluster)
        own_private_folder(self._sockets)
        arguments = ["-D", str(self._cluster), "-h", "", "-k", str(self._sockets)]
        for setting in _OPTIONS.items():
            arguments += ["-c", "=".join(setting)]
        with (self.data_dir / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command_line("postgres", self._cluster), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **surroundings(),
            )


class Resettable:
    """Passes connections on to a Unix socket, until they are reset."""

    def __init__(self, socket_path: str) -> None:
        self.port = 0
        self._socket_path = socket_path
        self._open: set[asyncio.StreamWriter] = set()
        self._handling: set[asyncio.Task[object]] = set()

    def reset(self) -> int:
        """Reset every connection at the service's end and at the database's; how many there were."""
        open_now = list(self._open)
        for writer in open_now:
            connection = writer.get_extra_info("socket")
            if connection.family == socket.AF_INET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            writer.transport.abort()
        return len(open_now) // 2

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._handling.add(task)
        self._open.add(writer)
        there: asyncio.StreamWriter | None = None
        try:
            answers, there = await asyncio.open_unix_connection(self._socket_path)
            self._open.add(there)
            await asyncio.gather(_pump(reader, there), _pump(answers, writer))
        except (OSError, asyncio.CancelledError):
            pass  # there is no server, or it is the end of the test
        finally:
            self._handling.discard(task)
            for each in filter(None, (writer, there)):
                self._open.discard(each)
                each.transport.abort()

    async def close(self) -> None:
        for task in self._handling:
            task.cancel()
        await asyncio.gather(*self._handling, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
    writer.close()


def children(pid: int) -> list[int]:
    """The processes that a process started and that still live."""
    with suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _title(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""

"""What the tests of faults share: a PostgreSQL, a faulty wire to it, two workers, steady traffic."""

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg

from app.embedded import embedded_postgres
from app.migrations import migrate
from tests.conftest import SECRET, administer
from tests.faulty_wire import FaultyWire, Outside, Upstream, faulty_wire, outside, to_unix
from tests.servers import Commands, Service
from tests.steady_traffic import SERVED, UNAVAILABLE, Seen, Traffic

WORKERS = 2
#: As many as ask at once, should all be with one worker: here nobody waits for a slot.
POOL = 8

#: What is promised: an answer in 3 s whatever happens, and no trace of it 5 s after it is over. The first is
#: bounded by DATABASE_TIMEOUT, 2.5 s; a busy machine is allowed another second.
ANSWER_SECONDS = 3 + 1
RECOVERY_SECONDS = 5
#: Between what the pools and the clients hold and this, nobody could tell a leak.
FILES = 150

#: These tests end processes and no machine: what was committed is in the kernel's hands, not on the disk.
_ENOUGH = {"fsync": "off"}

_KILL = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'api'"


class Postgres:
    """A server that is stopped, frozen and started again, and whose `api` is no superuser."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running = ExitStack()
        self.url = ""

    def start(self) -> None:
        self.url = self._running.enter_context(embedded_postgres(self._folder, _ENOUGH))

    def stop(self) -> None:
        self._running.close()

    @property
    def socket(self) -> str:
        return f"{self.url.split('?host=')[1]}/.s.PGSQL.5432"

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the clock of the server and of all that it has started."""
        postmaster = self.postmaster()
        processes = [postmaster, *children(postmaster)]
        try:
            for process in processes:
                os.kill(process, signal.SIGSTOP)
            yield
        finally:
            for process in processes:
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGCONT)

    def postmaster(self) -> int:
        return int((self._folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])


class World:
    """All of it; `do` works outside, where the wire and the traffic are."""

    def __init__(
        self, out: Outside, postgres: Postgres, wire: FaultyWire, service: Service, traffic: Traffic
    ) -> None:
        self.outside, self.postgres, self.wire = out, postgres, wire
        self.service, self.traffic = service, traffic
        self.do = out.do

    def admin(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        return self.do(administer(self.postgres.url, sql, *arguments))

    def script(self, sql: str) -> None:
        """Run several commands as one."""

        async def run() -> None:
            connection = await asyncpg.connect(self.postgres.url)
            try:
                await connection.execute(sql)
            finally:
                await connection.close()

        self.do(run())

    def cut_sessions(self) -> None:
        """End the service's connections, as an administrator does (57P01)."""
        self.admin(_KILL)

    def workers(self) -> list[int]:
        return [pid for pid in children(self.service.process.pid) if "spawn_main" in _command(pid)]

    def sessions(self) -> int:
        return len(self.admin("SELECT 1 FROM pg_stat_activity WHERE usename = 'api'"))

    @contextmanager
    def trouble(self, *, broken: int = 0) -> Iterator[Callable[..., list[Seen]]]:
        """Hold what is promised of any fault: it begins here, and is healed at the end of the block.

        Gives what was seen since. `broken` connections of callers are forgiven.
        """
        began = time.monotonic()

        def since(kinds: str = "read write") -> list[Seen]:
            return self.traffic.since(began, kinds)

        yield since
        healed = time.monotonic()
        recovered = self.traffic.after_trouble(healed)
        seen = self.traffic.since(began)
        slowest = max(one.seconds for one in seen)
        refused = [one for one in seen if one.status not in SERVED]
        print(  # noqa: T201 - figures, for pytest -rP
            f"{len(seen)} requests, {len(refused)} refused, slowest {slowest:.2f} s, "
            f"failures until {recovered:.2f} s after"
        )
        assert [one for one in refused if one.kind == "live" and (one.status or not broken)] == []
        wrong = [
            one for one in refused if one.status != UNAVAILABLE or not 1 <= int(one.retry_after or "0") <= 5
        ]
        assert len(wrong) <= broken, (wrong, self._unexpected())
        assert slowest < ANSWER_SECONDS
        assert recovered < RECOVERY_SECONDS
        self._nothing_leaked()

    def _unexpected(self) -> list[str]:
        return [
            line for line in self.service.output.splitlines() if '"unexpected ' in line or "Error" in line
        ]

    def _nothing_leaked(self) -> None:
        assert self.sessions() <= WORKERS * POOL
        for worker in self.workers():
            assert open_files(worker) < FILES


@contextmanager
def world(
    folder: Path,
    upstream: Callable[[Postgres], Upstream] | None = None,
    options: str = "",
    **settings: object,
) -> Iterator[World]:
    """Start everything; `upstream` is what the wire leads to, `options` are those of DATABASE_URL."""
    postgres = Postgres(folder / "own")
    with ExitStack() as stack:
        out = stack.enter_context(outside())
        stack.callback(postgres.stop)
        postgres.start()
        out.do(administer(postgres.url, "CREATE ROLE api LOGIN"))
        out.do(administer(postgres.url, "ALTER DATABASE postgres OWNER TO api"))
        migrate(postgres.url.replace("postgres@", "api@"))
        reached = upstream(postgres) if upstream else to_unix(postgres.socket)
        wires = faulty_wire(reached)
        wire = out.do(wires.__aenter__())
        stack.callback(lambda: out.do(wires.__aexit__(None, None, None)))
        service = stack.enter_context(
            Commands(folder, covered=False).start(
                "tasks-api",
                "serve",
                data_dir=folder / "data",
                **{
                    "database_url": f"postgresql://api@127.0.0.1:{wire.port}/postgres{options}",
                    "database_pool_size": POOL,
                    "better_auth_secret": SECRET,
                    "log_format": "json",
                    "workers": WORKERS,
                }
                | settings,
            )
        )
        service.started(workers=WORKERS)
        traffic = stack.enter_context(Traffic(out, service.url).running())
        traffic.after_trouble(time.monotonic(), quiet=0.5)
        yield World(out, postgres, wire, service, traffic)


def children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(entry.name))
    return found


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@contextmanager
def locked(world: World, user: str) -> Iterator[None]:
    """Hold a user's counter in a transaction of another session."""

    async def take() -> asyncpg.Connection:
        connection = await asyncpg.connect(world.postgres.url)
        await connection.execute("BEGIN")
        await connection.fetch("SELECT * FROM task_lists WHERE user_id = $1 FOR UPDATE", user)
        return connection

    connection = world.do(take())
    try:
        yield
    finally:
        world.do(connection.close())


def raw_request(port: int, method: str, path: str, token: str, body: bytes = b"") -> socket.socket:
    """Send a request, and wait for nothing."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.sendall(
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        + body
    )
    return connection


def pause(seconds: float) -> None:
    """Let a fault last."""
    time.sleep(seconds)

"""Faults for an audit: what the service stands on is killed, frozen and cut off, at seeded moments."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from tests.audit import Report, Scale, World, audit
from tests.conftest import SECRET
from tests.fragile_postgres import FragilePostgres, Resettable, children
from tests.history import Content
from tests.history_checks import Server
from tests.servers import Commands, Service

#: The kinds of fault, and how many of each of them there are.
FAULTS = {
    "PostgreSQL killed": 6,
    "session killed": 10,
    "PostgreSQL frozen": 8,
    "connections reset": 14,
    "worker killed": 6,
    "worker frozen": 5,
    "service ended": 4,
}  # fmt: skip

WORKERS = 2
#: Shorter than the longest time that PostgreSQL is frozen.
DATABASE_TIMEOUT = 1.5
_FROZEN_SECONDS = [0.1, 0.5, 2.5]

#: A few, to catch a mistake with: what breaks statements that are on their way.
SHORT = {"connections reset": 10, "session killed": 5, "PostgreSQL killed": 2}

#: As many writes are acknowledged between two faults; where they are not, the next fault comes anyway.
WRITES_BETWEEN = 150, 450
FEW_BETWEEN = 30, 120
_MOST_SECONDS_BETWEEN = 20

_ROWS = "SELECT * FROM tasks WHERE user_id = $1"
_REVISION = "SELECT revision FROM task_lists WHERE user_id = $1"


class Instance:
    """One `tasks-api serve` with its workers, which can be ended and started again on its port."""

    def __init__(self, commands: Commands, data_dir: Path, database_url: str) -> None:
        self._commands, self._data_dir, self._database_url = commands, data_dir, database_url
        self._stack = ExitStack()
        self.port = 0
        self._service: Service | None = None

    async def start(self) -> None:
        self._service = self._stack.enter_context(
            self._commands.start(
                "tasks-api",
                "serve",
                data_dir=self._data_dir,
                port=self.port,
                workers=WORKERS,
                database_url=self._database_url,
                better_auth_secret=SECRET,
                database_timeout=DATABASE_TIMEOUT,
            )
        )
        self.port = self._service.port
        await asyncio.to_thread(self._service.started, workers=WORKERS)

    async def end(self) -> None:
        """SIGTERM, and wait for the end."""
        await asyncio.to_thread(self._stack.close)

    def workers(self) -> list[int]:
        assert self._service
        return [pid for pid in children(self._service.process.pid) if _is_worker(pid)]


def _is_worker(pid: int) -> bool:
    with suppress(OSError):
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


@dataclass
class Stand:
    """All that can break."""

    postgres: FragilePostgres
    proxy: Resettable
    database: str
    instances: Sequence[Instance]
    made: Counter[str] = field(default_factory=Counter)  #: faults, by kind

    async def make(self, kind: str, draw: random.Random) -> None:
        """Make one fault and mend it; what mends itself is left to itself."""
        kinds: dict[str, Callable[[random.Random], Awaitable[bool]]] = {
            "PostgreSQL killed": self._kill_postgres,
            "session killed": self._kill_a_session,
            "PostgreSQL frozen": self._freeze_postgres,
            "connections reset": self._reset,
            "worker killed": self._kill_a_worker,
            "worker frozen": self._freeze_a_worker,
            "service ended": self._restart_a_service,
        }
        while not await kinds[kind](draw):  # noqa: ASYNC110 - no event for it
            await asyncio.sleep(0.01)
        self.made[kind] += 1

    async def _kill_postgres(self, _draw: random.Random) -> bool:
        await self.postgres.kill()
        await self.postgres.start()
        return True

    async def _kill_a_session(self, draw: random.Random) -> bool:
        return self.postgres.kill_a_session(draw)

    async def _freeze_postgres(self, draw: random.Random) -> bool:
        with self.postgres.frozen():
            await asyncio.sleep(draw.choice(_FROZEN_SECONDS))
        return True

    async def _reset(self, _draw: random.Random) -> bool:
        return self.proxy.reset() > 0

    async def _kill_a_worker(self, draw: random.Random) -> bool:
        return self._signal_a_worker(draw, signal.SIGKILL) is not None

    async def _freeze_a_worker(self, draw: random.Random) -> bool:
        pid = self._signal_a_worker(draw, signal.SIGSTOP)
        await asyncio.sleep(draw.choice(_FROZEN_SECONDS))
        if pid is not None:
            os.kill(pid, signal.SIGCONT)
        return pid is not None

    def _signal_a_worker(self, draw: random.Random, number: signal.Signals) -> int | None:
        workers = draw.choice(self.instances).workers()
        if not workers:
            return None
        os.kill(pid := draw.choice(workers), number)
        return pid

    async def _restart_a_service(self, draw: random.Random) -> bool:
        instance = draw.choice(self.instances)
        await instance.end()
        await instance.start()
        return True

    async def stored(self, user: str) -> Server:
        """Read with SQL what is there of a user."""
        connection = await asyncpg.connect(self.database)
        try:
            revision = await connection.fetchval(_REVISION, user)
            rows = await connection.fetch(_ROWS, user)
        finally:
            await connection.close()
        content = {
            str(row["id"]): (
                row["revision"],
                Content(row["text"], row["completed"], row["order"], row["deleted_at"] is None),
            )
            for row in rows
        }
        living = {task: found for task, found in content.items() if found[1].alive}
        trash = {task: found for task, found in content.items() if not found[1].alive}
        return Server(revision or 0, living, trash)


@asynccontextmanager
async def standing(
    postgres: FragilePostgres, database: str, commands: Commands, folder: Path
) -> AsyncIterator[Stand]:
    """Serve a database by two services: one goes to PostgreSQL directly, one by a way that can be reset."""
    direct = postgres.url.replace("/postgres?", f"/{database}?")
    async with postgres.behind_a_proxy() as proxy:
        by_proxy = f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}?sslmode=disable"
        instances = [
            Instance(commands, folder / f"data-{number}", url)
            for number, url in enumerate((direct, by_proxy))
        ]
        try:
            await asyncio.gather(*(instance.start() for instance in instances))
            yield Stand(postgres, proxy, direct, instances)
        finally:
            await asyncio.gather(*(instance.end() for instance in instances))


def schedule(draw: random.Random, kinds: Mapping[str, int] = FAULTS) -> list[str]:
    """So many of each kind, in some order."""
    faults = [kind for kind, number in kinds.items() for _ in range(number)]
    draw.shuffle(faults)
    return faults


async def audited(
    stand: Stand,
    scale: Scale,
    seed: int,
    kinds: Mapping[str, int] = FAULTS,
    between: tuple[int, int] = WRITES_BETWEEN,
) -> Report:
    """Make faults of these kinds while clients work, then look at everything; the first sign ends it."""
    draw = random.Random(f"{seed} faults")  # noqa: S311 - no secret

    async def trouble(world: World) -> None:
        for fault in schedule(draw, kinds):
            await _writes(world, draw.randint(*between))
            if world.history.violations():
                return
            await stand.make(fault, draw)

    ports = [instance.port for instance in stand.instances]
    return await audit(ports, scale, seed, trouble, stand.stored)


async def _writes(world: World, number: int) -> None:
    """Wait until so many more were acknowledged."""
    wanted = world.report.acknowledged + number
    with suppress(TimeoutError):
        async with asyncio.timeout(_MOST_SECONDS_BETWEEN):
            while world.report.acknowledged < wanted and not world.history.violations():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

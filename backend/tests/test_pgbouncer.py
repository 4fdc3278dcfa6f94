"""The pooled profile against a real PgBouncer: several processes share two server connections.

In transaction mode, and older than 1.21, so without support for prepared statements: the hardest pooler there
is. Names of prepared statements collide only between processes, so one process would prove nothing.
"""

import asyncio
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from sqlalchemy import func, select, table

from app.config import BACKEND, Settings
from app.database import Database
from app.embedded import embedded_postgres
from app.main import create_app
from app.migrations import migrate, newest_revision
from app.statement import Statement
from tests.conftest import FAST, SECRET, administer, named
from tests.live import listening, token
from tests.test_openapi import served

pytestmark = pytest.mark.pgbouncer

SERVER_CONNECTIONS = 2
NOBODY = 65_534

CONFIGURATION = """
[databases]
* = host={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
"""

#: One client process: eight tasks at once, each a user of its own, every result looked at.
CLIENT = """
import asyncio, collections, json, sys, uuid

from app.config import Settings
from app.database import Database
from app.errors import TaskNotFound
from app.queries.batch import UserBatches
from app.queries.changes import UserChanges
from app.queries.order import UserOrder
from app.queries.tasks import UserTasks
from app.queries.trash import UserTrash

url, prepared = sys.argv[1:]
right = 0
failures = collections.Counter()

def check(found, expected):
    global right
    if found == expected:
        right += 1
    else:
        failures["wrong result"] += 1

async def attempt(statement):
    try:
        return await statement
    except TaskNotFound:
        return None
    except Exception as error:
        failures[type(error.__cause__ or error).__name__] += 1
        return ...

async def use(database):
    user = str(uuid.uuid4())
    tasks = UserTasks(database, user)
    for number in range(12):
        text = f"{user} {number}"
        made = await attempt(tasks.add(text=text, order=number))
        if made in (None, ...):
            continue
        task = made.task
        check((task["user_id"], task["text"], task["order"]), (user, text, number))
        check(await attempt(tasks.get(task["id"])), task)
        changed = await attempt(tasks.change(task["id"], completed=True))
        check(changed and changed is not ... and (changed["id"], changed["text"], changed["completed"]),
              (task["id"], text, True))
        listed = await attempt(tasks.all())
        revision = 0 if changed in (None, ...) else changed["revision"]
        check(listed is not ... and listed, (revision, [changed]))
        check(await attempt(tasks.remove(task["id"])), revision + 1)
        check(await attempt(tasks.get(task["id"])), None)
        restored = await attempt(UserTrash(database, user).restore(task["id"]))
        check(restored not in (None, ...) and restored["revision"], revision + 2)
        moved = await attempt(UserOrder(database, user).move(task["id"], "before", None))
        check(moved not in (None, ...) and moved["id"], task["id"])
        batch = [{"op": "patch", "id": task["id"], "text": text}, {"op": "delete", "id": task["id"]}]
        applied = await attempt(UserBatches(database, user).apply(batch, f"key {number}"))
        again = await attempt(UserBatches(database, user).apply(batch, f"key {number}"))
        none = [None, None]
        check(applied not in (None, ...) and applied[:2], (none, revision + 4))
        check(again not in (None, ...) and again, (none, revision + 4, True))
        changes = await attempt(UserChanges(database, user).since(revision, 10))
        check(changes not in (None, ...) and changes[:3], ([], [task["id"]], revision + 4))

async def main():
    settings = Settings(database_pool_size=4, database_prepared_statements=prepared, database_timeout=10)
    database = Database(url, settings)
    await asyncio.gather(*(use(database) for _ in range(8)))
    await database.close()

print("ready", flush=True)
sys.stdin.readline()
asyncio.run(main())
print(json.dumps({"right": right, "failures": failures}))
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that `nobody` can pass, where root runs the tests: neither server runs as root."""
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest.fixture(scope="module")
def direct_url(folder: Path) -> Iterator[str]:
    with embedded_postgres(folder / "data", FAST) as url:
        yield url


@pytest.fixture(scope="module")
def pooled(folder: Path, direct_url: str) -> Iterator[Callable[[str], str]]:
    """Give a database's URL through PgBouncer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sockets = direct_url.split("?host=")[1]
    configuration = folder / "pgbouncer.ini"
    text = CONFIGURATION.format(server=sockets, port=port, size=SERVER_CONNECTIONS)
    if _version() >= (1, 21):
        text += "max_prepared_statements = 0\n"  # newer ones can be told to be no better
    configuration.write_text(text)
    with running_pgbouncer(configuration, port):
        yield (
            lambda url: (
                f"postgresql://postgres@127.0.0.1:{port}/{url.split('/')[3].split('?')[0]}?pgbouncer=true"
            )
        )


@contextmanager
def running_pgbouncer(configuration: Path, port: int) -> Iterator[int]:
    """Run one, and give the number of its process."""
    not_root: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    process = subprocess.Popen(
        [_program(), "--quiet", configuration],
        stderr=subprocess.DEVNULL,
        **(not_root if os.geteuid() == 0 else {}),
    )
    try:
        deadline = time.monotonic() + 5
        while not _listens(port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        yield process.pid
    finally:
        process.terminate()
        process.wait(5)


def _program() -> str:
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "run: make test-pgbouncer"
    return program


def _version() -> tuple[int, ...]:
    said = subprocess.run([_program(), "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in said.splitlines()[0].split()[1].split("."))


def _listens(port: int) -> bool:
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def make_empty(direct_url: str) -> Callable[[], str]:
    """Make a database: with it comes a pool of PgBouncer's that no other test has used."""
    numbers = itertools.count()

    def make() -> str:
        name = f"pooled_{next(numbers)}"
        asyncio.run(administer(direct_url, f"CREATE DATABASE {name}"))
        return named(direct_url, name)

    return make


@pytest.fixture
def url(make_empty: Callable[[], str], pooled: Callable[[str], str]) -> str:
    """A migrated database, through PgBouncer."""
    made = make_empty()
    migrate(made)
    return pooled(made)


@contextmanager
def several(
    number: int, command: Sequence[str | Path], variables: dict[str, str]
) -> Iterator[list[subprocess.Popen[str]]]:
    """Start a command several times; whatever happens, none of them is left."""
    with ExitStack() as stack:
        started = []
        for _ in range(number):
            process = subprocess.Popen(
                command,
                cwd=BACKEND,
                env=os.environ | variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            started.append(process)
        yield started


def said_by(processes: list[subprocess.Popen[str]]) -> list[str]:
    """Let all go on at the same time, to their end."""
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * len(processes)
    return said


def load(url: str, *, prepared: str) -> dict[str, Any]:
    """Run three client processes at once; what all of them found."""
    with several(3, [sys.executable, "-c", CLIENT, url, prepared], {}) as clients:
        for client in clients:
            assert client.stdout
            assert client.stdout.readline() == "ready\n"
        found = [json.loads(said) for said in said_by(clients)]
    return {"right": sum(one["right"] for one in found), "failures": [one["failures"] for one in found]}


def test_several_processes_get_the_right_answers(url):
    assert load(url, prepared="auto") == {"right": 3 * 8 * 12 * 11, "failures": [{}, {}, {}]}


def test_the_load_shows_what_kept_statements_would_do_here(url):
    found = load(url, prepared="on")
    assert sum(sum(failures.values()) for failures in found["failures"]) > 0


def test_nothing_stays_prepared_in_the_shared_sessions(url):
    statement = Statement(
        select(
            func.count().label("prepared"),
            func.pg_backend_pid().label("pid"),
            func.pg_sleep(0.2),
        ).select_from(table("pg_prepared_statements"))
    )

    async def ask() -> list[tuple[int, int]]:
        database = Database(url, Settings())
        rows = await asyncio.gather(*(database.fetch_one(statement) for _ in range(6)))
        await database.close()
        return [(row["pid"], row["prepared"]) for row in rows if row]

    load(url, prepared="auto")
    found = asyncio.run(ask())
    assert len({pid for pid, _ in found}) == SERVER_CONNECTIONS
    assert {prepared for _, prepared in found} == {0}


def test_listeners_of_two_processes_hear_of_each_others_writes(url):
    """More of them than there are server connections, and no LISTEN, which a pooler would lose."""

    async def hear(one: str, other: str) -> list[int]:
        async with AsyncExitStack() as stack:
            streams = [
                await stack.enter_async_context(listening(address, token("alice")))
                for address in [one, other] * SERVER_CONNECTIONS * 2
            ]
            assert [await stream.revision() for stream in streams] == [0] * len(streams)
            async with httpx.AsyncClient(base_url=one) as client:
                headers = {"Authorization": f"Bearer {token('alice')}"}
                assert (await client.post("/tasks", json={"text": "x"}, headers=headers)).status_code == 201
            return [await stream.revision() for stream in streams]

    settings = Settings(
        database_url=url, better_auth_secret=SECRET, database_timeout=30, database_queue_wait=30
    )
    with served(create_app(settings)) as one, served(create_app(settings)) as other:
        assert asyncio.run(hear(one, other)) == [1] * SERVER_CONNECTIONS * 4


def test_five_migrations_at_once_all_succeed(make_empty, pooled, tmp_path):
    empty = make_empty()
    variables = {"DATABASE_URL": pooled(empty), "BETTER_AUTH_SECRET": SECRET, "DATA_DIR": str(tmp_path)}
    with several(5, [Path(sys.executable).with_name("tasks-api"), "migrate"], variables) as runners:
        assert said_by(runners) == ["The schema is up to date.\n"] * 5
    rows = asyncio.run(administer(empty, "SELECT version_num FROM alembic_version"))
    assert [row["version_num"] for row in rows] == [newest_revision()]

"""How long processes live: everything ends with the server, however it ends."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import asyncpg
import pytest

from app.auth.tokens import sign
from tests.conftest import SECRET, MakeDatabase, administer
from tests.live import listening, token
from tests.servers import END_SECONDS, START_SECONDS, Commands, processes_of, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return Commands(tmp_path_factory.mktemp("checkout"), covered=False)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def keep_alive_connection(port: int) -> socket.socket:
    """Call once and stay connected, as browsers do."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"200 OK" in connection.recv(4096)
    return connection


@pytest.mark.parametrize(
    ("workers", "number"),
    [(1, signal.SIGTERM), (2, signal.SIGTERM), (1, signal.SIGINT), (2, signal.SIGINT)],
)
def test_a_signal_ends_everything_open_connections_included(commands, data_dir, workers, number):
    """SIGINT goes to the whole group, as Ctrl-C in a terminal does."""
    with commands.start("tasks-api", "serve", data_dir=data_dir, workers=workers) as service:
        service.started(workers=workers)
        with keep_alive_connection(service.port):
            assert len(processes_of(data_dir)) > workers
            assert service.ends_after(number, whole_group=number == signal.SIGINT)
        assert service.process.returncode == 0
        assert "Traceback" not in service.output


def test_a_killed_server_leaves_no_database_and_no_worker(commands, data_dir):
    with commands.start("tasks-api", "serve", data_dir=data_dir, workers=2) as service:
        service.started()
        assert service.ends_after(signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_that_are_not_up_yet_end_too(commands, data_dir, database_url, number):
    with commands.start(
        "tasks-api",
        "serve",
        data_dir=data_dir,
        workers=2,
        database_url=database_url,
        better_auth_secret=SECRET,
    ) as service:
        assert wait_for(lambda: len(processes_of(data_dir)) > 2, START_SECONDS), service.output
        assert service.ends_after(number, whole_group=number == signal.SIGINT)


def test_a_frozen_worker_does_not_hold_up_the_end(commands, data_dir, database_url):
    with commands.start(
        "tasks-api",
        "serve",
        data_dir=data_dir,
        workers=2,
        database_url=database_url,
        better_auth_secret=SECRET,
    ) as service:
        service.started(workers=2)
        os.kill(max(processes_of(data_dir)), signal.SIGSTOP)
        assert service.ends_after(signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_during_the_start_leaves_nothing(commands, data_dir, number):
    """The moment the cluster is being made is the worst one: initdb has children of its own."""
    with commands.start("tasks-api", "serve", data_dir=data_dir) as service:
        assert wait_for((data_dir / "postgres.new" / "PG_VERSION").exists, START_SECONDS), service.output
        assert service.ends_after(number, whole_group=number == signal.SIGINT)
        assert "Traceback" not in service.output


async def test_a_request_that_hangs_does_not_hold_up_the_end(commands, data_dir, make_database: MakeDatabase):
    database_url = await make_database()
    token = sign("alice", SECRET, seconds=60)
    connection = await asyncpg.connect(database_url)
    with commands.start(
        "tasks-api",
        "serve",
        data_dir=data_dir,
        database_url=database_url,
        better_auth_secret=SECRET,
        database_timeout=60,
    ) as service:
        service.started()
        async with connection.transaction():
            await connection.execute("LOCK TABLE tasks, task_lists")
            with socket.create_connection(("127.0.0.1", service.port)) as caller:
                caller.sendall(
                    f"GET /tasks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
                )
                waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1"
                name = database_url.split("/")[3].split("?")[0]
                while not await administer(database_url, waiting, name):
                    pass
                assert service.ends_after(signal.SIGTERM)
    await connection.close()


@pytest.mark.parametrize(
    "command", ["tasks-api serve", "tasks-api serve --workers 2", "uvicorn app.main:app"]
)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_listeners_are_told_of_the_end_and_do_not_hold_it_up(
    commands, data_dir, database_url, command, number
):
    """Without a word to them they are cut off after the grace, and uvicorn by itself waits for ever."""
    name, *arguments = command.split()
    if name == "uvicorn":
        arguments += ["--port", "{port}"]
    with commands.start(
        name, *arguments, data_dir=data_dir, database_url=database_url, better_auth_secret=SECRET
    ) as service:
        service.started(workers=2 if "2" in command else 1)
        async with AsyncExitStack() as stack:
            streams = [
                await stack.enter_async_context(listening(service.url, token(f"user-{n}"))) for n in range(8)
            ]
            assert [await stream.revision() for stream in streams] == [0] * 8
            assert await asyncio.to_thread(service.ends_after, number, whole_group=number == signal.SIGINT)
            assert [await stream.end() for stream in streams] == ["SHUTDOWN"] * 8
        assert service.process.returncode in ([0] if name == "tasks-api" else [0, -number])
        assert "Cancel" not in service.output
        assert "Traceback" not in service.output


CHILD_OF_A_PARENT = """
import signal, subprocess, sys
from app.processes import end_with_parent
start = lambda: end_with_parent(signal.SIGTERM)
child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, preexec_fn=start)
print(child.pid, flush=True)
sys.stdin.read()
"""


def is_running(process: Path) -> bool:
    """A process that has ended has no command line, whether or not somebody has taken note of it."""
    try:
        return (process / "cmdline").read_bytes() != b""
    except OSError:
        return False


def test_a_child_ends_with_its_killed_parent(commands):
    parent = subprocess.Popen(
        [sys.executable, "-c", CHILD_OF_A_PARENT],
        env=commands.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = Path("/proc", parent.stdout.readline().decode().strip())
    assert is_running(child)
    parent.kill()
    parent.communicate()
    assert wait_for(lambda: not is_running(child), END_SECONDS)

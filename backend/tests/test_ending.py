"""How real servers end, with a pause for the balancer in front, and how dead workers are replaced."""

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import httpx2 as httpx
import pytest

from bench.processes import workers
from tests.conftest import SECRET, MakeDatabase, until_waiting
from tests.live import listening, token
from tests.servers import END_SECONDS, START_SECONDS, Commands, wait_for

pytestmark = pytest.mark.faults

#: What a busy machine may take longer than promised.
SLACK_SECONDS = 5


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return Commands(tmp_path_factory.mktemp("checkout"), covered=False)


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> dict[str, object]:
    return {"data_dir": tmp_path / "data", "database_url": database_url, "better_auth_secret": SECRET}


def ask(connection: http.client.HTTPConnection, path: str) -> tuple[int, str | None]:
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers["Connection"]


def refuses(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize(
    ("count", "whole_group", "embedded"), [(1, False, False), (2, False, True), (2, True, False)]
)
def test_it_serves_on_for_the_pause_and_says_that_it_is_ending(
    commands, settings, count, whole_group, embedded
):
    """systemd signals the whole group unless told otherwise, and the supervisor its workers as well."""
    if embedded:
        settings |= {"database_url": ""}
    with commands.start("tasks-api", "serve", **settings, workers=count, shutdown_delay=5) as service:
        service.started(workers=count)
        kept = http.client.HTTPConnection("127.0.0.1", service.port)
        assert ask(kept, "/health/ready") == (200, None)
        began = time.monotonic()
        # At once some signals would come as one.
        for process in (*(workers(service.process.pid) if whole_group else ()), service.process.pid):
            os.kill(process, signal.SIGTERM)
            time.sleep(0.3)
        assert wait_for(lambda: httpx.get(f"{service.url}/health/ready").status_code == 503, 2)
        assert ask(kept, "/health") == (200, "close")
        while time.monotonic() < began + 3:
            answer = httpx.get(f"{service.url}/health")
            assert (answer.status_code, answer.json()["database"]) == (200, "connected")
            assert answer.headers["Connection"] == "close"
            time.sleep(0.05)
        assert service.process.wait(2 + END_SECONDS) == 0
        assert time.monotonic() - began > 4.9
        assert refuses(service.port)
        assert service.nothing_left()
        assert service.output.count("this process serves on for 5 s") == count
        assert "Traceback" not in service.output


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_signals_twice_wants_no_pause(commands, settings, count, number):
    with commands.start("tasks-api", "serve", **settings, workers=count, shutdown_delay=120) as service:
        service.started(workers=count)
        whole_group = number == signal.SIGINT
        (os.killpg if whole_group else os.kill)(service.process.pid, number)
        assert wait_for(lambda: httpx.get(f"{service.url}/health/ready").status_code == 503, 5)
        time.sleep(0.5)
        assert service.process.poll() is None
        assert service.ends_after(number, whole_group=whole_group)
        assert service.process.returncode == 0


@pytest.mark.parametrize("count", [1, 2])
async def test_what_is_stuck_is_told_so_and_the_end_comes_in_time(
    commands, settings, make_database: MakeDatabase, count
):
    settings |= {"database_url": await make_database(), "database_timeout": 60, "request_timeout": 60}
    grace = 3
    connection = await asyncpg.connect(settings["database_url"])
    with commands.start("tasks-api", "serve", **settings, workers=count, shutdown_grace=grace) as service:
        service.started(workers=count)
        headers = {"Authorization": f"Bearer {token('alice')}"}
        async with (
            listening(service.url, token("bob")) as stream,
            httpx.AsyncClient(base_url=service.url, headers=headers, timeout=60) as client,
        ):
            assert await stream.revision() == 0
            async with connection.transaction():
                await connection.execute("LOCK TABLE tasks, task_lists")
                stuck = asyncio.create_task(client.post("/tasks", json={"text": "x"}))
                await until_waiting(settings["database_url"])
                began = time.monotonic()
                service.process.terminate()
                assert await stream.end() == "SHUTDOWN"
                # Who comes now goes elsewhere at once, instead of waiting for nobody.
                assert await asyncio.to_thread(wait_for, lambda: refuses(service.port), grace)
                assert not stuck.done()
                answer = await stuck
                assert time.monotonic() - began > grace - 0.5
                assert (answer.status_code, answer.json()["error"]) == (503, "SERVICE_UNAVAILABLE")
                assert answer.headers["Retry-After"] == "1"
                assert await asyncio.to_thread(service.process.wait, grace + 1 + SLACK_SECONDS) == 0
                assert "Traceback" not in service.output
            assert await connection.fetchval("SELECT count(*) FROM tasks") == 0
    await connection.close()


def test_frozen_workers_are_killed_together(commands, settings):
    with commands.start("tasks-api", "serve", **settings, workers=3, shutdown_grace=4) as service:
        service.started(workers=3)
        for worker in workers(service.process.pid):
            os.kill(worker, signal.SIGSTOP)
        service.process.terminate()
        assert service.process.wait(4 + 1 + SLACK_SECONDS) == 0  # one after the other would take 14 s
        assert service.output.count("did not end in time and is killed") == 3
        assert service.nothing_left()


def test_a_dead_worker_is_replaced_also_while_another_hangs(commands, settings):
    """To learn that one hangs takes half a minute; the other is missed at once."""
    with commands.start("tasks-api", "serve", **settings, workers=2) as service:
        service.started(workers=2)
        hanging, dead = workers(service.process.pid)
        os.kill(hanging, signal.SIGSTOP)
        time.sleep(1)  # so that it is asked in vain
        os.kill(dead, signal.SIGKILL)
        began = time.monotonic()
        up = "Application startup complete."
        assert wait_for(lambda: service.output.count(up) == 3, START_SECONDS / 2), service.output
        assert httpx.get(f"{service.url}/health", timeout=5).status_code == 200
        assert f"worker {dead} ended (-9) and is replaced" in service.output
        assert time.monotonic() - began < START_SECONDS / 2


def test_a_reload_replaces_every_worker_also_one_that_hangs(commands, settings):
    with commands.start("tasks-api", "serve", **settings, workers=2) as service:
        service.started(workers=2)
        before = workers(service.process.pid)
        os.kill(before[0], signal.SIGSTOP)
        service.process.send_signal(signal.SIGHUP)

        def all_new() -> bool:
            now = workers(service.process.pid)
            return len(now) == 2 and not set(now) & set(before)

        assert wait_for(all_new, START_SECONDS), service.output
        assert f"worker {before[0]} did not end in time and is killed" in service.output
        assert httpx.get(f"{service.url}/health", timeout=5).status_code == 200


SUPERVISOR = """
import socket, uvicorn
from app.supervising import Supervisor
app = "starlette.applications:Starlette"
config = uvicorn.Config(app, factory=True, workers=2, lifespan="off", timeout_worker_healthcheck=10)
with socket.create_server(("127.0.0.1", 0)) as listener:
    Supervisor(config, sockets=[listener]).run()
"""


def test_a_worker_that_hangs_is_replaced_and_no_other(commands):
    with subprocess.Popen([sys.executable, "-c", SUPERVISOR], env=commands.environment()) as supervisor:
        try:
            assert wait_for(lambda: len(workers(supervisor.pid)) == 2, START_SECONDS)
            time.sleep(3)
            hanging, other = workers(supervisor.pid)
            os.kill(hanging, signal.SIGSTOP)
            assert wait_for(lambda: hanging not in workers(supervisor.pid), START_SECONDS)
            assert wait_for(lambda: len(workers(supervisor.pid)) == 2, START_SECONDS)
            time.sleep(3)
            assert other in workers(supervisor.pid)
        finally:
            for worker in workers(supervisor.pid):
                os.kill(worker, signal.SIGCONT)
            supervisor.terminate()


HANGS = """
import os, signal, time
from app.supervising import Deadline
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"handled\\n"))  # print can't be entered twice
Deadline({pause}, 1).begin()
print("begun", flush=True)
while True:
    time.sleep(60)
"""


@pytest.mark.parametrize(("pause", "signals"), [(0, 1), (1, 1), (300, 2)])
def test_a_process_that_hangs_ends_all_the_same(pause, signals, commands):
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS.format(pause=pause)], stdout=subprocess.PIPE, env=commands.environment()
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begun\n"
        for _ in range(signals):
            began = time.monotonic()
            process.terminate()
            assert process.stdout.readline() == b"handled\n"
        expected = 1 + (pause if signals == 1 else 0)
        assert process.wait(expected + 1 + SLACK_SECONDS) == 0
        assert time.monotonic() - began > expected

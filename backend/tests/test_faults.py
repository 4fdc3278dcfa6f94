"""What fails around the service, for real, under steady traffic: the database, the way to it, what it says.

Each test is a fault; `World.trouble` holds what is promised of every one of them.
"""

import asyncio
import fcntl
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx2 as httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.auth.tokens import sign
from tests.conftest import SECRET
from tests.fault_world import (
    ANSWER_SECONDS,
    World,
    locked,
    open_files,
    pause,
    raw_request,
    world,
)
from tests.servers import BIN, Commands, free_port, wait_for
from tests.steady_traffic import Seen

pytestmark = pytest.mark.faults

#: Callers are told at once when the breaker is open; the goal is 50 ms, on a quiet machine.
AT_ONCE = 0.5


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # its backlog takes callers; nobody answers
        front_end = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with world(tmp_path_factory.mktemp("faults"), better_auth_url=front_end) as shared:
            yield shared


@pytest.fixture(autouse=True)
def _healed(shared: World) -> Iterator[None]:
    """Every test begins and ends well, and no create is lost or made twice."""
    yield
    shared.do(shared.wire.heal())
    shared.traffic.paused = False
    shared.traffic.after_trouble(time.monotonic(), quiet=0.5)
    shared.traffic.repeat_unknown()
    made = {
        row["text"]: row["count"] for row in shared.admin("SELECT text, count(*) FROM tasks GROUP BY text")
    }
    keys = [key for _, key in list(shared.traffic.keys[:-50])]  # the last may be on their way
    assert {key: made.get(key) for key in keys} == dict.fromkeys(keys, 1)


def statuses(seen: list[Seen]) -> set[int]:
    return {one.status for one in seen}


def median(seen: list[Seen]) -> float:
    seconds = sorted(one.seconds for one in seen)
    return seconds[len(seconds) // 2]


def told_at_once(shared: World, last_seconds: float = 1.5) -> bool:
    """Whether most callers were refused without a wait, of late: all but who tries for the others."""
    of_late = shared.traffic.since(time.monotonic() - last_seconds, "read write")
    return statuses(of_late) == {503} and median(of_late) < AT_ONCE


def health(shared: World) -> str:
    said: str = httpx.get(f"{shared.service.url}/health", timeout=10).json()["database"]
    return said


# The server


def test_a_server_that_is_stopped(shared):
    with shared.trouble():
        shared.postgres.stop()
        pause(3)
        assert told_at_once(shared)
        assert health(shared) == "disconnected"
        shared.postgres.start()
        assert wait_for(lambda: health(shared) == "connected", 2)


def test_a_server_that_is_restarted_while_nobody_asks_fails_nobody(shared):
    with shared.trouble() as seen:
        shared.traffic.paused = True
        pause(1)
        shared.postgres.stop()
        shared.postgres.start()
        shared.traffic.paused = False
        pause(1)
        assert statuses(seen()) <= {200, 201}


def test_a_server_that_crashes_and_recovers(shared):
    """A session is killed: PostgreSQL ends all others, and lets nobody in before it is up (57P02, 57P03)."""
    session = "SELECT pid FROM pg_stat_activity WHERE usename = 'api' ORDER BY pid"
    with shared.trouble():
        for _ in range(2):
            assert wait_for(lambda: shared.admin(session), 10)
            os.kill(shared.admin(session)[0]["pid"], signal.SIGKILL)
            pause(1)


def test_a_server_that_is_frozen(shared):
    with shared.trouble(), shared.postgres.frozen():
        pause(6)
        assert told_at_once(shared)
        assert health(shared) == "disconnected"


# The way to it


def test_a_way_that_refuses(shared):
    with shared.trouble():
        shared.do(shared.wire.refuse())
        pause(3)
        assert told_at_once(shared)
        shared.do(shared.wire.listen())


def test_a_way_that_swallows_everything(shared):
    with shared.trouble():
        shared.do(shared.wire.swallow())
        pause(6)
        assert told_at_once(shared)
        shared.do(shared.wire.heal())


def test_connections_that_are_reset(shared):
    """Reads are tried again; whether a write was done nobody knows, and its answer says so."""
    with shared.trouble() as seen:
        for _ in range(6):
            shared.do(shared.wire.reset())
            pause(0.5)
        assert statuses(seen("read")) == {200}
        assert statuses(seen("write")) <= {201, 503}


def test_sessions_that_an_administrator_ends(shared):
    with shared.trouble() as seen:
        for _ in range(6):
            shared.cut_sessions()
            pause(0.5)
        assert statuses(seen("read")) == {200}


@pytest.mark.parametrize("lost", ["cut_statements", "cut_answers"])
def test_a_write_that_is_lost_says_so_and_its_repetition_makes_one(shared, lost):
    with shared.trouble() as seen:
        shared.traffic.paused = True
        pause(0.5)
        setattr(shared.wire, lost, 1)
        user = f"lost-{lost}"
        headers = {"Authorization": f"Bearer {sign(user, SECRET, seconds=60)}", "Idempotency-Key": lost}
        with httpx.Client(base_url=shared.service.url, headers=headers, timeout=10) as client:
            refused = client.post("/tasks", json={"text": lost})
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
            assert "may have been made or not" in refused.json()["message"]
            rows = shared.admin("SELECT 1 FROM tasks WHERE user_id = $1", user)
            assert len(rows) == (lost == "cut_answers")
            again = client.post("/tasks", json={"text": lost})
            assert again.status_code == 201
            assert ("Idempotent-Replayed" in again.headers) is (lost == "cut_answers")
            setattr(shared.wire, lost, 1)
            assert client.get("/tasks").json()["count"] == 1
        assert getattr(shared.wire, lost) == 0
        shared.traffic.paused = False
        pause(0.5)
        assert statuses(seen()) == {200, 201}


def test_a_way_that_takes_200_ms_more(shared):
    with shared.trouble() as seen:
        shared.wire.delay = 0.2
        pause(2)
        assert statuses(seen()) == {200, 201}
        shared.do(shared.wire.heal())


def test_a_way_that_takes_two_seconds_more(shared):
    with shared.trouble():
        shared.wire.delay = 2
        pause(5)
        shared.do(shared.wire.heal())


@pytest.mark.parametrize("trait", [{"bytes_per_second": 10_000}, {"slices": True}])
def test_a_way_that_is_narrow(shared, trait):
    with shared.trouble() as seen:
        for name, value in trait.items():
            setattr(shared.wire, name, value)
        pause(2)
        assert statuses(seen()) == {200, 201}
        shared.do(shared.wire.heal())


@pytest.mark.parametrize(("seconds", "first"), [(0.3, 200), (2, 200), (4, 503)])
def test_a_server_that_is_woken_up(shared, seconds, first):
    """As one that sleeps when nobody asks: it takes connections, and answers when it is awake."""
    with shared.trouble():
        shared.traffic.paused = True
        pause(0.5)
        shared.do(shared.wire.sleep(seconds))
        headers = {"Authorization": f"Bearer {sign('sleepy', SECRET, seconds=60)}"}
        with httpx.Client(base_url=shared.service.url, headers=headers, timeout=10) as client:
            began = time.monotonic()
            assert client.get("/tasks").status_code == first
            assert time.monotonic() - began < ANSWER_SECONDS
            assert wait_for(lambda: client.get("/tasks").status_code == 200, 5)
        shared.traffic.paused = False
        pause(0.5)


# What it says


def test_too_many_connections(shared):
    with shared.trouble() as seen:
        shared.admin("ALTER ROLE api CONNECTION LIMIT 0")
        shared.cut_sessions()
        pause(2)
        assert 503 in statuses(seen())
        shared.admin("ALTER ROLE api CONNECTION LIMIT -1")


def test_a_server_that_only_reads(shared):
    with shared.trouble() as seen:
        shared.admin("ALTER ROLE api SET default_transaction_read_only = on")
        shared.cut_sessions()
        pause(2)
        assert statuses(seen("read")) == {200}
        assert 503 in statuses(seen("write"))
        shared.admin("ALTER ROLE api RESET default_transaction_read_only")
        shared.cut_sessions()


@pytest.mark.parametrize("setting", ["statement_timeout", "lock_timeout", None])
def test_a_lock_that_is_held(shared, setting):
    """It is one user's trouble: no breaker opens, and others are served. PostgreSQL gives up, or we do."""
    if setting:
        shared.admin(f"ALTER ROLE api SET {setting} = '300ms'")
        shared.cut_sessions()
        pause(0.3)
    user = f"locked-{setting}"
    headers = {"Authorization": f"Bearer {sign(user, SECRET, seconds=60)}"}
    with shared.trouble() as seen, httpx.Client(base_url=shared.service.url, headers=headers) as client:
        task = client.post("/tasks", json={"text": "x"}).json()
        with locked(shared, user):
            for _ in range(3 if setting else 1):
                began = time.monotonic()
                refused = client.patch(f"/tasks/{task['id']}", json={"order": 1}, timeout=10)
                assert refused.status_code == 503
                assert ("may have been made or not" in refused.json()["message"]) is (setting is None)
                assert time.monotonic() - began < ANSWER_SECONDS
            assert client.get("/tasks").status_code == 200
        assert client.patch(f"/tasks/{task['id']}", json={"order": 1}).status_code == 200
        if setting:
            shared.admin(f"ALTER ROLE api RESET {setting}")
            shared.cut_sessions()
        assert statuses(seen("read")) == {200}


def test_statements_that_cannot_be_serialized(shared):
    """Writers of one user at once, where PostgreSQL lets only one of them win (40001)."""
    shared.admin("ALTER ROLE api SET default_transaction_isolation = serializable")
    shared.cut_sessions()
    headers = {"Authorization": f"Bearer {sign('racing', SECRET, seconds=60)}"}

    async def race() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=shared.service.url, headers=headers, timeout=10) as client:
            creates = (client.post("/tasks", json={"text": f"racing {number}"}) for number in range(60))
            return await asyncio.gather(*creates)

    with shared.trouble():
        answers = shared.do(race())
        shared.admin("ALTER ROLE api RESET default_transaction_isolation")
        shared.cut_sessions()
    assert {answer.status_code for answer in answers} <= {201, 503}
    made = [answer.json()["text"] for answer in answers if answer.status_code == 201]
    rows = shared.admin("SELECT text FROM tasks WHERE user_id = 'racing'")
    assert sorted(row["text"] for row in rows) == sorted(made)
    assert len(made) > 20


def test_a_migration_that_runs(shared):
    """It locks the table for two seconds, adds a column, and changes the type of another."""
    with shared.trouble() as seen:
        shared.script("BEGIN; LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(2); COMMIT")
        shared.admin("ALTER TABLE tasks ADD COLUMN later integer DEFAULT 7")
        shared.admin("ALTER TABLE tasks ALTER COLUMN text TYPE varchar(600)")
        pause(0.5)
        shared.admin("ALTER TABLE tasks DROP COLUMN later, ALTER COLUMN text TYPE varchar(500)")
        assert seen()


# Who calls, and what runs it


def test_callers_who_leave_while_their_statement_waits(shared):
    user = "leaving"
    token = sign(user, SECRET, seconds=600)
    waiting = "SELECT 1 FROM pg_stat_activity WHERE usename = 'api' AND wait_event_type = 'Lock'"
    with httpx.Client(base_url=shared.service.url, headers={"Authorization": f"Bearer {token}"}) as client:
        task = client.post("/tasks", json={"text": "x"}).json()
    with shared.trouble() as seen, locked(shared, user):
        for _ in range(25):
            callers = [
                raw_request(shared.service.port, "PATCH", f"/tasks/{task['id']}", token, b'{"order": 1}')
                for _ in range(20)
            ]
            pause(0.1)
            for caller in callers:
                caller.close()
        # Well before DATABASE_TIMEOUT would have ended them.
        assert wait_for(lambda: not shared.admin(waiting), 1.5)
        assert seen("read")
    assert shared.admin('SELECT 1 FROM tasks WHERE user_id = $1 AND "order" = 1', user) == []


def test_a_worker_that_is_killed(shared):
    before = set(shared.workers())
    with shared.trouble(broken=6):
        os.kill(min(before), signal.SIGKILL)
        assert wait_for(lambda: len(set(shared.workers()) - before) == 1, 5)
    shared.service.started(workers=3)


def test_a_worker_that_stands_still(shared):
    """As one whose event loop is blocked: who is with it waits, and nobody is lost."""
    worker = min(shared.workers())
    with shared.trouble() as seen:
        os.kill(worker, signal.SIGSTOP)
        pause(2)
        os.kill(worker, signal.SIGCONT)
        pause(0.5)
        assert statuses(seen("read write live")) == {200, 201}


def test_a_worker_without_file_descriptors(shared):
    """Callers who come then wait; those who are connected are served, and everybody is afterwards."""
    with ExitStack() as stack, shared.trouble() as seen:
        for worker in shared.workers():
            limits = resource.prlimit(worker, resource.RLIMIT_NOFILE)
            stack.callback(resource.prlimit, worker, resource.RLIMIT_NOFILE, limits)
            resource.prlimit(worker, resource.RLIMIT_NOFILE, (open_files(worker) + 20, limits[1]))
        callers = [socket.create_connection(("127.0.0.1", shared.service.port)) for _ in range(200)]
        pause(1.5)
        assert statuses(seen("live")) == {200}
        assert "Can't accept connections" in shared.service.output
        for caller in callers:
            caller.close()
        pause(1.5)  # it looks again every second
        assert httpx.get(f"{shared.service.url}/health/live", timeout=5).status_code == 200


@pytest.mark.parametrize("fate", ["blocked", "closed", "full"])
def test_a_log_that_nobody_can_write_to(shared, tmp_path, fate):
    """A pipe that nobody reads, or that is closed, and a full disk."""
    reading, writing = (-1, os.open("/dev/full", os.O_WRONLY)) if fate == "full" else os.pipe()
    if fate == "blocked":
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)  # some twenty lines
    port = free_port()
    environment = Commands(tmp_path, covered=False).environment(
        environment="production",
        database_url=f"postgresql://api@127.0.0.1:{shared.wire.port}/postgres",
        better_auth_secret=SECRET,
        port=port,
        data_dir=tmp_path / "data",
    )
    service = subprocess.Popen(
        [BIN / "tasks-api", "serve"], cwd=tmp_path, env=environment, stdout=writing, stderr=writing
    )
    os.close(writing)
    try:
        headers = {"Authorization": f"Bearer {sign('x', SECRET, seconds=60)}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=3) as client:
            assert wait_for(lambda: _lives(client), 30)
            if fate == "closed":
                os.close(reading)
            assert {client.get("/tasks").status_code for _ in range(60)} == {200}
    finally:
        service.terminate()
        service.wait(10)
        if fate == "blocked":
            os.close(reading)


def _lives(client: httpx.Client) -> bool:
    try:
        return client.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def test_keys_that_cannot_be_fetched(shared, tmp_path):
    """The front end's server takes the call and says nothing: 503 in time, and nobody else notices."""
    private = Ed25519PrivateKey.generate()
    claims = {"sub": "x", "exp": time.time() + 60, "iss": "http://127.0.0.1", "aud": "http://127.0.0.1"}
    token = jwt.encode(claims, private, algorithm="EdDSA", headers={"kid": "unknown"})
    with shared.trouble() as seen, ThreadPoolExecutor(8) as pool:

        def ask(_number: int) -> tuple[int, str | None, float]:
            began = time.monotonic()
            headers = {"Authorization": f"Bearer {token}"}
            answer = httpx.get(f"{shared.service.url}/tasks", headers=headers, timeout=10)
            return answer.status_code, answer.headers.get("Retry-After"), time.monotonic() - began

        answers = list(pool.map(ask, range(16)))
        assert {answer[:2] for answer in answers} == {(503, "5")}
        assert max(seconds for _, _, seconds in answers) < ANSWER_SECONDS
        pause(0.3)
        assert statuses(seen()) == {200, 201}

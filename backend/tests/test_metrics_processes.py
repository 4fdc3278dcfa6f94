"""/metrics over several worker processes: one truth, whichever is asked, and whichever of them was killed."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from app.errors import ConfigurationError
from app.exposition import FOLDER, _forget_the_dead, shared_folder
from tests.conftest import SECRET
from tests.live import token
from tests.servers import START_SECONDS, Commands, Service, processes_of, wait_for
from tests.test_metrics import SECONDS, samples, value

UVICORN = ("uvicorn", "app.main:app", "--port", "{port}", "--log-level", "info")
LIVE = {"method": "GET", "route": "/health/live", "status": "2xx"}


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Commands:
    return Commands(tmp_path_factory.mktemp("checkout"), covered=False)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the folder is made, instead of in memory."""
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.fixture
def serving(commands: Commands, data_dir: Path, database_url: str, place: Path) -> Callable:
    def start(*command: str, **variables: Any):
        given: dict[str, Any] = {"database_url": database_url, "better_auth_secret": SECRET} | variables
        return commands.start(*(command or ("tasks-api", "serve")), data_dir=data_dir, **given)

    return start


def scrape(service: Service):
    answer = httpx.get(f"{service.url}/metrics")
    assert answer.status_code == 200, answer.text
    return samples(answer.text)


def live(service: Service, times: int) -> None:
    """Call so often, each time over a connection of its own, so that every worker gets some."""
    for _ in range(times):
        httpx.get(f"{service.url}/health/live")


def workers_of(service: Service) -> set[int]:
    """Those that have written a count of what is in flight."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
    return {int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()}


@pytest.mark.slow
def test_workers_put_their_counts_together_and_the_folder_goes_with_them(serving, place):
    with serving(workers=2, **{FOLDER: place}) as service:
        service.started(workers=2)
        before = value(scrape(service), f"{SECONDS}_count", **LIVE)
        live(service, 60)
        assert wait_for(lambda: len(list(place.glob("*/histogram_*.db"))) == 2, START_SECONDS)
        for _ in range(6):
            found = scrape(service)
            assert value(found, f"{SECONDS}_count", **LIVE) == before + 60
            assert value(found, "tasks_http_requests_in_flight") == 1
        assert not [name for name, _ in found if name.startswith("process_")]
        assert service.ends_after(signal.SIGTERM)
    assert list(place.iterdir()) == []


@pytest.mark.slow
def test_a_killed_worker_leaves_its_totals_and_nothing_in_flight(serving, place, database_url):
    with serving(workers=2, **{FOLDER: place}) as service:
        service.started(workers=2)
        live(service, 40)
        before = scrape(service)
        held = [open_stream(service) for _ in range(8)]
        assert value(scrape(service), "tasks_event_streams") == 8
        for pid in workers_of(service):
            os.kill(pid, signal.SIGKILL)
        for connection in held:
            connection.close()
        up = "Application startup complete."
        assert wait_for(lambda: service.output.count(up) == 4, START_SECONDS), service.output
        found = scrape(service)
        assert value(found, f"{SECONDS}_count", **LIVE) >= value(before, f"{SECONDS}_count", **LIVE) >= 40
        assert value(found, "tasks_event_streams") == 0
        assert value(found, "tasks_http_requests_in_flight") == 1


def open_stream(service: Service) -> socket.socket:
    """Open a stream of events and leave it open."""
    connection = socket.create_connection(("127.0.0.1", service.port))
    head = f"GET /tasks/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token('alice')}\r\n\r\n"
    connection.sendall(head.encode())
    assert b"200 OK" in connection.recv(4096)
    return connection


@pytest.mark.slow
def test_one_process_alone_needs_no_folder(serving, data_dir):
    for command in [(), UVICORN]:
        with serving(*command) as service:
            service.started()
            live(service, 3)
            found = scrape(service)
            assert value(found, f"{SECONDS}_count", **LIVE) >= 3
            assert value(found, "process_resident_memory_bytes") > 0
            assert service.ends_after(signal.SIGTERM)
            assert not processes_of(data_dir)


@pytest.mark.slow
def test_workers_of_another_supervisor_tell_nothing_rather_than_half(serving, place):
    with serving(*UVICORN, "--workers", "2") as service:
        service.started(workers=2)
        answer = httpx.get(f"{service.url}/metrics")
        assert answer.status_code == 503
        assert answer.json()["error"] == "SERVICE_UNAVAILABLE"
        assert FOLDER in answer.json()["message"]
        assert service.ends_after(signal.SIGTERM)
    with serving(*UVICORN, "--workers", "2", **{FOLDER: place}) as service:
        service.started(workers=2)
        live(service, 20)
        assert value(scrape(service), f"{SECONDS}_count", **LIVE) >= 20


@pytest.mark.slow
def test_there_is_no_folder_where_nothing_is_counted(serving, place):
    with serving(workers=2, metrics="off", **{FOLDER: place}) as service:
        service.started(workers=2)
        assert httpx.get(f"{service.url}/metrics").status_code == 404
        assert list(place.iterdir()) == []


def test_a_place_that_is_not_there_is_refused_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER, str(tmp_path / "nowhere"))
    with pytest.raises(ConfigurationError, match=f"^{FOLDER}: no folder can be made"), shared_folder():
        pass
    assert os.environ[FOLDER] == str(tmp_path / "nowhere")


def test_the_folder_is_there_inside_and_gone_after(monkeypatch):
    monkeypatch.delenv(FOLDER, raising=False)
    with shared_folder():
        folder = Path(os.environ[FOLDER])
        assert folder.is_dir()
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()
    assert FOLDER not in os.environ


def test_two_that_ask_at_once_forget_the_same_dead(tmp_path, monkeypatch):
    """Whoever comes second finds the file gone that it was about to remove."""
    monkeypatch.setenv(FOLDER, str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    barrier = threading.Barrier(2)
    remove = os.remove

    def remove_together(path: str) -> None:
        barrier.wait(10)
        remove(path)

    monkeypatch.setattr(os, "remove", remove_together)
    (tmp_path / f"gauge_livesum_{ended.pid}.db").touch()
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(_forget_the_dead, tmp_path) for _ in range(2)]
        assert [one.result(10) for one in asked] == [None, None]
    assert list(tmp_path.iterdir()) == []

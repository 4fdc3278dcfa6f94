"""Two instances of the service behind a real HAProxy with the configuration that is shipped, and clients."""

import asyncio
import csv
import itertools
import shutil
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx2 as httpx

from app.config import BACKEND
from tests.live import token
from tests.servers import START_SECONDS, Commands, Service, free_port, wait_for

CONFIGURATION = BACKEND.parent / "deploy/haproxy.cfg"
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin") or "haproxy"
NAMES = ("tasks1", "tasks2")


@dataclass
class Balancer:
    """HAProxy, running."""

    url: str
    ports: dict[str, int]
    control: Path

    def statistics(self) -> dict[str, dict[str, str]]:
        """What it knows of each server, by the names of its statistics (HAProxy's management guide, 9.1)."""
        rows = csv.DictReader(self.told("show stat").removeprefix("# ").splitlines())
        return {row["svname"]: row for row in rows if row["svname"] in NAMES}

    def told(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self.control))
            asking.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: asking.recv(65_536), b"")).decode()

    def is_up(self, name: str) -> bool:
        return self.statistics()[name]["status"] == "UP"

    def count(self, statistic: str) -> int:
        return sum(int(row[statistic]) for row in self.statistics().values())


@contextmanager
def balancer(folder: Path) -> Iterator[Balancer]:
    """Run HAProxy in front of two ports where nothing listens yet."""
    front, ports = free_port(), {name: free_port() for name in NAMES}
    text = CONFIGURATION.read_text()
    changes = {"bind :8080": f"bind 127.0.0.1:{front}"}
    changes |= {f":800{number}": f":{port}" for number, port in enumerate(ports.values(), start=1)}
    for shipped, ours in changes.items():
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, ours)
    (folder / "shipped.cfg").write_text(text)
    control = folder / "control"
    (folder / "control.cfg").write_text(f"global\n    stats socket {control} mode 600 level admin\n")
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(
            [HAPROXY, "-db", "-f", folder / "shipped.cfg", "-f", folder / "control.cfg"],
            stdout=log,
            stderr=log,
        )
    try:
        assert wait_for(control.exists, START_SECONDS), (folder / "haproxy.log").read_text()
        yield Balancer(f"http://127.0.0.1:{front}", ports, control)
    finally:
        process.terminate()
        process.wait()


class Instance:
    """One of the two, which can be started again."""

    def __init__(self, commands: Commands, name: str, port: int, folder: Path, **settings: object) -> None:
        self.name = name
        self._start = lambda: commands.start(
            "tasks-api", "serve", data_dir=folder / name, port=port, **settings
        )
        self._running = ExitStack()
        self.service: Service

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def start(self) -> None:
        with ExitStack() as stack:
            self.service = stack.enter_context(self._start()).started()
            self._running = stack.pop_all()

    def restart(self, stop: Any) -> None:
        stop(self.service)
        self._running.close()
        self.start()


@dataclass
class Traffic:
    """Clients that keep their connections, and what became of each of their requests."""

    url: str
    users: list[str]
    statuses: Counter[tuple[str, object]] = field(default_factory=Counter)
    created: dict[str, list[str]] = field(default_factory=dict)
    slowest: float = 0
    _ends: bool = False

    async def run(self) -> None:
        """Read, create with a key, and change, until `stop`; nothing is tried again."""
        await asyncio.gather(*(self._client(user) for user in self.users))

    def stop(self) -> None:
        self._ends = True

    async def _client(self, user: str) -> None:
        texts = self.created[user] = []
        headers = {"Authorization": f"Bearer {token(user)}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=10) as client:
            for number in itertools.count():
                if self._ends:
                    return
                text = f"{user} {number}"
                key = {"Idempotency-Key": text.replace(" ", "-")}
                made = await self._ask(client, "POST", "/tasks", json={"text": text}, headers=key)
                if made is not None:
                    texts.append(text)
                    path = f"/tasks/{made['id']}"
                    await self._ask(client, "PATCH", path, json={"completed": True})
                    await self._ask(client, "GET", path)
                await self._ask(client, "GET", "/tasks?limit=20")
                await asyncio.sleep(0.02)

    async def _ask(self, client: httpx.AsyncClient, method: str, path: str, **options: Any) -> Any:
        began = time.monotonic()
        try:
            answer = await client.request(method, path, **options)
        except httpx.HTTPError as error:
            self.statuses[method, type(error).__name__] += 1
            return None
        finally:
            self.slowest = max(self.slowest, time.monotonic() - began)
        self.statuses[method, answer.status_code] += 1
        return answer.json() if answer.is_success else None

    @property
    def failed(self) -> dict[tuple[str, object], int]:
        good = {("POST", 201), ("PATCH", 200), ("GET", 200)}
        return {what: times for what, times in self.statuses.items() if what not in good}

"""Two instances of the service behind a real HAProxy with the configuration that is shipped, and clients."""

import asyncio
import csv
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx2 as httpx
from prometheus_client.parser import text_string_to_metric_families

from app.config import BACKEND
from tests.live import token
from tests.servers import START_SECONDS, Commands, Service, free_port, wait_for
from tests.watching import HAPROXY_RULES, rules

CONFIGURATION = BACKEND.parent / "deploy/haproxy.cfg"
HAPROXY = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin") or "haproxy"
NAMES = ("tasks1", "tasks2")


@dataclass
class Balancer:
    """HAProxy, running."""

    port: int
    metrics_port: int
    ports: dict[str, int]
    control: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def statistics(self) -> dict[str, dict[str, str]]:
        """What it knows of each server for tasks, and of them all as BACKEND (management guide, 9.1)."""
        rows = csv.DictReader(self.told("show stat").removeprefix("# ").splitlines())
        return {row["svname"]: row for row in rows if row["pxname"] == "tasks"}

    def told(self, command: str) -> str:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self.control))
            asking.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: asking.recv(65_536), b"")).decode()

    def refused(self) -> float:
        """How many requests for tasks it has answered 5xx itself, by the figures that its alert goes by."""
        text = httpx.get(f"http://127.0.0.1:{self.metrics_port}/metrics").raise_for_status().text
        samples = [one for family in text_string_to_metric_families(text) for one in family.samples]
        (alert,) = (rule for rule in rules(HAPROXY_RULES) if rule.name == "TasksRefusedByHAProxy")
        all_of_them, of_its_servers = (
            sum(one.value for one in samples if one.name == name and wanted.items() <= one.labels.items())
            for name, wanted in _selected(alert.expression)
        )
        return all_of_them - of_its_servers

    def is_up(self, name: str) -> bool:
        return self.statistics()[name]["status"] == "UP"

    def is_down(self, name: str) -> bool:
        """Whether it is given nothing any more; on its way there it still is."""
        return self.statistics()[name]["status"] == "DOWN"

    def count(self, statistic: str) -> int:
        rows = self.statistics()
        return sum(int(rows[name][statistic]) for name in NAMES)

    def most_queued(self) -> int:
        """How many waited for an instance at the same time, at most."""
        return int(self.statistics()["BACKEND"]["qmax"]) + self.count("qmax")


def _selected(expression: str) -> list[tuple[str, dict[str, str]]]:
    """Find the counters of an expression, each with the labels that it must have."""
    found = re.findall(r"(\w+)\{(.*?)\}\[", expression)
    return [(name, dict(re.findall(r'(\w+)="(.*?)"', labels))) for name, labels in found]


@contextmanager
def balancer(
    folder: Path, given: Mapping[str, int] | None = None, changes: Mapping[str, str] | None = None
) -> Iterator[Balancer]:
    """Run HAProxy in front of the ports that are given, and of others where nothing listens yet.

    `changes` says what else is not as it is shipped.
    """
    front, metrics = free_port(), free_port()
    ports = {name: free_port() for name in NAMES} | dict(given or {})
    text = CONFIGURATION.read_text()
    addresses = {"bind :8080": f"bind 127.0.0.1:{front}", "127.0.0.1:8404": f"127.0.0.1:{metrics}"}
    addresses |= {f":800{number}": f":{port}" for number, port in enumerate(ports.values(), start=1)}
    for shipped, ours in (addresses | dict(changes or {})).items():
        assert shipped in text
        text = text.replace(shipped, ours)
    folder.mkdir(exist_ok=True)
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
        yield Balancer(front, metrics, ports, control)
    finally:
        process.terminate()
        process.wait()


def kill(service: Service) -> None:
    """End an instance as a machine does that loses its power."""
    os.killpg(service.process.pid, signal.SIGKILL)
    service.process.wait()


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

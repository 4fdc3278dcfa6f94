"""Round trips of each endpoint, counted on the wire, and its latency where each of them takes 5 ms longer."""

import http.client
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from bench.data import SMALL, token
from bench.figures import Figure
from bench.goals.server import Server, alone, port_of, prepare, serving
from bench.wire import Wire

EACH_WAY = 0.0025
ROUNDS = 20
_WARM_ROUNDS = 2  # the connection and its statements are made once
_MILLISECONDS = 8
_FAILED = 400


@dataclass
class Caller:
    """One user on one kept connection, who takes down milliseconds and round trips of each request."""

    connection: http.client.HTTPConnection
    wire: Wire
    user_id: str = SMALL[0]
    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    trips: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    etag: str | None = None  #: of the last answer

    def __post_init__(self) -> None:
        self._token = token(self.user_id)

    def ask(self, name: str, method: str, path: str, body: object = None, **headers: str) -> dict[str, Any]:
        """Send a request; raises RuntimeError when it fails, for that would cost something else."""
        headers |= {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        text = None if body is None else json.dumps(body)
        before, started = self.wire.round_trips, time.perf_counter()
        self.connection.request(method, path, text, headers)
        answer = self.connection.getresponse()
        content = answer.read()
        self.latencies[name].append((time.perf_counter() - started) * 1000)
        self.trips[name].append(self.wire.round_trips - before)
        if answer.status >= _FAILED:
            raise RuntimeError(f"{method} {path}: {answer.status} {content!r}")
        self.etag = answer.headers["ETag"]
        found: dict[str, Any] = json.loads(content or "{}")
        return found

    def forget(self) -> None:
        """Leave out what was asked so far."""
        self.latencies.clear()
        self.trips.clear()


def measure(server: Server) -> list[Figure]:
    """Ask ours for everything, and the textbook for what it has."""
    prepare(server, "textbook")
    ours, trips = _asked(server, "ours", _everything)
    textbook, others = _asked(server, "textbook", _shared)
    most = [max(found) for found in trips.values()]
    return [
        Figure("round trips of an endpoint", "", most, 1, always=True),
        Figure("round trips of an endpoint of the textbook", "", [max(found) for found in others.values()]),
        *(Figure(f"database 5 ms away: {name}", "ms", found, _MILLISECONDS) for name, found in ours.items()),
        *(Figure(f"database 5 ms away: {name}, textbook", "ms", found) for name, found in textbook.items()),
    ]


def _asked(
    server: Server, name: str, ask_all: Callable[[Caller], None]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Let a system be asked for all of it in rounds, its database away; return latencies and round trips."""
    with _away(server) as (wire, url), serving(server, name, through=url) as target:
        connection = http.client.HTTPConnection("127.0.0.1", port_of(target))
        with closing(connection):
            caller = Caller(connection, wire)
            for number in range(_WARM_ROUNDS + ROUNDS):
                if number == _WARM_ROUNDS:
                    caller.forget()
                ask_all(caller)
        return caller.latencies, caller.trips


@contextmanager
def _away(server: Server) -> Iterator[tuple[Wire, str]]:
    """Put a proxy before the database; return it, and the way through it."""
    parts = urlsplit(server.url)
    (upstream,) = parse_qs(parts.query)["host"]
    with TemporaryDirectory(prefix="bench-") as folder, Wire(Path(folder), Path(upstream), EACH_WAY) as wire:
        yield wire, parts._replace(query=f"host={quote(folder)}").geturl()


def _shared(caller: Caller) -> None:
    """Ask for what all measured systems have; the list is as before afterwards."""
    path = f"/tasks/{caller.ask('create', 'POST', '/tasks', {'text': 'Buy milk'})['id']}"
    caller.ask("list", "GET", "/tasks")
    caller.ask("get", "GET", path)
    caller.ask("patch", "PATCH", path, {"completed": False})
    caller.ask("delete", "DELETE", path)
    caller.ask("health", "GET", "/health")


def _everything(caller: Caller) -> None:
    """Ask for that and for the rest; the trash is empty afterwards."""
    _shared(caller)
    first, second = (caller.ask("create", "POST", "/tasks", {"text": text})["id"] for text in "ab")
    caller.ask("list", "GET", "/tasks")
    caller.ask("list, unchanged", "GET", "/tasks", **{"If-None-Match": caller.etag or ""})
    caller.ask("part of the list", "GET", "/tasks?completed=false&limit=5&sort=-created_at")
    caller.ask("changes", "GET", "/tasks/changes")
    caller.ask("replace", "PUT", f"/tasks/{first}", {"text": "Buy bread", "completed": True})
    caller.ask("move", "POST", f"/tasks/{first}/move", {"before": second})
    caller.ask("batch", "POST", "/tasks/batch", {"operations": [{"op": "patch", "id": first, "order": 9}]})
    caller.ask("delete", "DELETE", f"/tasks/{first}")
    caller.ask("trash", "GET", "/tasks/trash")
    caller.ask("restore", "POST", f"/tasks/{first}/restore")
    for task in (first, second):
        caller.ask("delete", "DELETE", f"/tasks/{task}")
    caller.ask("delete for good", "DELETE", f"/tasks/trash/{first}")
    caller.ask("empty the trash", "DELETE", "/tasks/trash")


if __name__ == "__main__":
    alone(measure)

"""How long `tasks-api serve` takes to its first answer: database elsewhere, and the embedded one."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from app.config import BACKEND
from bench.credentials import SECRET
from bench.figures import Figure
from bench.goals.server import Server, alone, subject
from bench.subjects.processes import end, free_port

STARTS = 5
_SECONDS, _EMBEDDED_SECONDS = 1.5, 3
_LONGEST_SECONDS = 60
_POLL_SECONDS = 0.005


def measure(server: Server) -> list[Figure]:
    """Start by turns; the embedded database was made by a start that is not counted."""
    elsewhere = {"ENVIRONMENT": "production", "DATABASE_URL": subject().database(server.url)}
    with TemporaryDirectory(prefix="bench-") as folder:
        own = {"DATA_DIR": folder}
        first_answer(own)
        turns = [(first_answer(elsewhere), first_answer(own)) for _ in range(STARTS)]
    without, embedded = zip(*turns, strict=True)
    return [
        Figure("start to first 200, database elsewhere", "s", without, _SECONDS),
        Figure("start to first 200, embedded database started too", "s", embedded, _EMBEDDED_SECONDS),
    ]


def first_answer(settings: Mapping[str, str]) -> float:
    """Return the seconds from the start of the command to a 200 of /health, which asks the database."""
    port = free_port()
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(BACKEND), "PORT": str(port)}
    started = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - the project's own command
        [Path(sys.executable).with_name("tasks-api"), "serve"],
        cwd=BACKEND,
        env=environment | {"BETTER_AUTH_SECRET": SECRET} | dict(settings),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not _answers(port):
            if process.poll() is not None or time.perf_counter() - started > _LONGEST_SECONDS:
                raise RuntimeError(f"the service did not start with {settings}")
            time.sleep(_POLL_SECONDS)
        return time.perf_counter() - started
    finally:
        end(process)


def _answers(port: int) -> bool:
    """Ask as soon as the port is open: who calls early waits for the first answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), _LONGEST_SECONDS) as caller:
            caller.sendall(b"GET /health HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n")
            return caller.recv(4096).startswith(b"HTTP/1.1 200")
    except ConnectionError:
        return False


if __name__ == "__main__":
    alone(measure)

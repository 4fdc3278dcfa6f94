"""A real redis-server of the test's own, which it may freeze, kill and start again."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers import START_SECONDS, free_port, wait_for


class RedisServer:
    """On a port of this machine; it keeps nothing on a disk."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket_url(self) -> str:
        return f"unix://{self._folder}/redis.sock?db=0"

    def start(self) -> None:
        program = shutil.which("redis-server")
        assert program, "make test-faults installs redis-server"
        options = ["--bind", "127.0.0.1", "--unixsocket", str(self._folder / "redis.sock")]
        options += ["--save", "", "--appendonly", "no", "--dir", str(self._folder)]
        self._process = subprocess.Popen(
            [program, "--port", str(self.port), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        assert wait_for(self._answers, START_SECONDS)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask(self, *command: str) -> bytes:
        """Send an inline command; return the answer as it comes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as line:
            line.sendall(" ".join(command).encode() + b"\r\n")
            return line.recv(65_536)

    def charges(self) -> int:
        """Return how often a script was called."""
        calls = 0
        for line in self.ask("INFO", "commandstats").decode().splitlines():
            if line.startswith(("cmdstat_evalsha:", "cmdstat_eval:")):
                fields = dict(field.split("=") for field in line.partition(":")[2].split(","))
                calls += int(fields["calls"]) - int(fields["failed_calls"])
        return calls

    def _answers(self) -> bool:
        with suppress(OSError):
            return self.ask("PING") == b"+PONG\r\n"
        return False


@contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    server = RedisServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()

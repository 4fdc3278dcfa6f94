"""Server processes: a free port, the first answer, all that belong to one, and their end."""

import socket
import subprocess
import time
from contextlib import suppress
from urllib.error import URLError
from urllib.request import urlopen

from bench.processes import children

_START_SECONDS = 30
_END_SECONDS = 10
_POLL_SECONDS = 0.02


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    """Whether the process lives and answers 200 in time."""
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(URLError, ConnectionError, TimeoutError), urlopen(url, timeout=1) as answer:  # noqa: S310 - http
            return bool(answer.status == 200)  # noqa: PLR2004 - OK
        time.sleep(_POLL_SECONDS)
    return False


def tree(pid: int) -> list[int]:
    """List a process and all that come from it, as Linux knows them; one that has ended has none."""
    return [pid, *(found for child in children(pid) for found in tree(child))]


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and make it after a while."""
    process.terminate()
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

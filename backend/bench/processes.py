"""What Linux tells of processes: who belongs together, memory, connections."""

from contextlib import suppress
from pathlib import Path

_ESTABLISHED = "01"


def children(pid: int) -> list[int]:
    """Return the processes that a process started and that still live."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # it has ended meanwhile
            found += [int(child) for child in task.read_text().split()]
    return found


def workers(pid: int) -> list[int]:
    """Return the worker processes of a `tasks-api serve`: itself when it has one only."""
    spawned = [child for child in children(pid) if b"spawn_main" in _command_line(child)]
    return spawned or [pid]


def _command_line(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def resident_megabytes(pid: int) -> float:
    """Return what a process has in memory (RSS), what it shares included."""
    return rollup(Path(f"/proc/{pid}/smaps_rollup").read_text())["Rss"] / 1024


def rollup(text: str) -> dict[str, int]:
    """Read /proc/PID/smaps_rollup: kilobytes by name."""
    lines = [line.split() for line in text.splitlines()]
    return {name.rstrip(":"): int(value) for name, value, unit, *_ in lines if unit == "kB"}


def connections(pid: int, port: int) -> int:
    """Return how many connections to this port of 127.0.0.1 a process holds."""
    there = established(Path("/proc/net/tcp").read_text(), port)
    held = 0
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # it was closed meanwhile
            held += str(file.readlink()) in there
    return held


def established(text: str, port: int) -> set[str]:
    """Read /proc/net/tcp: the accepted connections of a port, named as in /proc/PID/fd.

    One that nobody has accepted yet has no inode.
    """
    rows = [line.split() for line in text.splitlines()[1:]]
    return {
        f"socket:[{row[9]}]"
        for row in rows
        if row[1].endswith(f":{port:04X}") and row[3] == _ESTABLISHED and row[9] != "0"
    }

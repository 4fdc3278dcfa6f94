"""CPU time of process trees, as the operating system accounts for it."""

import ctypes
import os
import time
from collections.abc import Iterable
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_CHILDREN = slice(13, 15)  # cutime and cstime, counted from behind the name (proc_pid_stat(5))
_libc = ctypes.CDLL(None)


def cpu_seconds(pids: Iterable[int]) -> float:
    """Sum what processes have used so far, user and system, with all children that they have waited for.

    Whole trees give the whole sum: what ends in between goes over to its parent. It goes back only where
    a process ended that nobody's parent here has waited for.
    """
    return sum(map(_used, pids))


def _used(pid: int) -> float:
    """Read a process's own clock, which has nanoseconds, and of its ended children what `stat` has: ticks."""
    clock = ctypes.c_int()
    try:
        if _libc.clock_getcpuclockid(pid, ctypes.byref(clock)):
            return 0  # ended since it was found
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return time.clock_gettime(clock.value) + sum(map(int, fields[_CHILDREN])) / _TICKS
    except OSError:
        return 0


def busy_seconds() -> tuple[float, float]:
    """Return what all processors together have worked, and idled, since the start of the machine."""
    return busy(Path("/proc/stat").read_text())


def busy(text: str) -> tuple[float, float]:
    """Read /proc/stat: user, nice, system and interrupt time; idle time and waiting for disks."""
    user, nice, system, idle, waiting, irq, softirq, *_ = map(int, text.split("\n", 1)[0].split()[1:])
    return (user + nice + system + irq + softirq) / _TICKS, (idle + waiting) / _TICKS

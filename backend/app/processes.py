"""How long a child process may live, what is done before a process ends, and how often it collects cycles."""

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from types import FrameType

_PR_SET_PDEATHSIG = 1  # prctl(2)

# Loaded here, in the parent: between fork and exec nothing may be imported.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def end_with_parent(number: signal.Signals) -> None:
    """Ask the kernel to send this process `number` when its parent dies, however it dies.

    Linux only, elsewhere it does nothing. The signal follows the *thread* that started the child,
    so children are started from the main thread.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(number))


def end_with_supervisor() -> None:
    """In a worker process: leave in good order as soon as the supervisor is gone, however it went.

    Works everywhere, and also when the supervisor was gone before this was called. Elsewhere than in a
    worker process it does nothing.
    """
    supervisor = multiprocessing.parent_process()

    if supervisor is not None:
        threading.Thread(target=_leave_after, args=[supervisor], daemon=True).start()


def _leave_after(supervisor: BaseProcess) -> None:
    supervisor.join()
    os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def before_signals(prepare: Callable[[], None]) -> Iterator[None]:
    """Call `prepare` when SIGTERM or SIGINT comes, before whoever handles it now.

    A server that stops waits for open answers first and tells the application afterwards: too late for
    answers that only end when they are told to. Elsewhere than in the main thread it does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def handle(number: int, frame: FrameType | None) -> None:
        prepare()
        handler = before[signal.Signals(number)]
        if callable(handler):
            handler(number, frame)

    ours = [number for number, handler in before.items() if callable(handler)]
    for number in ours:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in ours:
            if signal.getsignal(number) is handle:
                signal.signal(number, before[number])


def collect_less_often() -> None:
    """Let CPython look for cycles less often than it does by itself.

    A full look walks everything that lives, and nothing else runs meanwhile: with thousands of open answers
    more than a second. With many objects of short life it comes far too often for what it finds.
    """
    gc.set_threshold(10_000, 20, 50)


def lives(pid: int) -> bool:
    """Whether there is a process of this number, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != 0  # which os.kill takes for the whole process group

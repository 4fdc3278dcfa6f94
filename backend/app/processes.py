"""How long a child process may live, and how often a process collects cycles."""

import ctypes
import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing.process import BaseProcess

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


def end_with_supervisor(seconds: float) -> None:
    """In a worker process: leave in good order, in so many seconds, when the supervisor is gone.

    Works everywhere, and also when the supervisor was gone before this was called. Elsewhere than in a
    worker process it does nothing.
    """
    supervisor = multiprocessing.parent_process()

    if supervisor is not None:
        threading.Thread(target=_leave_after, args=[supervisor, seconds], daemon=True).start()


def _leave_after(supervisor: BaseProcess, seconds: float) -> None:
    supervisor.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(seconds)  # this thread ends with the process
    os._exit(0)


def collect_less_often() -> None:
    """Let CPython look for cycles less often than it does by itself, and not among what is there by now.

    A full look walks everything that lives, and nothing else runs meanwhile: 45 ms for what a service is
    made of, and with thousands of open answers more than a second. With many objects of short life it comes
    far too often for what it finds (docs.python.org, gc.freeze).
    """
    gc.collect()
    gc.freeze()
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

"""How long a child process may live."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
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

"""How long a child process may live."""

import ctypes
import signal
import sys

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

"""Time that passes at once: an event loop that never sleeps, but sets its clock to when it would wake.

For rules about time that a busy machine would make wrong. Nothing outside of the process may be waited for.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import ParamSpec

Args = ParamSpec("Args")


class _Instant(asyncio.SelectorEventLoop):
    """Whose `time` moves by what it is asked to wait, and by nothing else."""

    def __init__(self) -> None:
        self._seconds = 0.0
        super().__init__(_NeverWaiting(self._pass))

    def time(self) -> float:
        return self._seconds

    def _pass(self, seconds: float) -> None:
        self._seconds += seconds


class _NeverWaiting(selectors.DefaultSelector):
    def __init__(self, wait: Callable[[float], None]) -> None:
        super().__init__()
        self._wait = wait

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits for what can't come")
        self._wait(max(timeout, 0))
        return super().select(0)


def now() -> float:
    """The time of the loop that runs."""
    return asyncio.get_running_loop().time()


def instantly(test: Callable[Args, Coroutine[None, None, None]]) -> Callable[Args, None]:
    """Run a test on such a loop."""

    @wraps(test)
    def run(*args: Args.args, **kwargs: Args.kwargs) -> None:
        with asyncio.Runner(loop_factory=_Instant) as runner:
            runner.run(test(*args, **kwargs))

    return run

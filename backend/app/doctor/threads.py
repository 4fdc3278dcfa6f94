"""Threads that the end does not wait for."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")


class Unattended(ThreadPoolExecutor):
    """Threads for which the end does not wait: a broken resolver may take minutes to find no host."""

    def submit(
        self, fn: Callable[Given, Result], /, *args: Given.args, **kwargs: Given.kwargs
    ) -> Future[Result]:
        """Call a function in a thread of its own."""
        future: Future[Result] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(fn(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - it is for whoever waits for the result
                future.set_exception(error)

        Thread(target=call, daemon=True).start()
        return future

"""Callers who leave before they are answered: what is done for them only is given up."""

import asyncio

from starlette.types import Receive

#: Most answers are there sooner. Whoever waits longer waits for a lock or a database in trouble, and it is
#: worth looking whether there is still somebody to answer.
_LOOK_AFTER_SECONDS = 0.05


class Departure:
    """Watches whether the caller of the running task's request leaves, and then cancels the task.

    A server tells a handler nothing by itself: it has to be asked for the next message. Made when the body is
    read; `end` it in any case. It costs a timer, and a task only when the answer takes long.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._task = asyncio.current_task()
        self._looking: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(_LOOK_AFTER_SECONDS, self._look)
        self.happened = False

    def end(self) -> None:
        """Stop watching; the answer is the server's matter from here."""
        self._timer.cancel()
        if self._looking is not None:
            self._looking.cancel()

    def _look(self) -> None:
        self._looking = asyncio.get_running_loop().create_task(self._until_left())

    async def _until_left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass  # what is left of a body that nobody wanted
        if self._task is not None:
            self.happened = True
            self._task.cancel()

    def accept(self) -> None:
        """Take back the cancelling, once it has done what it was for."""
        if self._task is not None:
            self._task.uncancel()

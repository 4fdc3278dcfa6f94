"""Tasks offline: a copy, a queue, and the way back. docs/sync.md explains it; sync.ts is the same."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from api import Api, ApiError
from tasks import Operation, Task, batched, shown, told

State = dict[str, Any]  # `batch`: so many from the front of `queue` go out with this key
OnConflict = Callable[[Operation, ApiError], Awaitable[None]]


class TaskSync:
    """`save` keeps the state where it outlives the process; `on_conflict` hears of what was refused."""

    def __init__(self, api: Api, save: Callable[[State], Awaitable[None]], on_conflict: OnConflict) -> None:
        self.api, self._save, self._on_conflict, self._turn = api, save, on_conflict, asyncio.Lock()
        self.state: State = {"known": {}, "revision": None, "queue": [], "batch": None}

    @property
    def tasks(self) -> dict[str, Task]:
        return shown(self.state["known"], self.state["queue"])

    async def add(self, operation: Operation) -> None:
        """Queue an operation, offline or not; it is kept when this returns."""
        self.state["queue"].append(operation)
        await self._save(self.state)

    async def sync(self) -> None:
        """Send, then fetch, one call after the other. If it fails, nothing is lost: call it again."""
        async with self._turn:
            await self._push(self.state, self.state["queue"])
            await self._pull(self.state)

    async def _push(self, state: State, queue: list[Operation]) -> None:
        while queue:
            state["batch"] = state["batch"] or {"key": str(uuid.uuid4()), "size": min(len(queue), 100)}
            await self._save(state)  # before it goes out, so that it can go out again as it was
            sent = queue[: state["batch"]["size"]]
            try:
                answer = await self.api.ask("/tasks/batch", batched(sent), state["batch"]["key"])
            except ApiError as error:
                if error.place is None:
                    raise
                await self._pull(state)  # on_conflict finds in `known` what the others made of the task
                await self._on_conflict(sent[error.place], error)
                del queue[error.place]
            else:
                del queue[: len(sent)]
                made = dict(zip((each["id"] for each in sent), answer["results"], strict=True))
                if answer["revision"] > (state["revision"] or 0):  # else it was fetched since
                    state["known"] = told(state["known"], made)
                for each in queue:
                    if "if_match" in each and made.get(each["id"]):
                        each["if_match"] = made[each["id"]]["revision"]
            state["batch"] = None
            await self._save(state)

    async def _pull(self, state: State) -> None:
        more = True
        while more:
            since = "" if state["revision"] is None else f"?since={state['revision']}"
            try:
                page = await self.api.ask(f"/tasks/changes{since}")
            except ApiError as error:
                if not since or error.status not in {400, 410}:
                    raise
                state["revision"] = None  # nobody knows any more what happened since: from the start
            else:
                news = {task["id"]: task for task in page["tasks"]} | dict.fromkeys(page["deleted"])
                state["known"] = told(state["known"] if since else {}, news)
                state["revision"], more = page["revision"], page["has_more"]
            await self._save(state)

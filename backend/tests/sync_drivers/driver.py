"""A device for the tests: runs examples/*.py, which are on the path, on commands from standard input."""

import asyncio
import json
import sys
import traceback
from pathlib import Path
from typing import Any

from api import Api, ApiError
from listen import listen
from sync import TaskSync
from tasks import new_id

URL, FILE = sys.argv[1], Path(sys.argv[2])


class Device:
    def __init__(self) -> None:
        self._token = self._next = ""
        self._conflicts: list[Any] = []
        self._listening: asyncio.Future[str] | None = None
        self._sync = TaskSync(Api(URL, self._give_token), self._save, self._on_conflict)
        if FILE.exists():
            self._sync.state = json.loads(FILE.read_text())

    async def _give_token(self, anew: bool) -> str:  # noqa: FBT001 - as the example wants it
        if anew and self._next:
            self._token = self._next
        return self._token

    async def _save(self, state: dict[str, Any]) -> None:
        new = FILE.with_suffix(".new")
        new.write_text(json.dumps(state))
        new.replace(FILE)

    async def _on_conflict(self, operation: dict[str, Any], error: ApiError) -> None:
        self._conflicts.append([error.status, operation, self._sync.state["known"].get(operation["id"])])

    async def token(self, given: str, then: str = "") -> None:
        self._token, self._next = given, then

    async def add(self, operation: dict[str, Any]) -> None:
        await self._sync.add(operation)

    async def sync(self) -> None:
        await self._sync.sync()

    async def listen(self) -> str:
        self._listening = asyncio.ensure_future(listen(self._sync))
        return await self._listening

    async def stop(self) -> None:
        if self._listening:
            self._listening.cancel()

    async def tasks(self) -> list[Any]:
        return list(self._sync.tasks.values())

    async def state(self) -> dict[str, Any]:
        return self._sync.state

    async def new_id(self) -> str:
        return new_id()

    async def conflicts(self) -> list[Any]:
        return self._conflicts


async def answer(device: Device, number: int, name: str, given: list[Any]) -> None:
    try:
        kind, value = "result", await getattr(device, name)(*given)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the test looks at it
        told = (error.status, error.retry_after) if isinstance(error, ApiError) else (None, None)
        kind, value = "error", [*told, traceback.format_exc()]
    print(json.dumps([number, kind, value]), flush=True)  # noqa: T201 - it is how it speaks


async def main() -> None:
    device, running = Device(), set()
    while line := await asyncio.to_thread(sys.stdin.readline):
        number, name, *given = json.loads(line)
        task = asyncio.create_task(answer(device, number, name, given))
        running.add(task)
        task.add_done_callback(running.discard)


asyncio.run(main())

"""Steady traffic on a service, and what became of each request of it."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2 as httpx

from app.auth.tokens import sign
from tests.conftest import SECRET
from tests.faulty_wire import Outside

_PAUSE = 0.05
_CLIENTS = 3  # of each kind
_PATIENCE = 30

SERVED = range(200, 300)
UNAVAILABLE = 503


_Ask = Callable[[httpx.AsyncClient, str], Awaitable[httpx.Response]]


@dataclass(frozen=True, slots=True)
class Seen:
    """One request: when it ended, what it was, and its answer (status 0: the connection broke)."""

    at: float
    kind: str
    status: int
    seconds: float
    retry_after: str | None = None
    error: str = ""


@dataclass
class Traffic:
    """Users who read, users who create, and somebody who asks whether the service lives."""

    outside: Outside
    url: str
    seen: list[Seen] = field(default_factory=list)
    #: The keys of creates that were not answered 201, and whose they are; to be repeated.
    unknown: set[tuple[str, str]] = field(default_factory=set)
    #: Of all creates.
    keys: list[tuple[str, str]] = field(default_factory=list)
    paused: bool = False

    @contextmanager
    def running(self) -> Iterator["Traffic"]:
        stop = asyncio.Event()
        running = asyncio.run_coroutine_threadsafe(self._run(stop), self.outside._loop)  # noqa: SLF001
        try:
            yield self
        finally:
            self.outside._loop.call_soon_threadsafe(stop.set)  # noqa: SLF001
            running.result(60)

    def since(self, began: float, kinds: str = "read write live") -> list[Seen]:
        return [seen for seen in list(self.seen) if seen.at >= began and seen.kind in kinds.split()]

    def after_trouble(self, healed: float, quiet: float = 1, most: float = 12) -> float:
        """Wait until for `quiet` seconds nothing fails; return for how long after `healed` something did."""
        while True:
            failed = [seen.at for seen in self.since(healed, "read write") if seen.status not in SERVED]
            last = max(failed, default=healed)
            fine = self.since(max(last, time.monotonic() - quiet), "read write")
            if time.monotonic() - last >= quiet and {seen.kind for seen in fine} == {"read", "write"}:
                return last - healed
            assert time.monotonic() - healed < most, (len(failed), last - healed, self.seen[-1])
            time.sleep(0.05)

    def repeat_unknown(self) -> None:
        """Repeat every create that was not answered, with its key, as its client would."""

        async def repeat() -> None:
            async with self._client() as client:
                for user, key in list(self.unknown):  # those on their way included: it does no harm
                    answer = await client.post(
                        "/tasks", json={"text": key}, headers=_headers(user) | {"Idempotency-Key": key}
                    )
                    assert answer.status_code == 201, answer.text
                    self.unknown.discard((user, key))

        self.outside.do(repeat())

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=_PATIENCE)

    async def _run(self, stop: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(stop, "live", self._live))
            for number in range(_CLIENTS):
                group.create_task(self._repeat(stop, "read", self._read, number))
                group.create_task(self._repeat(stop, "write", self._write, number))

    async def _repeat(self, stop: asyncio.Event, kind: str, ask: _Ask, number: int = 0) -> None:
        user = f"{kind}-{number}-{uuid.uuid4()}"
        async with self._client() as client:
            while not stop.is_set():
                if not self.paused or kind == "live":
                    began = time.monotonic()
                    try:
                        answer = await ask(client, user)
                    except httpx.TransportError as error:
                        self._note(kind, began, 0, None, repr(error))
                    else:
                        text = "" if answer.status_code in SERVED else answer.text
                        after = answer.headers.get("Retry-After")
                        self._note(kind, began, answer.status_code, after, text)
                await asyncio.sleep(_PAUSE)

    def _note(self, kind: str, began: float, status: int, after: str | None, error: str) -> None:
        now = time.monotonic()
        self.seen.append(Seen(now, kind, status, now - began, after, error))

    async def _live(self, client: httpx.AsyncClient, _user: str) -> httpx.Response:
        return await client.get("/health/live")

    async def _read(self, client: httpx.AsyncClient, user: str) -> httpx.Response:
        return await client.get("/tasks", headers=_headers(user))

    async def _write(self, client: httpx.AsyncClient, user: str) -> httpx.Response:
        key = str(uuid.uuid4())
        self.keys.append((user, key))
        self.unknown.add((user, key))
        answer = await client.post(
            "/tasks", json={"text": key}, headers=_headers(user) | {"Idempotency-Key": key}
        )
        if answer.status_code in SERVED:
            self.unknown.discard((user, key))
        return answer


def _headers(user: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {sign(user, SECRET, seconds=3600)}"}

"""Many clients on a few users, over connections that break; afterwards everything must add up.

Writers do what a front end with several devices does, and retry as the documents tell. Sync clients pull what
changed, in small pages, all the while. `history_checks` then looks at what all of them were told.
"""

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeAlias

import httpx2 as httpx

from app.auth.tokens import sign
from tests.conftest import SECRET
from tests.flaky_proxy import FlakyProxy
from tests.history import Answer, Content, History, Listed, Violation, content_of
from tests.history_checks import Server, check

Task = dict[str, Any]

#: How often each kind is done, compared with the others.
KINDS = {
    "create": 3, "create with id": 8, "create with key": 9, "patch": 22, "put": 4, "delete": 9,
    "restore": 7, "move": 10, "rearrange": 4, "batch": 9, "duel": 7, "tug": 3, "twice at once": 5,
    "list": 8, "purge": 1.5, "empty": 0.4,
}  # fmt: skip

FEW, MANY = 5, 14  # tasks that a user has, about

_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.02, 0.5
_MOST_TRIES = 100  # half a minute


@dataclass(frozen=True)
class Scale:
    """How much of it: clients begin something new for so many seconds, and until so many writes were sent.

    And until so many were acknowledged. With `repeatable`, nothing is done that can't be sent again.
    """

    seconds: float = 3
    writes: int = 0
    acknowledged: int = 0
    repeatable: bool = False
    users: int = 4
    writers: int = 8
    syncs: int = 2


@dataclass
class Report:
    """What was done, and what was wrong with it."""

    seed: int
    attempts: Counter[str] = field(default_factory=Counter)  #: requests that write, by operation
    acknowledged: int = 0  #: of them, those whose success a client was told
    made: Counter[str] = field(default_factory=Counter)  #: operations that succeeded
    statuses: Counter[int] = field(default_factory=Counter)
    cuts: Counter[str] = field(default_factory=Counter)
    pages: int = 0
    restarts: int = 0
    unknown: int = 0
    most_in_a_revision: int = 0
    violations: Sequence[Violation] = ()

    def __str__(self) -> str:
        found = "".join(f"\n  {check}: {what}" for check, what in self.violations[:12])
        return (
            f"seed {self.seed}: {sum(self.attempts.values())} writes sent, "
            f"{self.acknowledged} acknowledged, "
            f"{sum(self.made.values())} operations made, "
            f"{sum(self.cuts.values())} disconnects, {self.unknown} without any answer, {self.pages} pages, "
            f"{self.restarts} restarts of a copy, at most {self.most_in_a_revision} tasks in a revision\n"
            f"  sent {dict(self.attempts)}\n  made {dict(self.made)}\n  answers {dict(self.statuses)}\n"
            f"  cuts {dict(self.cuts)}\n{len(self.violations)} violations{found}"
        )


class Known:
    """What the devices of one user know: each task's revision."""

    def __init__(self) -> None:
        self.living: dict[str, int] = {}
        self.trash: dict[str, int] = {}

    def note(self, task: str, revision: int, *, alive: bool) -> None:
        here, there = (self.living, self.trash) if alive else (self.trash, self.living)
        if revision >= max(here.get(task, 0), there.get(task, 0)):
            there.pop(task, None)
            here[task] = revision

    def forget(self, task: str) -> None:
        self.living.pop(task, None)
        self.trash.pop(task, None)


class World:
    """What all clients share."""

    def __init__(self, proxy: FlakyProxy, history: History, scale: Scale, seed: int) -> None:
        self.proxy, self.history, self.seed = proxy, history, seed
        run = uuid.uuid4().hex[:8]
        self.users = [f"audit-{run}-{number}" for number in range(scale.users)]
        self.tokens = {user: sign(user, SECRET, seconds=3600) for user in self.users}
        self.known = {user: Known() for user in self.users}
        self.report = Report(seed)
        self.scale = scale
        self.troubled = False  #: faults are still being made
        self._weights = [1 / (place + 1) for place in range(scale.users)]  # some are busier than others
        self._until = asyncio.get_running_loop().time() + scale.seconds

    @property
    def goes_on(self) -> bool:
        busy = (
            self.troubled
            or asyncio.get_running_loop().time() < self._until
            or self.history.count() < self.scale.writes
            or self.report.acknowledged < self.scale.acknowledged
        )
        return busy and not self.history.violations()

    def some_user(self, draw: random.Random) -> str:
        return draw.choices(self.users, self._weights)[0]

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.proxy.url, timeout=60)


class Client:
    """Speaks to the service, again and again until it has an answer."""

    def __init__(self, world: World, http: httpx.AsyncClient, name: str) -> None:
        self.world, self.http, self.name = world, http, name
        self.draw = random.Random(f"{world.seed} {name}")  # noqa: S311 - no secret
        self._texts = 0

    async def work(self) -> None:
        """Go on as long as the world does."""
        raise NotImplementedError

    async def read(self, user: str, path: str, **options: Any) -> tuple[int, httpx.Response]:
        """Return when it was sent, and the answer."""
        headers = {"Authorization": f"Bearer {self.world.tokens[user]}"}
        tries = 0
        while True:
            sent = self.world.history.tick()
            try:
                response = await self.http.get(path, headers=headers, **options)
            except httpx.TransportError:
                await self._pause(tries := tries + 1)
                continue
            if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                return sent, response
            await self._pause(tries := tries + 1)

    async def _pause(self, tries: int) -> None:
        """Wait longer with each try, and differently from others; after the first not at all, mostly."""
        longest = min(_PAUSE_SECONDS * 2**tries, _LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(
            self.draw.choice([0, 0, 0.002, 0.01]) if tries == 1 else self.draw.uniform(0, longest)
        )

    async def list(self, user: str) -> Listed:
        sent, response = await self.read(user, "/tasks")
        listed = Listed(sent, int(response.headers["ETag"][3:-1]), response.json()["tasks"])
        history = self.world.history.of[user]
        history.lists.append(listed)
        history.reads.append((sent, listed.revision))
        for task in listed.tasks:
            history.see(task)
        return listed

    async def write(
        self,
        user: str,
        method: str,
        path: str,
        *operations: Mapping[str, Any],
        once: str | None = None,
        retry: bool = True,
        batch: bool = False,
    ) -> Answer | None:
        """Send a write until it is answered; None where it was not, and may not be sent again."""
        headers = {"Authorization": f"Bearer {self.world.tokens[user]}"}
        body: Any = {"operations": operations} if batch else _body(operations[0])
        if not batch and (expected := operations[0].get("if_match")) is not None:
            headers["If-Match"] = f'"{expected}"'
        if once is not None:
            headers["Idempotency-Key"] = once
        tries = 0
        while True:
            tries += 1
            attempt = self.world.history.send(user, operations, once, batch=batch)
            try:
                response = await self.http.request(
                    method, path, json=body, headers={**headers, "X-Attempt": str(attempt.number)}
                )
            except httpx.TransportError:
                if not retry:
                    return None
                await self._pause(tries)
                continue
            attempt.answer = Answer.of(response.status_code, response.headers, response.content)
            attempt.done, attempt.acknowledged = self.world.history.tick(), True
            history = self.world.history.of[user]
            if attempt.unknown and self.world.scale.repeatable:
                if tries == _MOST_TRIES:
                    history.wrong("unanswered", f"{tries} times 503: {attempt}")
                if self.world.history.violations():
                    return None
                await self._pause(tries)
                continue
            self.world.report.acknowledged += attempt.successful
            history.learn(attempt)
            if response.status_code not in _ALLOWED["batch" if batch else operations[0]["op"]]:
                history.wrong("answer", f"{attempt}: {response.text}")
            self._note(user, operations, attempt.answer)
            return attempt.answer

    def text(self) -> str:
        """Say something that nobody else says."""
        self._texts += 1
        return f"{self.name} {self._texts}"

    def _note(self, user: str, operations: Sequence[Mapping[str, Any]], answer: Answer) -> None:
        known = self.world.known[user]
        if answer.status < 300 and answer.body and "results" in answer.body:
            first = (answer.revision or 0) - len(operations) + 1
            for place, (operation, task) in enumerate(zip(operations, answer.body["results"], strict=True)):
                if task:
                    known.note(task["id"], task["revision"], alive=True)
                else:
                    known.note(operation["id"], first + place, alive=False)
        elif answer.status < 300 and answer.body:
            known.note(answer.body["id"], answer.revision or 0, alive=True)
        elif answer.status == 204 and operations[0]["op"] == "delete":
            known.note(operations[0]["id"], answer.revision or 0, alive=False)
        elif answer.status in {404, 204} and len(operations) == 1 and "id" in operations[0]:
            known.forget(operations[0]["id"])


def _body(operation: Mapping[str, Any]) -> dict[str, Any] | None:
    kept = {name: value for name, value in operation.items() if name not in {"op", "if_match"}}
    if operation["op"] != "create":
        kept.pop("id", None)
    return kept or None


_CHANGE = {200, 404, 412}
_ALLOWED = {
    "create": {200, 201, 409}, "patch": _CHANGE, "put": _CHANGE, "restore": _CHANGE,
    "delete": {204, 404, 412}, "move": {*_CHANGE, 422, 503}, "batch": {*_CHANGE, 409, 503},
    "purge": {204, 404}, "empty": {204},
}  # fmt: skip


class Writer(Client):
    """A device of whichever user it is turned to."""

    async def work(self) -> None:
        kinds, weights = list(KINDS), list(KINDS.values())
        if self.world.scale.repeatable:
            weights[kinds.index("create")] = 0
        while self.world.goes_on:
            user = self.world.some_user(self.draw)
            living = len(self.world.known[user].living)
            kind = self.draw.choices(kinds, weights)[0]
            if living < FEW:
                kind = self.draw.choice(["create with key", "create with id", "create", "restore", "batch"])
                if kind == "create" and self.world.scale.repeatable:
                    kind = "create with key"
            elif living > MANY and kind.startswith("create"):
                kind = "delete"
            await getattr(self, "_" + kind.replace(" ", "_"))(user)

    def _fields(self, most: int = 3) -> dict[str, Any]:
        fields = {
            "text": self.text(),
            "completed": self.draw.random() < 0.5,
            "order": self.draw.randrange(-2, 3),
        }
        return {name: fields[name] for name in self.draw.sample(sorted(fields), self.draw.randint(1, most))}

    def _new(self) -> dict[str, Any]:
        return {"op": "create", **self._fields(), "text": self.text()}

    def _some(self, user: str, *, trash: bool = False, match: float = 0.0) -> dict[str, Any] | None:
        """Choose a task, and perhaps say at which revision; now and then one that may be gone."""
        known = self.world.known[user]
        here, there = (known.trash, known.living) if trash else (known.living, known.trash)
        tasks = there if there and (not here or self.draw.random() < 0.04) else here
        if not tasks:
            return None
        # The newest ones often, so that several meet.
        task = self.draw.choice(list(tasks)[-3:] if self.draw.random() < 0.4 else list(tasks))
        return {"id": task} | ({"if_match": tasks[task]} if self.draw.random() < match else {})

    async def _refresh(self, user: str, answer: Answer | None, task: str) -> None:
        """Who was refused looks again."""
        if answer is None or answer.status != 412:
            return
        _, response = await self.read(user, f"/tasks/{task}")
        if response.status_code == 200:
            revision = int(response.headers["ETag"][1:-1])
            self.world.history.of[user].tell(response.json(), revision)
            self.world.known[user].note(task, revision, alive=True)
        else:
            self.world.known[user].forget(task)

    async def _create(self, user: str) -> None:
        await self.write(user, "POST", "/tasks", self._new(), retry=False)

    async def _create_with_id(self, user: str) -> None:
        await self.write(user, "POST", "/tasks", {**self._new(), "id": str(uuid.uuid4())})

    async def _create_with_key(self, user: str) -> None:
        own = {"id": str(uuid.uuid4())} if self.draw.random() < 0.2 else {}
        await self.write(user, "POST", "/tasks", {**self._new(), **own}, once=str(uuid.uuid4()))

    async def _twice_at_once(self, user: str) -> None:
        """A retry that did not wait."""
        new, key = self._new(), None
        if self.draw.random() < 0.8:
            key = str(uuid.uuid4())
        else:
            new["id"] = str(uuid.uuid4())
        await asyncio.gather(*(self.write(user, "POST", "/tasks", new, once=key) for _ in range(2)))

    async def _patch(self, user: str) -> None:
        if task := self._some(user, match=0.5):
            operation = {"op": "patch", **self._fields(), **task}
            answer = await self.write(user, "PATCH", f"/tasks/{task['id']}", operation)
            await self._refresh(user, answer, task["id"])

    async def _put(self, user: str) -> None:
        if task := self._some(user, match=0.5):
            operation = {"op": "put", **self._fields(), "text": self.text(), "completed": False, **task}
            answer = await self.write(user, "PUT", f"/tasks/{task['id']}", operation)
            await self._refresh(user, answer, task["id"])

    async def _duel(self, user: str) -> None:
        """Several change what they all saw in the same state."""
        task = self._some(user)
        if not task:
            return
        await self._refresh(user, Answer(412, None, "", replayed=False, body=None), task["id"])
        if task["id"] in (living := self.world.known[user].living):
            expected = {**task, "if_match": living[task["id"]]}
            path = f"/tasks/{task['id']}"
            await asyncio.gather(
                self.write(user, "PATCH", path, {"op": "patch", **self._fields(), **expected}),
                self.write(user, "PATCH", path, {"op": "patch", **self._fields(), **expected}),
                *(
                    self.write(user, "DELETE", path, {"op": "delete", **expected})
                    for _ in range(self.draw.randint(0, 1))
                ),
            )

    async def _tug(self, user: str) -> None:
        """One deletes what another believes to be in the trash."""
        if task := self._some(user):
            path = f"/tasks/{task['id']}"
            await asyncio.gather(
                self.write(user, "POST", f"{path}/restore", {"op": "restore", **task}),
                self.write(user, "DELETE", path, {"op": "delete", **task}),
            )

    async def _delete(self, user: str) -> None:
        if task := self._some(user, match=0.3):
            answer = await self.write(user, "DELETE", f"/tasks/{task['id']}", {"op": "delete", **task})
            await self._refresh(user, answer, task["id"])

    async def _restore(self, user: str) -> None:
        if task := self._some(user, trash=True, match=0.3):
            operation = {"op": "restore", **task}
            answer = await self.write(user, "POST", f"/tasks/{task['id']}/restore", operation)
            await self._refresh(user, answer, task["id"])

    async def _move(self, user: str) -> None:
        task, other = self._some(user, match=0.2), self._some(user)
        if task and other and task["id"] != other["id"]:
            anchor = self.draw.choice([other["id"], other["id"], None])
            await self._put_beside(user, task, {self.draw.choice(["after", "before"]): anchor})

    async def _put_beside(self, user: str, task: dict[str, Any], anchor: Mapping[str, str | None]) -> None:
        operation = {"op": "move", **anchor, **task}
        answer = await self.write(user, "POST", f"/tasks/{task['id']}/move", operation)
        await self._refresh(user, answer, task["id"])

    async def _rearrange(self, user: str) -> None:
        """Several are put to one place at once; then one looks where they stand."""
        place = self.draw.choice(["after", "before"])
        anchor, *tasks = self.draw.sample(living := list(self.world.known[user].living), min(4, len(living)))
        await asyncio.gather(*(self._put_beside(user, {"id": task}, {place: anchor}) for task in tasks))
        await self.list(user)

    async def _batch(self, user: str) -> None:
        operations: list[dict[str, Any]] = []
        seen: set[str] = set()
        for _ in range(self.draw.randint(1, 6)):
            op = self.draw.choice(["create", "create", "patch", "patch", "delete", "restore"])
            if op == "create":
                own = {"id": str(uuid.uuid4())} if self.draw.random() < 0.5 else {}
                operations.append({**self._new(), **own})
                task = own or None
            elif task := self._some(user, trash=op == "restore", match=0.2):
                if task["id"] in seen:
                    task.pop("if_match", None)
                operations.append({"op": op, **(self._fields() if op == "patch" else {}), **task})
            if task and self.draw.random() < 0.3:  # once more, the same task
                operations.append({"op": "patch", **self._fields(), "id": task["id"]})
            seen |= {task["id"]} if task else set()
        if operations:
            keyed = self.draw.random() < 0.7 or self.world.scale.repeatable
            key = str(uuid.uuid4()) if keyed else None
            await self.write(
                user, "POST", "/tasks/batch", *operations, once=key, retry=key is not None, batch=True
            )

    async def _list(self, user: str) -> None:
        for task in (await self.list(user)).tasks:
            self.world.known[user].living.setdefault(task["id"], 0)

    async def _purge(self, user: str) -> None:
        if (task := self._some(user, trash=True)) and task["id"] in self.world.known[user].trash:
            await self.write(user, "DELETE", f"/tasks/trash/{task['id']}", {"op": "purge", "id": task["id"]})

    async def _empty(self, user: str) -> None:
        await self.write(user, "DELETE", "/tasks/trash", {"op": "empty"})
        self.world.known[user].trash.clear()


class Copy:
    """What a sync client keeps of one user."""

    def __init__(self) -> None:
        self.tasks: dict[str, Task] = {}
        self.revision: int | None = None
        self.saved: list[tuple[dict[str, Task], int | None]] = []

    def shown(self) -> dict[str, Task]:
        return {
            task_id: {name: value for name, value in task.items() if name != "revision"}
            for task_id, task in self.tasks.items()
        }


class SyncClient(Client):
    """Keeps a copy of every user's tasks."""

    def __init__(self, world: World, http: httpx.AsyncClient, name: str) -> None:
        super().__init__(world, http, name)
        self.copies = {user: Copy() for user in world.users}

    async def work(self) -> None:
        while self.world.goes_on:
            user = self.world.some_user(self.draw)
            copy = self.copies[user]
            chance = self.draw.random()
            if chance < 0.04:
                copy.tasks, copy.revision = {}, None
            elif chance < 0.12 and copy.saved:  # back to what it was some time ago
                tasks, copy.revision = self.draw.choice(copy.saved)
                copy.tasks = dict(tasks)
            elif chance < 0.2:
                copy.saved.append((dict(copy.tasks), copy.revision))
            if not await self.pull(user, self.draw.randint(1, 5)) and self.draw.random() < 0.5:
                await self.compare(user)

    async def pull(self, user: str, pages: int) -> bool:
        """Ask for so many pages at most; whether there is more."""
        has_more = True
        while has_more and pages:
            has_more = await self._page(user)
            pages -= 1
        return has_more

    async def compare(self, user: str) -> None:
        """If the list is as new as the copy, they are the same."""
        copy, listed = self.copies[user], await self.list(user)
        if listed.revision == copy.revision:
            self._same(user, listed)

    def _same(self, user: str, listed: Listed) -> None:
        there = {task["id"]: task for task in listed.tasks}
        if (ours := self.copies[user].shown()) != there:
            different = sorted(task for task in {*ours, *there} if ours.get(task) != there.get(task))
            what = [(ours.get(task), there.get(task)) for task in different[:2]]
            self._wrong(
                user, "copy", f"at {listed.revision} the copy of {self.name} differs in {different}: {what}"
            )

    async def end(self, user: str) -> None:
        while await self.pull(user, 1000):
            pass
        listed = await self.list(user)
        if listed.revision != self.copies[user].revision:
            self._wrong(
                user, "copy", f"it ends at {self.copies[user].revision}, the list at {listed.revision}"
            )
        self._same(user, listed)

    def _wrong(self, user: str, check: str, what: str) -> None:
        self.world.history.of[user].wrong(check, what)

    async def _page(self, user: str) -> bool:
        copy, history = self.copies[user], self.world.history.of[user]
        limit = self.draw.choice([1, 2, 3, 4, 5, 6, 7, 1000])
        since = {} if copy.revision is None else {"since": copy.revision}
        sent, response = await self.read(user, "/tasks/changes", params={"limit": limit, **since})
        self.world.report.pages += 1
        if response.status_code == 410:
            if not any(attempt.operations[0]["op"] in {"purge", "empty"} for attempt in history.attempts):
                self._wrong(user, "sync", f"410 for {since}, and nobody purged anything")
            self.world.report.restarts += 1
            copy.tasks, copy.revision = {}, None
            return True
        if response.status_code != 200:
            self._wrong(user, "sync", f"{response.status_code} for {since}: {response.text}")
            return False
        page = response.json()
        self._look_at(user, page, copy.revision, sent)
        copy.tasks |= {task["id"]: task for task in page["tasks"]}
        for task_id in page["deleted"]:
            copy.tasks.pop(task_id, None)
        copy.revision = page["revision"]
        leads_on: bool = page["has_more"] and page["revision"] != since.get("since")
        return leads_on

    def _look_at(self, user: str, page: Mapping[str, Any], since: int | None, sent: int) -> None:
        history = self.world.history.of[user]
        revisions = [task["revision"] for task in page["tasks"]]
        told = [*(task["id"] for task in page["tasks"]), *page["deleted"]]
        if len(told) != len(set(told)):
            self._wrong(user, "sync", f"a page tells a task twice: {told}")
        if page["revision"] < (since or 0) or revisions != sorted(revisions):
            self._wrong(user, "sync", f"revisions go back: {since}, {revisions}, {page['revision']}")
        if not all((since or 0) < revision <= page["revision"] for revision in revisions):
            self._wrong(user, "sync", f"{revisions} on the page from {since} to {page['revision']}")
        if page["has_more"] and page["revision"] == since:
            self._wrong(user, "sync", f"a page that leads nowhere, at {since}")
        if not page["has_more"]:
            history.reads.append((sent, page["revision"]))
        for task in page["tasks"]:
            history.tell(task, task["revision"])
        most = max(Counter(revisions).values(), default=0)
        self.world.report.most_in_a_revision = max(self.world.report.most_in_a_revision, most)


#: Makes faults beside the clients, and leaves everything whole.
Trouble: TypeAlias = Callable[[World], Awaitable[None]]
#: Reads past the service what is stored of a user.
Stored: TypeAlias = Callable[[str], Awaitable[Server]]


async def audit(
    ports: Sequence[int],
    scale: Scale,
    seed: int,
    trouble: Trouble | None = None,
    stored: Stored | None = None,
) -> Report:
    """Let the clients work, then look at everything; nothing is asserted."""
    history = History()
    proxy = FlakyProxy(ports, random.Random(f"{seed} proxy"), history.tick)  # noqa: S311 - no secret
    async with proxy.listening():
        world = World(proxy, history, scale, seed)
        clients = [world.client() for _ in range(scale.writers + scale.syncs)]
        writers = [Writer(world, clients[n], f"writer {n}") for n in range(scale.writers)]
        syncs = [SyncClient(world, clients[scale.writers + n], f"sync {n}") for n in range(scale.syncs)]
        try:
            await asyncio.gather(_troubled(world, trouble), *(each.work() for each in (*writers, *syncs)))
            proxy.cutting = False
            await proxy.settled(history.count())
            history.hear(proxy.witnessed)
            for user in world.users:
                await _settled(writers[0], user)
                for sync in syncs:
                    await sync.end(user)
                server = await _end(syncs[0], user)
                if stored is not None and (there := await stored(user)) != server:
                    history.of[user].wrong("stored", f"{user} was told {server}, and stored is {there}")
                check(history.of[user], server)
        finally:
            for client in clients:
                await client.aclose()
    return _reported(world)


async def _troubled(world: World, trouble: Trouble | None) -> None:
    if trouble is not None:
        world.troubled = True
        await trouble(world)
        world.troubled = False


async def _settled(client: Client, user: str) -> None:
    """Wait out what a server may still do for attempts that were cut off at both ends."""
    newest = -1
    while newest != (newest := (await client.list(user)).revision):  # noqa: ASYNC110 - no event for it
        await asyncio.sleep(0.05)


async def _end(client: SyncClient, user: str) -> Server:
    listed = await client.list(user)
    copy = client.copies[user] = Copy()
    await client.end(user)
    _, response = await client.read(user, "/tasks/trash")
    living = {task["id"]: (task["revision"], content_of(task)) for task in copy.tasks.values()}
    trash: dict[str, tuple[int, Content]] = {}
    for task in response.json()["tasks"]:
        client.world.history.of[user].tell(task, task["revision"], alive=False)
        trash[task["id"]] = task["revision"], content_of(task, alive=False)
    return Server(listed.revision, living, trash)


def _reported(world: World) -> Report:
    report = world.report
    for user in world.history.of.values():
        for attempt in user.attempts:
            report.attempts["batch" if attempt.batch else attempt.operations[0]["op"]] += 1
            report.unknown += attempt.unknown
            if attempt.answer:
                report.statuses[attempt.answer.status] += 1
            if attempt.successful and attempt.answer and not attempt.answer.replayed:
                report.made.update(operation["op"] for operation in attempt.operations)
    report.cuts = world.proxy.cuts
    report.violations = world.history.violations()
    return report

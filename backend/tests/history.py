"""What several clients did with a user's tasks at once, and what they were told: noted, to be checked."""

import itertools
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from tests.flaky_proxy import Witnessed

NEVER = sys.maxsize


class Content(NamedTuple):
    """A task at one revision."""

    text: str
    completed: bool
    order: int
    alive: bool = True


class Violation(NamedTuple):
    """What was found to be wrong, and by which check."""

    check: str
    what: str


class Answer(NamedTuple):
    status: int
    revision: int | None  # X-Revision
    etag: str
    replayed: bool
    body: Any

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes) -> "Answer":
        revision = headers.get("x-revision")
        return cls(
            status,
            None if revision is None else int(revision),
            headers.get("etag", ""),
            "idempotent-replayed" in headers,
            orjson.loads(body) if body else None,
        )

    @classmethod
    def read(cls, head: bytes, body: bytes) -> "Answer":
        first, *lines = head.decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls.of(int(first.split()[1]), headers, body)


def content_of(task: Mapping[str, Any], *, alive: bool = True) -> Content:
    return Content(task["text"], task["completed"], task["order"], alive)


@dataclass(slots=True)
class Attempt:
    """One request that writes, as it was sent once. Times are ticks of the history's clock."""

    number: int
    operations: Sequence[Mapping[str, Any]]  #: as a batch has them, and also put, move, purge and empty
    batch: bool
    once: str | None
    sent: int
    done: int = NEVER
    answer: Answer | None = None  #: the client's, or the one that only the proxy saw
    acknowledged: bool = False
    reached: bool = True  #: False where the server certainly never had all of it

    @property
    def successful(self) -> bool:
        return self.answer is not None and self.answer.status < 300

    @property
    def unknown(self) -> bool:
        """Whether it was made, nobody knows: the answer got lost, or says only that there is none (503)."""
        return self.reached and (self.answer is None or self.answer.status == HTTPStatus.SERVICE_UNAVAILABLE)

    def __str__(self) -> str:
        told = self.answer and f"{self.answer.status} at revision {self.answer.revision}"
        return f"attempt {self.number} {list(self.operations)} key={self.once} -> {told}"


class Listed(NamedTuple):
    """A whole list as it was read."""

    sent: int
    revision: int
    tasks: Sequence[Mapping[str, Any]]


@dataclass
class UserHistory:
    """All that was done and told of one user."""

    attempts: list[Attempt] = field(default_factory=list)
    told: dict[tuple[str, int], Content] = field(default_factory=dict)
    lists: list[Listed] = field(default_factory=list)
    reads: list[tuple[int, int]] = field(default_factory=list)  #: when one was sent, and the revision it told
    texts: dict[str, str] = field(default_factory=dict)  #: whose text it is: each is sent for one task
    violations: list[Violation] = field(default_factory=list)

    def wrong(self, check: str, what: str) -> None:
        self.violations.append(Violation(check, what))

    def learn(self, attempt: Attempt) -> None:
        """Note what the answer of a write tells of tasks."""
        answer = attempt.answer
        if answer is None or not attempt.successful or answer.body is None:
            return
        if attempt.batch:
            for result in filter(None, answer.body["results"]):
                self.tell(result, result["revision"])
        elif answer.revision is not None:
            self.tell(answer.body, answer.revision)
            if answer.etag != f'"{answer.revision}"':
                self.wrong("numbers", f"ETag {answer.etag} is not X-Revision: {attempt}")

    def tell(self, task: Mapping[str, Any], revision: int, *, alive: bool = True) -> None:
        """Note what somebody was told of a task at a revision; it is the same for everybody, for ever."""
        content = content_of(task, alive=alive)
        if (task["completed_at"] is None) is task["completed"]:
            self.wrong("times", f"{task} has the wrong completed_at")
        before = self.told.setdefault((task["id"], revision), content)
        if before != content:
            self.wrong("told twice", f"{task['id']} at revision {revision} was {before}, then {content}")
        self.see(task)

    def see(self, task: Mapping[str, Any]) -> None:
        other = self.texts.setdefault(task["text"], task["id"])
        if other != task["id"]:
            self.wrong(
                "doubled", f"{task['id']} and {other} are both {task['text']!r}, which was sent for one"
            )


class History:
    """Of all users. One clock for all: it moves with everything that is noted."""

    def __init__(self) -> None:
        self.of: defaultdict[str, UserHistory] = defaultdict(UserHistory)
        self._clock = itertools.count(1)
        self._attempts: list[tuple[str, Attempt]] = []

    def tick(self) -> int:
        return next(self._clock)

    def send(
        self, user: str, operations: Sequence[Mapping[str, Any]], once: str | None, *, batch: bool
    ) -> Attempt:
        attempt = Attempt(len(self._attempts), operations, batch, once, self.tick())
        self._attempts.append((user, attempt))
        self.of[user].attempts.append(attempt)
        return attempt

    def count(self) -> int:
        return len(self._attempts)

    def hear(self, witnessed: Mapping[int, tuple[Witnessed, int]]) -> None:
        """Take in what the proxy saw of the attempts whose answers got lost."""
        for user, attempt in self._attempts:
            if attempt.acknowledged:
                continue
            found, tick = witnessed[attempt.number]
            attempt.reached = found.reached
            if found.answer is not None:
                attempt.answer, attempt.done = Answer.read(*found.answer), tick
                self.of[user].learn(attempt)

    def violations(self) -> list[Violation]:
        return [violation for user in self.of.values() for violation in user.violations]

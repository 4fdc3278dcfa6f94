"""A small check that a measured system does what it is measured for.

`python -m bench.conformance` starts each and checks it.
"""

import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import httpx2 as httpx

from app.auth.tokens import sign
from app.embedded import embedded_postgres
from bench.credentials import SECRET
from bench.data import LARGE, SMALL, WRITERS, Row, rows_of, token
from bench.subjects import SUBJECTS, Subject

_FIELDS = {"id", "user_id", "text", "completed", "order", "created_at", "updated_at", "completed_at"}


class NotConforming(Exception):
    """A measured system does something else than the others: its figures would mean nothing."""


@dataclass(frozen=True)
class _Caller:
    """Somebody who asks a system, by a user's token or without any."""

    client: httpx.Client
    user_id: str = ""

    def ask(self, method: str, path: str, status: int, body: object = None) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {token(self.user_id)}"} if self.user_id else {}
        answer = self.client.request(method, path, headers=headers, json=body)
        _same(f"{method} {path} with {body}", answer.status_code, status)
        found: dict[str, Any] = answer.json() if answer.content else {}
        return found

    def tasks(self) -> list[dict[str, Any]]:
        """Return the list, which says how many it holds."""
        listed = self.ask("GET", "/tasks", 200)
        _same("count", listed["count"], len(listed["tasks"]))
        return [_read(task) for task in listed["tasks"]]


def check(subject: Subject, url: str) -> None:
    """Ask a running system what it is asked in measurements; raises NotConforming, which says what differs.

    The tasks must be as `Subject.prepare` makes them, and are so again afterwards.
    """
    with httpx.Client(base_url=url, trust_env=False, timeout=10) as client:
        healthy = _Caller(client).ask("GET", "/health", 200)
        _same("health", (healthy["status"], healthy["database"]), ("healthy", "connected"))
        if subject.load is not None:
            _lists(client)
            _life(_Caller(client, WRITERS[0]))
            _foreign(_Caller(client, SMALL[0]), _Caller(client, SMALL[1]))
            _invalid(_Caller(client, SMALL[0]))
            _unsigned(client)


def _lists(client: httpx.Client) -> None:
    for user_id in (SMALL[0], LARGE[0], WRITERS[0]):
        _same("the list", _Caller(client, user_id).tasks(), [_known(row) for row in rows_of(user_id)])


def _life(caller: _Caller) -> None:
    """Create a task, read, change and delete it."""
    made = _read(caller.ask("POST", "/tasks", 201, {"text": "Buy milk"}))
    path = f"/tasks/{made['id']}"
    begun = {"user_id": caller.user_id, "text": "Buy milk", "completed": False, "order": 0}
    _same("what was created", made, made | begun | {"completed_at": None})
    _same("what was read", _read(caller.ask("GET", path, 200)), made)
    done = _read(caller.ask("PATCH", path, 200, {"completed": True}))
    later = {"completed": True, "updated_at": done["updated_at"], "completed_at": done["completed_at"]}
    _same("what was changed", done, made | later)
    moments = [made["created_at"], done["completed_at"], done["updated_at"]]
    _same("its moments", moments, sorted(moments))
    _same("the list of one", caller.tasks(), [done])
    caller.ask("DELETE", path, 204)
    caller.ask("GET", path, 404)
    _same("the list without it", caller.tasks(), [])


def _foreign(owner: _Caller, other: _Caller) -> None:
    """Let somebody come for another user's task."""
    path = f"/tasks/{rows_of(owner.user_id)[0].id}"
    before = owner.ask("GET", path, 200)
    other.ask("GET", path, 404)
    other.ask("PATCH", path, 404, {"text": "mine"})
    other.ask("DELETE", path, 404)
    _same("what others can't change", owner.ask("GET", path, 200), before)


def _invalid(caller: _Caller) -> None:
    path = f"/tasks/{rows_of(caller.user_id)[0].id}"
    caller.ask("POST", "/tasks", 422, {"text": ""})
    caller.ask("POST", "/tasks", 422, {"text": "x" * 501})
    caller.ask("POST", "/tasks", 422, {})
    caller.ask("PATCH", path, 422, {"text": ""})


def _unsigned(client: httpx.Client) -> None:
    """Come without a token, with nonsense, with somebody's signature under another's name, and too late."""
    path = f"/tasks/{rows_of(SMALL[0])[0].id}"
    head, _, signature = token(SMALL[1]).split(".")
    forged = ".".join([head, token(SMALL[0]).split(".")[1], signature])
    expired = sign(SMALL[0], SECRET, seconds=-60)
    for bearer in ("", "nonsense", forged, expired):
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        for method, asked in (("GET", "/tasks"), ("DELETE", path)):
            status = client.request(method, asked, headers=headers).status_code
            _same(f"{method} with the token {bearer!r}", status, 401)


def _read(task: dict[str, Any]) -> dict[str, Any]:
    """Read a task of the contract: all fields, and each of its type."""
    _same("the fields of a task", set(task), _FIELDS)
    moments = {name: _moment(task[name]) for name in ("created_at", "updated_at", "completed_at")}
    return task | moments | {"id": UUID(task["id"])}


def _known(row: Row) -> dict[str, Any]:
    return {
        name: _exact(value) if isinstance(value, datetime) else value for name, value in row._asdict().items()
    }


def _moment(written: str | None) -> datetime | None:
    return None if written is None else _exact(datetime.fromisoformat(written))


def _exact(moment: datetime) -> datetime:
    """Leave out the microseconds, which JavaScript's dates have not."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _same(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise NotConforming(f"{what}: {found!r:.500} instead of {expected!r:.500}")


def main() -> None:
    """Start every system that can run here and check it; ends with 1 when one does not conform."""
    failed = False
    with TemporaryDirectory() as folder, embedded_postgres(Path(folder)) as url:
        for subject in SUBJECTS.values():
            problem = subject.missing() or _problem(subject, url)
            failed |= bool(problem) and not subject.missing()
            print(f"{subject.title:30} {problem or 'conforms'}")
    sys.exit(failed)


def _problem(subject: Subject, server_url: str) -> str:
    try:
        subject.prepare(server_url)
        with subject.serving(server_url) as running:
            check(subject, running.url)
    except (NotConforming, RuntimeError, httpx.HTTPError) as error:
        return f"DOES NOT CONFORM: {error}"
    return ""


if __name__ == "__main__":
    main()

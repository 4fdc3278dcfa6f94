"""What the measured systems are asked to do: each kind of work as requests, ready for the wire."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, cycle
from urllib.request import Request, urlopen

from bench.data import LARGE, SMALL, WRITERS, Row, rows_of, token

#: Makes requests to the server at a URL; those that delete, for tasks that are made for it.
Requests = Callable[[str, Sequence[Row]], list[bytes]]


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of request, and which users send it."""

    name: str
    title: str
    requests: Requests
    writes: bool = False
    uses_up: bool = False  #: each request can be sent only once: it wants a task that goes with it
    only: tuple[str, ...] = ()  #: the subjects that have it, if not all


def raw(method: str, path: str, user_id: str = "", body: object = None, **headers: str) -> bytes:
    """Write a request as it goes over the wire."""
    if user_id:
        headers["Authorization"] = f"Bearer {_token(user_id)}"
    text = "" if body is None else json.dumps(body)
    if text:
        headers |= {"Content-Type": "application/json", "Content-Length": str(len(text))}
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", text]).encode()


_token = cache(token)


@cache
def _first_tasks() -> Mapping[str, str]:
    return {user: str(rows_of(user)[0].id) for user in SMALL}


def _lists(users: Iterable[str]) -> list[bytes]:
    return [raw("GET", "/tasks", user) for user in users]


def _unchanged(url: str, _doomed: Sequence[Row]) -> list[bytes]:
    """Ask for lists of which the caller has the present state; what that is called, the server says."""
    return [raw("GET", "/tasks", user, **{"If-None-Match": _entity_tag(url, user)}) for user in LARGE]


def _entity_tag(url: str, user: str) -> str:
    asked = Request(f"{url}/tasks", headers={"Authorization": f"Bearer {_token(user)}"})  # noqa: S310 - http
    with urlopen(asked, timeout=10) as answer:  # noqa: S310 - the same
        return str(answer.headers["ETag"])


def _gets(_url: str, _doomed: Sequence[Row]) -> list[bytes]:
    return [raw("GET", f"/tasks/{task}", user) for user, task in _first_tasks().items()]


def _creates(_url: str = "", _doomed: Sequence[Row] = ()) -> list[bytes]:
    return [raw("POST", "/tasks", user, {"text": "Buy milk and two loaves of bread"}) for user in WRITERS]


def _patches(_url: str = "", _doomed: Sequence[Row] = ()) -> list[bytes]:
    """Complete a task of each user, and reopen it when all have: every request changes something."""
    return [
        raw("PATCH", f"/tasks/{task}", user, {"completed": completed})
        for completed in (True, False)
        for user, task in _first_tasks().items()
    ]


def _deletes(_url: str, doomed: Sequence[Row]) -> list[bytes]:
    return [raw("DELETE", f"/tasks/{task.id}", task.user_id) for task in doomed]


def _health(_url: str, _doomed: Sequence[Row]) -> list[bytes]:
    return [raw("GET", "/health")]


def _reads(url: str, doomed: Sequence[Row]) -> list[bytes]:
    return [*chain(*zip(_lists(SMALL), _gets(url, doomed), strict=True))]


def _writes(_url: str, doomed: Sequence[Row]) -> list[bytes]:
    """Create, patch and delete by turns."""
    turns = zip(cycle(_creates()), cycle(_patches()), _deletes("", doomed), strict=False)
    return [*chain(*turns)]


WORKS = {
    work.name: work
    for work in (
        Work("list_20", "list of 20", lambda _url, _doomed: _lists(SMALL)),
        Work("list_1000", "list of 1,000", lambda _url, _doomed: _lists(LARGE)),
        Work("unchanged", "list unchanged (304)", _unchanged, only=("ours",)),
        Work("get", "get one", _gets),
        Work("create", "create", _creates, writes=True),
        Work("patch", "patch", _patches, writes=True),
        Work("delete", "delete", _deletes, writes=True, uses_up=True),
        Work("health", "health", _health),
    )
}

#: The two halves of the mixed load.
READS = Work("reads", "lists of 20 and single tasks", _reads)
WRITES = Work("writes", "create, patch, delete by turns", _writes, writes=True, uses_up=True)

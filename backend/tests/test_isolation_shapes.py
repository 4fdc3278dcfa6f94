"""Every operation that takes an id: another's is answered like one that never was."""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, TypeAlias

import httpx2 as httpx
import pytest
from uuid_utils.compat import uuid7

from tests.conftest import ClientFor
from tests.test_tasks import make

#: Status, body and headers.
Told: TypeAlias = tuple[int, bytes, dict[str, str]]

_TIME = re.compile(rb'"\d{4}-\d\d-\d\dT[^"]*"')
_OWN = {"x-request-id", "date", "server-timing"}


@dataclass(frozen=True)
class Shape:
    """An operation with a place for an id, and what it does with one that its caller has not."""

    name: str
    method: str
    route: str
    path: str
    body: Callable[[str, str], Any] = lambda _id, _own: None  #: of the id, and of one of the caller's own
    headers: Mapping[str, str] | None = None
    status: int = 404

    async def ask(self, client: httpx.AsyncClient, key: str, own: str) -> httpx.Response:
        """Send it with an id."""
        headers = {name: value.format(key=key) for name, value in (self.headers or {}).items()}
        path, body = self.path.format(key=key, own=own), self.body(key, own)
        return await client.request(self.method, path, json=body, headers=headers)


_ONE, _MATCH = "/tasks/{task_id}", {"If-Match": '"1"'}
_PATH = "/tasks/{key}"
_BATCH = "/tasks/batch"


def _batch(**operation: Any) -> Callable[[str, str], Any]:
    return lambda key, _own: {"operations": [{**operation, "id": key}]}


def _second_of_batch(**operation: Any) -> Callable[[str, str], Any]:
    first = {"op": "create", "text": "Buy tea"}
    return lambda key, own: {
        "operations": [first, {"op": "patch", "id": own, "order": 3}, {**operation, "id": key}]
    }


_NEW = {"text": "mine now", "completed": True, "order": 9}
SHAPES = [
    Shape("get", "GET", _ONE, _PATH),
    Shape("get, known", "GET", _ONE, _PATH, headers={"If-None-Match": '"1"'}),
    Shape("put", "PUT", _ONE, _PATH, lambda _key, _own: _NEW),
    Shape("put, if", "PUT", _ONE, _PATH, lambda _key, _own: _NEW, _MATCH),
    Shape("patch", "PATCH", _ONE, _PATH, lambda _key, _own: {"text": "mine now"}),
    Shape("patch, if", "PATCH", _ONE, _PATH, lambda _key, _own: {"text": "mine now"}, _MATCH),
    Shape("patch nothing", "PATCH", _ONE, _PATH, lambda _key, _own: {}),
    Shape("delete", "DELETE", _ONE, _PATH),
    Shape("delete, if", "DELETE", _ONE, _PATH, headers=_MATCH),
    Shape("move", "POST", f"{_ONE}/move", f"{_PATH}/move", lambda _key, _own: {"after": None}),
    Shape("move beside own", "POST", f"{_ONE}/move", f"{_PATH}/move", lambda _key, own: {"before": own}),
    Shape("move, if", "POST", f"{_ONE}/move", f"{_PATH}/move", lambda _key, _own: {"after": None}, _MATCH),
    Shape(
        "move after", "POST", f"{_ONE}/move", "/tasks/{own}/move", lambda key, _own: {"after": key}, None, 422
    ),
    Shape(
        "move before",
        "POST",
        f"{_ONE}/move",
        "/tasks/{own}/move",
        lambda key, _own: {"before": key},
        None,
        422,
    ),
    Shape("restore", "POST", f"{_ONE}/restore", f"{_PATH}/restore"),
    Shape("restore, if", "POST", f"{_ONE}/restore", f"{_PATH}/restore", headers=_MATCH),
    Shape("purge", "DELETE", "/tasks/trash/{trashed_id}", "/tasks/trash/{key}"),
    Shape("create", "POST", "/tasks", "/tasks", lambda key, _own: {"text": "mine", "id": key}, None, 201),
    Shape("batch create", "POST", _BATCH, _BATCH, _batch(op="create", text="mine"), None, 200),
    *(
        shape
        for operation in ({"op": "patch", "text": "mine"}, {"op": "delete"}, {"op": "restore"})
        for name in [operation["op"]]
        for shape in (
            Shape(f"batch {name}", "POST", _BATCH, _BATCH, _batch(**operation)),
            Shape(f"batch {name}, if", "POST", _BATCH, _BATCH, _batch(**operation, if_match=1)),
            Shape(f"batch {name}, not first", "POST", _BATCH, _BATCH, _second_of_batch(**operation)),
        )
    ),
]
#: Takes no id of a task, but one of a request, which is its caller's own too.
KEYED = [
    Shape(
        "create with key", "POST", "/tasks", "/tasks",
        lambda _key, _own: {"text": "Buy milk"}, {"Idempotency-Key": "{key}"}, 201,
    ),
    Shape(
        "batch with key", "POST", _BATCH, _BATCH,
        lambda _key, _own: {"operations": [{"op": "create", "text": "Buy milk"}]},
        {"Idempotency-Key": "{key}"}, 200,
    ),
]  # fmt: skip
MALFORMED = [
    "x",
    "0",
    "null",
    "01890a5d-ac96-774b-bcce-b302099a805",
    "01890a5d-ac96-774b-bcce-b302099a8057 ",
    "%27",
]


def told(answer: httpx.Response, *own: str) -> Told:
    """All that two answers could be told apart by, but for times and what the caller sent or was given."""
    body = _TIME.sub(b'"now"', answer.content)
    for number, value in enumerate(own):
        body = body.replace(value.encode(), b"own %d" % number)
    return answer.status_code, body, {k: v for k, v in answer.headers.items() if k not in _OWN}


def _with_ids(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            named = [p for p in operation.get("parameters", []) if p["name"].endswith("_id")]
            if named or _takes_an_id(document, operation.get("requestBody", {})):
                yield method.upper(), path


def _takes_an_id(document: Mapping[str, Any], schema: Any) -> bool:
    match schema:
        case {"$ref": str(name)}:
            return _takes_an_id(document, document["components"]["schemas"][name.rsplit("/", 1)[1]])
        case dict():
            return schema.get("format") == "uuid" or any(
                _takes_an_id(document, part) for part in schema.values()
            )
        case list():
            return any(_takes_an_id(document, part) for part in schema)
    return False


def test_every_operation_that_takes_an_id_is_here(app):
    assert {(shape.method, shape.route) for shape in SHAPES} == set(_with_ids(app.openapi()))


async def _asked(client_for: ClientFor, shape: Shape, key: str) -> Told:
    """Let somebody ask who was never seen before, with one task of their own."""
    user = f"asks-{uuid.uuid4()}"
    async with client_for(user) as client:
        own = (await make(client))["id"]
        answer = await shape.ask(client, key, own)
    if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
        return told(answer)
    made = re.findall(rb'"id":"([^"]*)"', answer.content)
    return told(answer, key, own, user, *(found.decode() for found in made))


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
@pytest.mark.parametrize("deleted", [False, True], ids=["living", "deleted"])
async def test_anothers_id_is_answered_like_one_that_never_was(alice, client_for, rows_of, shape, deleted):
    task = await make(alice, order=4)
    if deleted:
        await alice.delete(f"/tasks/{task['id']}")
    before = await rows_of(task["user_id"])
    foreign = await _asked(client_for, shape, task["id"])
    never = await _asked(client_for, shape, str(uuid7()))
    assert foreign[0] == shape.status
    assert foreign == never
    assert await rows_of(task["user_id"]) == before


@pytest.mark.parametrize("shape", KEYED, ids=lambda shape: shape.name)
async def test_anothers_key_is_answered_like_one_that_never_was(client_for, shape):
    key = str(uuid.uuid4())
    first = await _asked(client_for, shape, key)
    foreign = await _asked(client_for, shape, key)
    never = await _asked(client_for, shape, str(uuid.uuid4()))
    assert first[0] == shape.status
    assert first == foreign == never


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
async def test_a_malformed_id_is_answered_the_same_whoever_asks(alice, client_for, shape):
    own = (await make(alice))["id"]
    for malformed in MALFORMED:
        mine = told(await shape.ask(alice, malformed, own))
        assert mine[0] == 422, malformed
        assert mine == await _asked(client_for, shape, malformed)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
async def test_a_stranger_is_told_nothing_of_any_id(alice, stranger, shape):
    task = await make(alice)
    answers = [told(await shape.ask(stranger, key, task["id"])) for key in (task["id"], str(uuid7()), "x")]
    assert answers[0][0] == 401
    assert answers[0] == answers[1] == answers[2]

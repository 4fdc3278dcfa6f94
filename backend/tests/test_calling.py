"""Handlers are given what they ask for, in FastAPI's order, without FastAPI's solver."""

import pytest
from fastapi import APIRouter, Response

from app.api.calling import calling
from app.api.gate import GuardedRoute
from app.api.routes import ROUTES
from app.schemas.task import TaskCreate
from tests.test_tasks import make

#: What asks for more than the path, a body and the request.
FASTAPIS_OWN = {"list_changes", "stream_events"}


def test_only_what_needs_it_is_left_to_fastapi():
    guarded = [route for route in ROUTES if isinstance(route, GuardedRoute)]
    assert {route.name for route in guarded if calling(route) is None} == FASTAPIS_OWN
    assert len(guarded) > len(FASTAPIS_OWN) + 10


def test_a_route_with_a_body_that_asks_for_more_is_not_made():
    router = APIRouter(route_class=GuardedRoute)

    async def odd(body: TaskCreate, page: int = 0) -> Response:
        return Response()

    with pytest.raises(TypeError, match=r"odd: with a body, ask for"):
        router.post("/odd")(odd)


@pytest.mark.parametrize(
    ("path", "content", "if_match", "status", "details"),
    [
        ("not-an-id", b"{", "1", 422, ["body - is not valid JSON"]),
        ("not-an-id", b'{"text": ""}', "1", 400, []),
        (
            "not-an-id",
            b'{"text": ""}',
            '"1"',
            422,
            [
                "task_id - must be a UUID, like 01890a5d-ac96-774b-bcce-b302099a8057",
                "text - must have at least 1 character(s)",
            ],
        ),
        ("{id}", b"", '"0"', 422, ["body - is required"]),
        ("{id}", b"[]", '"0"', 422, ["body - must be a JSON object"]),
        ("{id}", b'{"text": "x"}', '"0"', 412, []),
    ],
)
async def test_what_is_wrong_is_told_in_this_order(alice, path, content, if_match, status, details):
    headers = {"If-Match": if_match, "Content-Type": "application/json"}
    path = path.format(**await make(alice))
    answer = await alice.patch(f"/tasks/{path}", content=content, headers=headers)
    assert (answer.status_code, answer.json()["details"]) == (status, details)

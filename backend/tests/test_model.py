"""Two users' lists against a plain Python model of them, whatever is done in whatever order."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import httpx2 as httpx
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from app.auth.tokens import sign
from app.config import Settings
from app.main import create_app
from tests.conftest import SECRET, administer

texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=500
).filter(str.strip)
orders = st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 2)
users = st.sampled_from([0, 1])
optional_order = {"order": orders}
creations = st.fixed_dictionaries({"text": texts}, optional={"completed": st.booleans(), **optional_order})
replacements = st.fixed_dictionaries({"text": texts, "completed": st.booleans()}, optional=optional_order)
patches = st.fixed_dictionaries({}, optional={"text": texts, "completed": st.booleans(), **optional_order})

Ask = Callable[..., httpx.Response]
TIMES = {"updated_at", "completed_at"}


class Lists(RuleBasedStateMachine):
    """`model` is what a front end would keep: for each user the living tasks, and how often they changed."""

    ask: Ask
    count_revisions: Callable[[str], int]
    made = Bundle("made")

    def __init__(self) -> None:
        super().__init__()
        self.users = [f"model-{uuid.uuid4()}" for _ in range(2)]
        self.model: list[dict[str, dict[str, Any]]] = [{}, {}]
        self.revisions = [0, 0]

    @rule(target=made, user=users, body=creations)
    def create(self, user: int, body: dict[str, Any]) -> str:
        answer = self.ask(self.users[user], "POST", "/tasks", body)
        assert answer.status_code == 201
        task = answer.json()
        expected = {"completed": False, "order": 0} | body
        assert {name: task[name] for name in expected} == expected
        assert (task["completed_at"] is not None) is expected["completed"]
        self._note(user, task)
        return task["id"]

    @rule(task_id=made, user=users, body=replacements)
    def replace(self, task_id: str, user: int, body: dict[str, Any]) -> None:
        self._change("PUT", task_id, user, body)

    @rule(task_id=made, user=users, body=patches)
    def patch(self, task_id: str, user: int, body: dict[str, Any]) -> None:
        self._change("PATCH", task_id, user, body)

    @rule(task_id=made, user=users)
    def delete(self, task_id: str, user: int) -> None:
        answer = self.ask(self.users[user], "DELETE", f"/tasks/{task_id}")
        if self.model[user].pop(task_id, None) is None:
            assert answer.status_code == 404
        else:
            assert answer.status_code == 204
            self.revisions[user] += 1

    @rule(task_id=made, user=users)
    def get(self, task_id: str, user: int) -> None:
        answer = self.ask(self.users[user], "GET", f"/tasks/{task_id}")
        known = self.model[user].get(task_id)
        assert answer.status_code == (404 if known is None else 200)
        assert known is None or answer.json() == known

    @invariant()
    def each_list_is_its_model(self) -> None:
        for user, model in zip(self.users, self.model, strict=True):
            newest_first = sorted(model.values(), key=lambda task: task["id"], reverse=True)
            expected = sorted(newest_first, key=lambda task: task["order"])
            assert self.ask(user, "GET", "/tasks").json() == {"tasks": expected, "count": len(expected)}

    def teardown(self) -> None:
        assert [self.count_revisions(user) for user in self.users] == self.revisions

    def _change(self, method: str, task_id: str, user: int, body: dict[str, Any]) -> None:
        answer = self.ask(self.users[user], method, f"/tasks/{task_id}", body)
        before = self.model[user].get(task_id)
        if before is None:
            assert answer.status_code == 404
            return
        assert answer.status_code == 200
        after = answer.json()
        kept = before | body
        assert {k: v for k, v in after.items() if k not in TIMES} == {
            k: v for k, v in kept.items() if k not in TIMES
        }
        if not body:
            assert after == before
            return
        assert after["updated_at"] > before["updated_at"]
        if after["completed"] == before["completed"]:
            assert after["completed_at"] == before["completed_at"]
        else:
            assert after["completed_at"] == (after["updated_at"] if after["completed"] else None)
        self._note(user, after)

    def _note(self, user: int, task: dict[str, Any]) -> None:
        self.model[user][task["id"]] = task
        self.revisions[user] += 1


@pytest.mark.no_cover  # a thousand requests; what they run, others cover
def test_the_lists_stay_what_the_model_says(settings: Settings, database_url: str):
    app = create_app(settings)

    async def ask(user_id: str, method: str, path: str, body: object = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {sign(user_id, SECRET, seconds=3600)}"}
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://api.test", headers=headers
        ) as client:
            return await client.request(method, path, json=body)

    async def count_revisions(user_id: str) -> int:
        sql = "SELECT revision FROM task_lists WHERE user_id = $1"
        rows = await administer(database_url, sql, user_id)
        return rows[0]["revision"] if rows else 0

    with asyncio.Runner() as runner:

        class Machine(Lists):
            ask = staticmethod(lambda *arguments: runner.run(ask(*arguments)))
            count_revisions = staticmethod(lambda user_id: runner.run(count_revisions(user_id)))

        run_state_machine_as_test(
            Machine,
            settings=hypothesis_settings(
                max_examples=15,
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )

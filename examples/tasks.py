"""Tasks as a client has them. tasks.ts is the same in TypeScript."""

import time
import uuid
from typing import Any

Task = dict[str, Any]
Operation = dict[str, Any]  # one of /tasks/batch: create, patch, delete or restore


def new_id() -> str:
    """Make an id of one's own, of version 7: among equals in `order` the newest task stands first."""
    now = f"{time.time_ns() // 1_000_000:012x}"
    return f"{now[:8]}-{now[8:]}-7{str(uuid.uuid4())[15:]}"


def shown(known: dict[str, Task], queue: list[Operation]) -> dict[str, Task]:
    """Return the tasks in their order, as the user left them: what the server told, and on it what waits."""
    tasks, gone = dict(known), set[str]()
    for operation in queue:
        fields = {name: operation[name] for name in operation if name not in {"op", "if_match"}}
        op, task_id = operation["op"], operation["id"]
        if op == "create" or task_id in tasks:
            tasks[task_id] = {"completed": False, "order": 0} | tasks.get(task_id, {}) | fields
        (gone.add if op == "delete" else gone.discard)(task_id)
    newest_first = sorted(tasks.values(), key=lambda task: task["id"], reverse=True)
    in_order = sorted(newest_first, key=lambda task: task["order"])
    return {task["id"]: task for task in in_order if task["id"] not in gone}


def told(known: dict[str, Task], news: dict[str, Task | None]) -> dict[str, Task]:
    """Return what is known once the server has told something; None is a deleted task."""
    return {task_id: task for task_id, task in {**known, **news}.items() if task}


def batched(operations: list[Operation]) -> dict[str, list[Operation]]:
    """Return a batch. On one task only the first operation names a revision: the others build on it."""
    first = {each["id"]: each for each in reversed(operations)}
    kept = [
        {name: each[name] for name in each if name != "if_match" or each is first[each["id"]]}
        for each in operations
    ]
    return {"operations": kept}

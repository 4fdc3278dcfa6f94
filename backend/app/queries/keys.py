"""Idempotency keys: a request that comes again with its key is answered again, and not made again."""

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import CTE, ColumnElement, LargeBinary, Table, bindparam, exists, func, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import SQLModel

from app.database import Row
from app.errors import ValidationFailed
from app.models import IdempotencyKey
from app.queries.owned import TaskRow
from app.queries.tables import ALIVE, ONE, SHOWN, THIS, USER_ID
from app.statement import Statement

KEYS: Table = SQLModel.metadata.tables[IdempotencyKey.__tablename__]
_key = bindparam("key", type_=KEYS.c.key.type)
_this_key = (KEYS.c.user_id == USER_ID, KEYS.c.key == _key)
_TIMES = slice(6, 9)  # of SHOWN

#: To be asked before the counter moves: a request that is repeated then moves nothing.
KEY_IS_NEW = ~exists(select(ONE).select_from(KEYS).where(*_this_key))


def kept(made: CTE, revision: ColumnElement[int], answer: ColumnElement[Any]) -> CTE:
    """Keep the key and the answer if there is a row in `made`; no row where another request was faster.

    Such a statement has to undo itself (`nothing_unless`): a change without its key must not be.
    """
    now = bindparam("now", type_=KEYS.c.created_at.type)
    fingerprint = bindparam("fingerprint", type_=LargeBinary())
    values = [USER_ID.label("user_id"), _key.label("key"), fingerprint.label("fingerprint"), revision, answer]
    return (
        insert(KEYS)
        .from_select(
            ["user_id", "key", "fingerprint", "revision", "answer", "created_at"],
            select(*values, now.label("created_at")).select_from(made),
        )
        .on_conflict_do_nothing()
        .returning(KEYS.c.revision)
        .cte("kept")
    )


def as_json(columns: Iterable[ColumnElement[Any]]) -> ColumnElement[Any]:
    """Write a task, given by its columns in the order of SHOWN, as it is kept in an answer."""
    return func.jsonb_build_array(*columns)


_one = select(ONE.label("one")).cte("one")
#: The answer that was kept for a key; no row where there is no such key.
FOUND_KEY = (
    select(KEYS.c.fingerprint, KEYS.c.revision.label("taken"), KEYS.c.answer).where(*_this_key).cte("found")
)
_found_task = select(*SHOWN).where(ALIVE, THIS).cte("task")

#: What there is already: the answer that was kept for a key, and the task with an id. Always one row.
REPEATED = Statement(
    select(*_found_task.c, *FOUND_KEY.c).select_from(
        _one.outerjoin(FOUND_KEY, true()).outerjoin(_found_task, true())
    )
)


def fingerprint(operation: str, asked: object) -> bytes:
    """Tell requests apart by what they ask for, not by how it is written."""
    return hashlib.sha256(orjson.dumps([operation, asked], default=str)).digest()


def answer_of(found: Row, asked: bytes) -> list[TaskRow | None] | None:
    """Return the tasks that a key was answered with; None where there is no such key.

    Raises ValidationFailed when it was another request's.
    """
    if found["fingerprint"] is None:
        return None
    if found["fingerprint"] != asked:
        raise ValidationFailed(
            "This Idempotency-Key was used for another request; take a new key for a new request.",
            details=["Idempotency-Key - was used with another body"],
        )
    return [task and _shown(task) for task in orjson.loads(found["answer"])]


def _shown(task: list[Any]) -> TaskRow:
    task[_TIMES] = [time and datetime.fromisoformat(time).astimezone(UTC) for time in task[_TIMES]]
    return tuple(task)

"""A user's tasks: the only SQL on them, one statement for each thing that can be done."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Update,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal_column,
    null,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_or_update
from sqlmodel import SQLModel
from uuid_utils.compat import uuid7

from app.database import Database, Row, Statement
from app.errors import TaskNotFound
from app.models import Task, TaskList

_lists = SQLModel.metadata.tables[TaskList.__tablename__]
_tasks = SQLModel.metadata.tables[Task.__tablename__]
_task = _tasks.c

#: What a caller sees of a task, in the order of the contract's TaskResponse.
_SHOWN = [
    _task.id,
    _task.user_id,
    _task.text,
    _task.completed,
    _task.order,
    _task.created_at,
    _task.updated_at,
    _task.completed_at,
]

_ONE: ColumnElement[int] = literal_column("1")
_user_id = bindparam("user_id", type_=_task.user_id.type)
_alive = and_(_task.user_id == _user_id, _task.deleted_at.is_(None))
_this = and_(_alive, _task.id == bindparam("id"))


def _bound(name: str) -> ColumnElement[object]:
    return bindparam(name, type_=_task[name].type)


def _change(**values: object) -> Update:
    """Change one task and stamp it with the user's next revision.

    The counter comes first, here and everywhere: its row lock makes a user's revisions follow the order
    of commits, and one order of locks can't deadlock. It moves only if the task is there; a change that
    waits for the lock and finds the task deleted by the winner leaves its number unused.
    """
    counter = (
        update(_lists)
        .where(_lists.c.user_id == _user_id, exists(select(_ONE).select_from(_tasks).where(_this)))
        .values(revision=_lists.c.revision + _ONE)
        .returning(_lists.c.user_id, _lists.c.revision)
        .cte("list")
    )
    # Two writers may read their clocks in the other order than they get the lock; time never runs back.
    updated_at = func.greatest(_task.updated_at, bindparam("now", type_=_task.updated_at.type))
    return (
        update(_tasks)
        .where(_this, _task.user_id == counter.c.user_id)
        .values(updated_at=updated_at, revision=counter.c.revision, **values)
    )


_all = Statement(select(*_SHOWN).where(_alive).order_by(_task.order, _task.id.desc()))

_get = Statement(select(*_SHOWN).where(_this))

_next_revision = (
    insert_or_update(_lists)
    .values(user_id=_user_id, revision=_ONE, purged_revision=literal_column("0"))
    .on_conflict_do_update(index_elements=[_lists.c.user_id], set_={"revision": _lists.c.revision + _ONE})
    .returning(_lists.c.revision)
    .cte("list")
)
_ADDED = ["user_id", "id", "text", "completed", "order", "created_at", "updated_at", "completed_at"]
_add = Statement(
    insert(_tasks)
    .from_select(
        [*_ADDED, "revision"],
        select(*(_bound(name).label(name) for name in _ADDED), _next_revision.c.revision),
    )
    .returning(*_SHOWN)
)

_text = func.coalesce(_bound("text"), _task.text)
_completed = func.coalesce(_bound("completed"), _task.completed)
_order = func.coalesce(_bound("order"), _task.order)
# Only a real transition moves the time: completing twice keeps the first, reopening clears it.
_completed_at = case(
    (_completed.is_(False), null()),
    (_task.completed, _task.completed_at),
    else_=bindparam("now", type_=_task.completed_at.type),
)
_set = Statement(
    _change(text=_text, completed=_completed, order=_order, completed_at=_completed_at).returning(*_SHOWN)
)

_remove = Statement(_change(deleted_at=bindparam("now", type_=_task.deleted_at.type)).returning(_task.id))


@dataclass(frozen=True, slots=True)
class UserTasks:
    """One user's tasks. Without a user there is no such object, so no statement can forget whose they are."""

    _database: Database
    _user_id: str

    async def all(self) -> list[Row]:
        """Return every task in display order: by `order`, among equals the newest first."""
        return await self._database.fetch(_all, user_id=self._user_id)

    async def get(self, task_id: UUID) -> Row:
        """Return one task; raises TaskNotFound."""
        return _found(await self._database.fetch_one(_get, user_id=self._user_id, id=task_id))

    async def add(self, *, text: str, completed: bool = False, order: int = 0) -> Row:
        """Create a task; its id is a UUIDv7 (RFC 9562), so ids stand in the order of creation."""
        now = datetime.now(UTC)
        rows = await self._database.fetch(
            _add,
            user_id=self._user_id,
            id=uuid7(),
            text=text,
            completed=completed,
            order=order,
            created_at=now,
            updated_at=now,
            completed_at=now if completed else None,
        )
        return rows[0]

    async def change(
        self,
        task_id: UUID,
        *,
        text: str | None = None,
        completed: bool | None = None,
        order: int | None = None,
    ) -> Row:
        """Change what is given and leave the rest; nothing given changes nothing. Raises TaskNotFound."""
        if text is None and completed is None and order is None:
            return await self.get(task_id)
        row = await self._database.fetch_one(
            _set,
            user_id=self._user_id,
            id=task_id,
            text=text,
            completed=completed,
            order=order,
            now=datetime.now(UTC),
        )
        return _found(row)

    async def remove(self, task_id: UUID) -> None:
        """Mark a task deleted; the row stays as a tombstone. Raises TaskNotFound."""
        row = await self._database.fetch_one(
            _remove, user_id=self._user_id, id=task_id, now=datetime.now(UTC)
        )
        _found(row)


def _found(row: Row | None) -> Row:
    if row is None:
        raise TaskNotFound
    return row

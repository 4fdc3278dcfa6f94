"""The statements on tasks: compiled once, each tied to its owner."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    ColumnElement,
    Update,
    all_,
    and_,
    any_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    null,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert as insert_or_update
from sqlmodel import SQLModel

from app.database import Statement
from app.models import Task, TaskList

_lists = SQLModel.metadata.tables[TaskList.__tablename__]
_tasks = SQLModel.metadata.tables[Task.__tablename__]
_task = _tasks.c

#: What a caller sees of a task: its revision, which is its validator, then the contract's TaskResponse.
_SHOWN = [
    _task.revision,
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

# If-Match: without a list of revisions any will do. In the statement itself, so that no writer comes between.
_expected = bindparam("expected", type_=ARRAY(BigInteger))
_as_expected = func.coalesce(_task.revision == any_(_expected), true())


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
        .where(
            _lists.c.user_id == _user_id, exists(select(_ONE).select_from(_tasks).where(_this, _as_expected))
        )
        .values(revision=_lists.c.revision + _ONE)
        .returning(_lists.c.user_id, _lists.c.revision)
        .cte("list")
    )
    # Two writers may read their clocks in the other order than they get the lock; time never runs back.
    updated_at = func.greatest(_task.updated_at, bindparam("now", type_=_task.updated_at.type))
    return (
        update(_tasks)
        .where(_this, _as_expected, _task.user_id == counter.c.user_id)
        .values(updated_at=updated_at, revision=counter.c.revision, **values)
    )


_counter = select(_lists.c.revision).where(_lists.c.user_id == _user_id).scalar_subquery()
_list = select(func.coalesce(_counter, literal_column("0")).label("revision")).cte("list")
# The condition on the counter is decided before any task is read: without OFFSET, PostgreSQL would merge the
# parts and ask it of every task (`never executed` in the plan, held by a test).
_of_list = (
    select(*_SHOWN[1:])
    .where(
        _alive,
        bindparam("wanted", type_=Boolean),
        _list.c.revision != all_(bindparam("known", type_=ARRAY(BigInteger))),
    )
    .offset(literal_column("0"))
    .lateral("shown")
)
LIST = Statement(
    select(_list.c.revision, *_of_list.c)
    .select_from(_list.outerjoin(_of_list, true()))
    .order_by(_of_list.c.order, _of_list.c.id.desc())
)

GET = Statement(select(*_SHOWN).where(_this))

# A create that is repeated finds its task, or the tombstone of it, and moves nothing.
_is_new = ~exists(
    select(_ONE).select_from(_tasks).where(_task.user_id == _user_id, _task.id == bindparam("id"))
)
_next_revision = (
    insert_or_update(_lists)
    .from_select(
        ["user_id", "revision", "purged_revision"],
        select(_user_id.label("user_id"), _ONE.label("revision"), literal_column("0").label("purged")).where(
            _is_new
        ),
    )
    .on_conflict_do_update(index_elements=[_lists.c.user_id], set_={"revision": _lists.c.revision + _ONE})
    .returning(_lists.c.revision)
    .cte("list")
)
_ADDED = ["user_id", "id", "text", "completed", "order", "created_at", "updated_at", "completed_at"]
ADD = Statement(
    insert_or_update(_tasks)
    .from_select(
        [*_ADDED, "revision"],
        select(*(_bound(name).label(name) for name in _ADDED), _next_revision.c.revision),
    )
    .on_conflict_do_nothing()
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
SET = Statement(
    _change(text=_text, completed=_completed, order=_order, completed_at=_completed_at).returning(*_SHOWN)
)

REMOVE = Statement(
    _change(deleted_at=bindparam("now", type_=_task.deleted_at.type)).returning(_task.revision)
)

"""The tables as statements see them, and the two conditions that every one of them is built from."""

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    Table,
    Update,
    and_,
    any_,
    bindparam,
    case,
    exists,
    func,
    literal_column,
    select,
    true,
    update,
)
from sqlmodel import SQLModel

from app.models import Task, TaskList

LISTS: Table = SQLModel.metadata.tables[TaskList.__tablename__]
TASKS: Table = SQLModel.metadata.tables[Task.__tablename__]
TASK = TASKS.c

#: What a caller sees of a task: its revision, which is its validator, then the contract's TaskResponse.
SHOWN = [
    TASK.revision,
    TASK.id,
    TASK.user_id,
    TASK.text,
    TASK.completed,
    TASK.order,
    TASK.created_at,
    TASK.updated_at,
    TASK.completed_at,
]

ZERO: ColumnElement[int] = literal_column("0")
ONE: ColumnElement[int] = literal_column("1")

USER_ID = bindparam("user_id", type_=TASK.user_id.type)
ALIVE = and_(TASK.user_id == USER_ID, TASK.deleted_at.is_(None))
# For what reads a list: the planner can't see in it whose. Where it can, it finds a typical user cheaper than
# the average one and plans each such read anew, which takes as long as running it (docs/decisions/0019).
OF_USER = TASK.user_id == select(USER_ID).scalar_subquery()
LISTED = and_(OF_USER, TASK.deleted_at.is_(None))
TRASHED = and_(TASK.user_id == USER_ID, TASK.deleted_at.is_not(None))

THIS = TASK.id == bindparam("id")
# If-Match: without a list of revisions any will do. In the statement itself, so that no writer comes between.
AS_EXPECTED = func.coalesce(TASK.revision == any_(bindparam("expected", type_=ARRAY(BigInteger))), true())

# Two writers may read their clocks in the other order than they get the lock; time never runs back.
UPDATED_AT = func.greatest(TASK.updated_at, bindparam("now", type_=TASK.updated_at.type))


def bound(name: str) -> ColumnElement[object]:
    """Return a parameter with the name and type of a column of `tasks`."""
    return bindparam(name, type_=TASK[name].type)


def nothing_unless(condition: ColumnElement[bool]) -> ColumnElement[int]:
    """Return 1, or undo the whole statement by dividing by zero (asyncpg.DivisionByZeroError).

    An error is the only way to take back what a statement did already, the counter included; this one puts
    no value into the database's log.
    """
    return ONE.op("/")(case((condition, ONE), else_=ZERO))


def next_revision(*conditions: ColumnElement[bool]) -> CTE:
    """Take the user's next revision if there is a task that meets the conditions.

    The counter comes first, here and everywhere: its row lock makes a user's revisions follow the order
    of commits, and one order of locks can't deadlock.
    """
    there = exists(select(ONE).select_from(TASKS).where(*conditions))
    return (
        update(LISTS)
        .where(LISTS.c.user_id == USER_ID, there)
        .values(revision=LISTS.c.revision + ONE)
        .returning(LISTS.c.user_id, LISTS.c.revision)
        .cte("list")
    )


def change(*conditions: ColumnElement[bool], **values: object) -> Update:
    """Change the task that meets the conditions and stamp it with the user's next revision.

    A change that waits for the counter's lock and finds the task changed by the winner, so that the
    conditions no longer hold, leaves its number unused.
    """
    counter = next_revision(*conditions)
    return (
        update(TASKS)
        .where(*conditions, TASK.user_id == counter.c.user_id)
        .values(updated_at=UPDATED_AT, revision=counter.c.revision, **values)
    )

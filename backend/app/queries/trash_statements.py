"""The statements on the trash: what is in it, back out of it, and for good."""

from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Select,
    bindparam,
    delete,
    exists,
    func,
    null,
    or_,
    select,
    update,
)

from app.queries.keys import KEYS
from app.queries.tables import (
    AS_EXPECTED,
    LISTS,
    ONE,
    SHOWN,
    TASK,
    TASKS,
    THIS,
    TRASHED,
    USER_ID,
    ZERO,
    change,
)
from app.statement import Statement

DUE = TASK.deleted_at < bindparam("deleted_before", type_=TASK.deleted_at.type)
FORGOTTEN = KEYS.c.created_at < bindparam("answered_before", type_=KEYS.c.created_at.type)

# A row in the trash keeps its stamp, which is that of its deletion, also when a move makes room there.
ALL = Statement(select(*SHOWN, TASK.deleted_at).where(TRASHED).order_by(TASK.revision.desc()))

RESTORE = Statement(change(TRASHED, THIS, AS_EXPECTED, deleted_at=null()).returning(*SHOWN))

# Why nothing was restored: alive or not, it is asked for after the statement that looked for the trashed.
STANDS = Statement(select(*SHOWN, TASK.deleted_at).where(TASK.user_id == USER_ID, THIS))


def _found(*conditions: ColumnElement[bool]) -> Select[tuple[UUID, int]]:
    """Name what is to be removed, as the statement's snapshot has it."""
    return select(TASK.id, TASK.revision).where(TRASHED, *conditions)


def _purged_up_to(found: CTE, *more: ColumnElement[bool]) -> CTE:
    """Lock the counter and record how far the removal goes: it takes no number.

    What was restored while this waited counts too. That only sends a client that was away back to the start;
    a mark below a removed row would leave it with a task that is gone.
    """
    newest = select(func.max(found.c.revision)).scalar_subquery()
    there = exists(select(ONE).select_from(found))
    return (
        update(LISTS)
        .where(LISTS.c.user_id == USER_ID, or_(there, *more))
        .values(purged_revision=func.greatest(LISTS.c.purged_revision, newest))
        .returning(LISTS.c.user_id, LISTS.c.revision)
        .cte("list")
    )


def _removed(found: CTE, counter: CTE) -> CTE:
    """Remove what was found and is still as it was: what was restored meanwhile has another revision."""
    same = (TASK.id == found.c.id, TASK.revision == found.c.revision)
    return (
        delete(TASKS)
        .where(TRASHED, TASK.user_id == counter.c.user_id, *same)
        .returning(TASK.id)
        .cte("removed")
    )


_one = _found(THIS).cte("found")
_of_one = _purged_up_to(_one)
_without_one = _removed(_one, _of_one)
PURGE = Statement(select(_of_one.c.revision).where(exists(select(ONE).select_from(_without_one))))

_all = _found().cte("found")
_of_all = _purged_up_to(_all)
_revision = select(LISTS.c.revision).where(LISTS.c.user_id == USER_ID).scalar_subquery()
EMPTY = Statement(
    select(
        func.coalesce(select(_of_all.c.revision).scalar_subquery(), _revision, ZERO).label("revision")
    ).add_cte(_removed(_all, _of_all))
)

_LIMIT = bindparam("limit", type_=Integer)
# The oldest deletions first, so that a batch moves the mark no further than it must.
_due = _found(DUE).order_by(TASK.revision).limit(_LIMIT).cte("found")
_forgotten = select(KEYS.c.key).where(KEYS.c.user_id == USER_ID, FORGOTTEN).limit(_LIMIT).cte("forgotten")
_of_due = _purged_up_to(_due, exists(select(ONE).select_from(_forgotten)))
_without_due = _removed(_due, _of_due)
# Behind the counter like the tasks: whoever answers with a key has locked it first, too.
_keys = (
    delete(KEYS)
    .where(
        KEYS.c.user_id == USER_ID,
        FORGOTTEN,
        KEYS.c.user_id == _of_due.c.user_id,
        KEYS.c.key == _forgotten.c.key,
    )
    .returning(KEYS.c.key)
    .cte("keys")
)


def _size(part: CTE) -> ColumnElement[int]:
    return select(func.count()).select_from(part).scalar_subquery()


#: One batch of one user; `more` when it was full. No row when there was nothing, or no such user.
PURGE_DUE = Statement(
    select(
        _size(_without_due).label("tasks"),
        _size(_keys).label("keys"),
        or_(_size(_due) == _LIMIT, _size(_forgotten) == _LIMIT).label("more"),
    ).select_from(_of_due)
)

"""The statements on single tasks and on the whole list: compiled once, each tied to its owner."""

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    all_,
    and_,
    bindparam,
    case,
    func,
    null,
    select,
    true,
)

from app.queries.tables import (
    ALIVE,
    AS_EXPECTED,
    LISTED,
    LISTS,
    SHOWN,
    TASK,
    THIS,
    USER_ID,
    ZERO,
    bound,
    change,
)
from app.statement import Statement

# max() makes it one row, whatever is there, and is computed once: PostgreSQL would put a scalar subquery into
# each place that names it (docs/decisions/0019).
_counted = func.coalesce(func.max(LISTS.c.revision), ZERO).label("revision")
#: The user's revision, 0 where nothing was ever written: one row.
COUNTED = select(_counted).where(LISTS.c.user_id == USER_ID).cte("list")
#: If-None-Match: whether tasks are to be read at all.
ASKED_FOR = and_(
    bindparam("wanted", type_=Boolean),
    COUNTED.c.revision != all_(bindparam("known", type_=ARRAY(BigInteger))),
)
# The condition on the counter is decided before any task is read: without OFFSET, PostgreSQL would merge the
# parts and ask it of every task (`never executed` in the plan, held by a test).
_of_list = select(*SHOWN[1:]).where(LISTED, ASKED_FOR).offset(ZERO).lateral("shown")
LIST = Statement(
    select(COUNTED.c.revision, *_of_list.c)
    .select_from(COUNTED.outerjoin(_of_list, true()))
    .order_by(_of_list.c.order, _of_list.c.id.desc())
)

GET = Statement(select(*SHOWN).where(ALIVE, THIS))

_text = func.coalesce(bound("text"), TASK.text)
_completed = func.coalesce(bound("completed"), TASK.completed)
_order = func.coalesce(bound("order"), TASK.order)
# Only a real transition moves the time: completing twice keeps the first, reopening clears it.
_completed_at = case(
    (_completed.is_(False), null()),
    (TASK.completed, TASK.completed_at),
    else_=bindparam("now", type_=TASK.completed_at.type),
)
SET = Statement(
    change(
        ALIVE, THIS, AS_EXPECTED, text=_text, completed=_completed, order=_order, completed_at=_completed_at
    ).returning(*SHOWN)
)

REMOVE = Statement(
    change(ALIVE, THIS, AS_EXPECTED, deleted_at=bindparam("now", type_=TASK.deleted_at.type)).returning(
        TASK.revision
    )
)

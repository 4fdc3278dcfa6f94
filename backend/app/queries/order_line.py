"""A list as a move sees it: the task, what it goes next to, all others in their order."""

from sqlalchemy import CTE, Boolean, ColumnElement, and_, bindparam, exists, func, or_, select, true

from app.queries.tables import ALIVE, AS_EXPECTED, LISTS, ONE, SHOWN, TASK, TASKS, THIS, USER_ID

ANCHOR = bindparam("anchor", type_=TASK.id.type)
BELOW = bindparam("below", type_=Boolean)


def _stands_before(place: CTE, *, itself: ColumnElement[bool] | None = None) -> ColumnElement[bool]:
    """Whether a task stands before another in display order; NULL if there is no other."""
    newer = TASK.id > place.c.id
    if itself is not None:
        newer = or_(newer, and_(itself, TASK.id == place.c.id))
    return or_(TASK.order < place.c.order, and_(TASK.order == place.c.order, newer))


# Read before the positions are, in the same snapshot, and compared when the counter is taken.
KNOWN = select(LISTS.c.revision).where(LISTS.c.user_id == USER_ID).cte("known")
MOVED = select(*SHOWN, AS_EXPECTED.label("as_expected")).where(ALIVE, THIS).cte("task")
# The tombstone of a deleted task still says where it stood.
_anchor = select(TASK.id, TASK.order).where(TASK.user_id == USER_ID, TASK.id == ANCHOR).cte("anchor")
HAS_ANCHOR = or_(ANCHOR.is_(None), exists(select(ONE).select_from(_anchor)))

# The list without the task, with those that are deleted: they may come back. `slot` is how many stand before
# where the task goes; `living_slot` and `living_stood` how many that live, before there and where it is now.
_in_order = (TASK.order, TASK.id.desc())
_lives = TASK.deleted_at.is_(None)
_before_slot = func.coalesce(_stands_before(_anchor, itself=BELOW), ~BELOW)
LINE = (
    select(
        func.array_agg(TASK.id).aggregate_order_by(*_in_order).label("ids"),
        func.array_agg(TASK.order).aggregate_order_by(*_in_order).label("orders"),
        func.count().label("size"),
        func.count().filter(_before_slot).label("slot"),
        func.count().filter(_lives, _before_slot).label("living_slot"),
        func.count().filter(_lives, _stands_before(MOVED)).label("living_stood"),
    )
    .select_from(TASKS.outerjoin(_anchor, true()).outerjoin(MOVED, true()))
    .where(TASK.user_id == USER_ID, ~THIS)
    .cte("line")
)

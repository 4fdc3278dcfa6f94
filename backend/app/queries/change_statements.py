"""The statement that tells what changed since a revision."""

from sqlalchemy import BigInteger, Integer, bindparam, case, func, or_, select, true

from app.queries.tables import LISTS, OF_USER, ONE, SHOWN, TASK, USER_ID, ZERO
from app.statement import Statement

_since = bindparam("since", type_=BigInteger)
_limit = bindparam("limit", type_=Integer)
_from_the_start = _since.is_(None)

_counter = select(LISTS.c.revision, LISTS.c.purged_revision).where(LISTS.c.user_id == USER_ID).cte("counter")
# A user who never wrote anything has no row; an aggregate gives one all the same.
_list = select(
    func.coalesce(func.max(_counter.c.revision), ZERO).label("revision"),
    func.coalesce(func.max(_counter.c.purged_revision), ZERO).label("purged_revision"),
).cte("list")

_changed = (
    select(*SHOWN, TASK.deleted_at, func.row_number().over(order_by=TASK.revision).label("place"))
    .where(
        OF_USER,
        TASK.revision > func.coalesce(_since, ZERO),
        or_(_since.is_not(None), TASK.deleted_at.is_(None)),
    )
    .cte("changed")
)

# Up to where this page tells. One revision may stand on several tasks (a move that made room), and is told
# whole: before the first that does not fit, or, should a single one not fit, with all of it. From the start
# it goes at least as far as the purge went: who comes back from there has missed nothing.
_first_left_out = func.min(_changed.c.revision).filter(_changed.c.place == _limit + ONE)
_page = (
    select(
        case(
            (_first_left_out.is_(None), _list.c.revision),
            else_=func.greatest(
                _first_left_out - ONE,
                func.min(_changed.c.revision),
                case((_from_the_start, _list.c.purged_revision), else_=ZERO),
            ),
        ).label("end")
    )
    .select_from(_list.outerjoin(_changed, true()))
    .group_by(_list.c.revision, _list.c.purged_revision)
    .cte("page")
)

_told = [column for column in _changed.c if column.name != "place"]
CHANGES = Statement(
    select(
        _list.c.revision.label("newest"),
        _list.c.purged_revision,
        _page.c.end,
        *_told,
    )
    .select_from(_list.join(_page, true()).outerjoin(_changed, _changed.c.revision <= _page.c.end))
    .order_by(_changed.c.revision)
)

"""The statements that read a part of a user's tasks: one for each order, the rest are parameters."""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    and_,
    bindparam,
    case,
    func,
    literal,
    or_,
    select,
    true,
)

from app.queries.tables import LISTED, SHOWN, TASK, TASKS, ZERO, bound
from app.queries.task_statements import ASKED_FOR, COUNTED
from app.statement import Statement

#: What stands for the `completed_at` of an open task: it comes last, whichever way the others run.
NEVER = {
    "completed_at": datetime.max.replace(tzinfo=UTC),
    "-completed_at": datetime.min.replace(tzinfo=UTC),
}
_FIELDS = ["order", "created_at", "updated_at", "completed_at", "text"]


def _if_given(name: str, condition: ColumnElement[bool], like: str) -> ColumnElement[bool]:
    """Let everything through where the parameter is null; the condition is not even computed then."""
    return or_(bindparam(name, type_=TASK[like].type).is_(None), condition)


_since = bindparam("updated_since", type_=TASK.updated_at.type)
# A place in the text and no LIKE: nothing in `q` has a meaning of its own.
_holds = func.strpos(func.lower(TASK.text), func.lower(bindparam("q", type_=TASK.text.type)))
MATCHES = and_(
    LISTED,
    _if_given("completed", TASK.completed == bound("completed"), "completed"),
    _if_given("updated_since", TASK.updated_at >= _since, "updated_at"),
    _if_given("q", _holds > ZERO, "text"),
)

_total = select(func.count()).select_from(TASKS).where(MATCHES).scalar_subquery()
# CASE is what keeps PostgreSQL from counting where nobody asked (`never executed` in the plan). The planner
# can't see whether anybody does, or it would plan anew for each who does not (see OF_USER in tables.py).
_asked_for = and_(select(bindparam("counted", type_=Boolean)).scalar_subquery(), ASKED_FOR)
TOTAL = case((_asked_for, _total)).label("total")


def _part(sort: str) -> Statement:
    """Read in one order, from a place on: ids make the order total, so a place is a key and an id."""
    field, descending = sort.removeprefix("-"), sort.startswith("-")
    key = func.coalesce(TASK[field], literal(NEVER[sort])) if sort in NEVER else TASK[field]
    last_key, last_id = bindparam("last_key", type_=key.type), bindparam("last_id", type_=TASK.id.type)
    newest_first = descending != (field == "order")
    beyond = or_(
        last_id.is_(None),
        key < last_key if descending else key > last_key,
        and_(key == last_key, TASK.id < last_id if newest_first else TASK.id > last_id),
    )
    shown = (
        select(*SHOWN[1:], key.label("key"))
        .where(MATCHES, ASKED_FOR, beyond)
        .order_by(key.desc() if descending else key, TASK.id.desc() if newest_first else TASK.id)
        .limit(bindparam("most", type_=BigInteger))
        .lateral("shown")
    )
    return Statement(
        select(COUNTED.c.revision, *[shown.c[column.key] for column in SHOWN[1:]], TOTAL)
        .select_from(COUNTED.outerjoin(shown, true()))
        .order_by(
            shown.c.key.desc() if descending else shown.c.key,
            shown.c.id.desc() if newest_first else shown.c.id,
        )
    )


PARTS = {sort: _part(sort) for field in _FIELDS for sort in (field, f"-{field}")}

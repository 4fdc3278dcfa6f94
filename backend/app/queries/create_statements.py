"""The statements that create a task: compiled once, each tied to its owner."""

from typing import Any

from sqlalchemy import CTE, ColumnElement, exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import ReturningInsert

from app.queries.keys import KEY_IS_NEW, as_json, kept
from app.queries.tables import LISTS, ONE, SHOWN, TASK, TASKS, THIS, USER_ID, ZERO, bound, nothing_unless
from app.statement import Statement

ADDED = ["user_id", "id", "text", "completed", "order", "created_at", "updated_at", "completed_at"]

# A create that is repeated finds its task, or the tombstone of it, and moves nothing.
_IS_NEW = ~exists(select(ONE).select_from(TASKS).where(TASK.user_id == USER_ID, THIS))


def first_or_next_revision(*conditions: ColumnElement[bool], step: ColumnElement[int] = ONE) -> CTE:
    """Move the user's counter by `step`; it begins with the user's first task."""
    first = select(USER_ID.label("user_id"), step.label("revision"), ZERO.label("purged"))
    return (
        insert(LISTS)
        .from_select(["user_id", "revision", "purged_revision"], first.where(*conditions))
        .on_conflict_do_update(index_elements=[LISTS.c.user_id], set_={"revision": LISTS.c.revision + step})
        .returning(LISTS.c.revision)
        .cte("list")
    )


def _insert(*conditions: ColumnElement[bool]) -> ReturningInsert[Any]:
    counter = first_or_next_revision(_IS_NEW, *conditions)
    return (
        insert(TASKS)
        .from_select(
            [*ADDED, "revision"],
            select(*(bound(name).label(name) for name in ADDED), counter.c.revision),
        )
        .on_conflict_do_nothing()
        .returning(*SHOWN)
    )


ADD = Statement(_insert())

_made = _insert(KEY_IS_NEW).cte("made")
#: The same, once for a key: its answer is kept with it.
_kept = kept(_made, _made.c.revision, as_json([as_json(_made.c)]))
ADD_ONCE = Statement(select(*_made.c, nothing_unless(exists(select(_kept.c.revision))).label("once")))

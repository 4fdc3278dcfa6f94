"""The statement of a batch: all of its operations, or nothing of it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    Boolean,
    ColumnElement,
    FromClause,
    Integer,
    Text,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    column,
    exists,
    func,
    null,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert
from sqlalchemy.types import TypeEngine

from app.queries.batch_plan import ANY_STATE, NEW
from app.queries.create_statements import ADDED, first_or_next_revision
from app.queries.keys import FOUND_KEY, KEY_IS_NEW, as_json, kept
from app.queries.tables import ONE, SHOWN, TASK, TASKS, UPDATED_AT, USER_ID, ZERO, nothing_unless
from app.statement import Statement

_now = bindparam("now", type_=TASK.updated_at.type)
_taken = bindparam("taken", type_=Integer)


def _rows(name: str, types: dict[str, TypeEngine[Any]], *, numbered: bool = False) -> FromClause:
    """Read arrays, one for each column, as rows."""
    arrays = [bindparam(f"{name}_{field}", type_=ARRAY(type_)) for field, type_ in types.items()]
    columns = [column(field, type_) for field, type_ in types.items()]
    numbers: dict[str, Any] = {"with_ordinality": "place"} if numbered else {}
    return func.unnest(*arrays).table_valued(*columns, **numbers).render_derived(name=name)


#: For each task what is done with it (batch_plan.Step), and for each operation which task it is about.
STEP_TYPES: dict[str, TypeEngine[Any]] = {
    "id": Uuid(),
    "needs": Text(),
    "expected": BigInteger(),
    "text": Text(),
    "completed": Boolean(),
    "order": Integer(),
    "reopened": Boolean(),
    "deleted": Boolean(),
    "at": Integer(),
}
_step = _rows("step", STEP_TYPES)
_operation = _rows("operation", {"id": Uuid()}, numbered=True)
_s = _step.c

_deleted_at = case((_s.deleted, _now), else_=null())
_completed = func.coalesce(_s.completed, TASK.completed)
_completed_at = case(
    (_completed.is_(False), null()),
    (and_(TASK.completed, ~_s.reopened), TASK.completed_at),
    else_=_now,
)
_stays = _s.at == ZERO  # a task that was created before, and is only held to that


def _statement(*conditions: ColumnElement[bool], keeps: bool) -> Statement:
    counter = first_or_next_revision(*conditions, step=_taken)
    revision = counter.c.revision - _taken + _s.at
    changed = (
        update(TASKS)
        .where(
            TASK.user_id == USER_ID,
            TASK.id == _s.id,
            _s.needs != NEW,
            or_(_s.needs == ANY_STATE, TASK.deleted_at.is_(None)),
            func.coalesce(TASK.revision == _s.expected, true()),
        )
        .values(
            text=func.coalesce(_s.text, TASK.text),
            completed=_completed,
            order=func.coalesce(_s.order, TASK.order),
            updated_at=case((_stays, TASK.updated_at), else_=UPDATED_AT),
            completed_at=_completed_at,
            deleted_at=_deleted_at,
            revision=case((_stays, TASK.revision), else_=revision),
        )
        .returning(*SHOWN, TASK.deleted_at)
        .cte("changed")
    )
    values = {
        "user_id": USER_ID,
        "id": _s.id,
        "text": _s.text,
        "completed": _s.completed,
        "order": _s.order,
        "created_at": _now,
        "updated_at": _now,
        "completed_at": case((_s.completed, _now), else_=null()),
    }
    made = (
        insert(TASKS)
        .from_select(
            [*ADDED, "deleted_at", "revision"],
            select(*(values[name].label(name) for name in ADDED), _deleted_at.label("deleted_at"), revision)
            .select_from(_step.join(counter, true()))
            .where(_s.needs == NEW),
        )
        .on_conflict_do_nothing()
        .returning(*SHOWN, TASK.deleted_at)
        .cte("made")
    )
    done = union_all(select(*changed.c), select(*made.c)).cte("done")
    shown = [done.c[column.key] for column in SHOWN]
    alive = and_(done.c.id == _operation.c.id, done.c.deleted_at.is_(None))
    whole = select(func.count()).select_from(done).scalar_subquery() == bindparam("steps", type_=Integer)
    if keeps:
        whole = and_(whole, exists(select(_kept(counter, done, alive, shown).c.revision)))
    taken = ~exists(
        select(counter.c.revision)
    )  # the key is: nothing was done, and nothing need be said in the log
    applied = select(nothing_unless(or_(whole, taken)).label("applied")).cte("applied")
    return Statement(
        select(
            counter.c.revision,
            applied.c.applied,
            *(column.label(f"task_{column.key}") for column in shown),
        )
        .select_from(counter.join(applied, true()).join(_operation, true()).outerjoin(done, alive))
        .order_by(_operation.c.place)
    )


def _kept(counter: CTE, done: CTE, alive: ColumnElement[bool], shown: Sequence[ColumnElement[Any]]) -> CTE:
    told = case((done.c.id.is_(None), null()), else_=as_json(shown))
    in_order = func.jsonb_agg(aggregate_order_by(told, _operation.c.place))
    answer = (
        select(counter.c.revision, in_order.label("answer"))
        .select_from(counter.join(_operation, true()).outerjoin(done, alive))
        .group_by(counter.c.revision)
        .cte("answer")
    )
    return kept(answer, answer.c.revision, answer.c.answer)


BATCH = _statement(keeps=False)
BATCH_ONCE = _statement(KEY_IS_NEW, keeps=True)

_one = select(ONE.label("one")).cte("one")
_named = (
    select(*SHOWN, TASK.deleted_at)
    .where(TASK.user_id == USER_ID, TASK.id == any_(bindparam("ids", type_=ARRAY(Uuid()))))
    .cte("named")
)
#: Read when a batch does not apply, to say why: the answer that was kept for its key, and the tasks that it
#: names, deleted ones too. One row at least.
NAMED = Statement(
    select(*_named.c, *FOUND_KEY.c).select_from(_one.outerjoin(FOUND_KEY, true()).outerjoin(_named, true()))
)

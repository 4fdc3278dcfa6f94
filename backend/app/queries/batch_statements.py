"""The statement of a batch: all of its operations, or nothing of it."""

from typing import Any

from sqlalchemy import (
    ARRAY,
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

from app.database import Statement
from app.queries.batch_plan import NEW, THERE
from app.queries.create_statements import ADDED, first_or_next_revision
from app.queries.keys import KEY_IS_NEW, as_json, kept
from app.queries.tables import ALIVE, ONE, SHOWN, TASK, TASKS, UPDATED_AT, USER_ID, ZERO

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


def _statement(*conditions: ColumnElement[bool], keeps: bool) -> Statement:
    counter = first_or_next_revision(*conditions, step=_taken)
    revision = counter.c.revision - _taken + _s.at
    changed = (
        update(TASKS)
        .where(
            TASK.user_id == USER_ID,
            TASK.id == _s.id,
            _s.needs != NEW,
            or_(_s.needs == THERE, TASK.deleted_at.is_(None)),
            func.coalesce(TASK.revision == _s.expected, true()),
            counter.c.revision.is_not(None),
        )
        .values(
            text=func.coalesce(_s.text, TASK.text),
            completed=_completed,
            order=func.coalesce(_s.order, TASK.order),
            updated_at=UPDATED_AT,
            completed_at=_completed_at,
            deleted_at=_deleted_at,
            revision=revision,
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
    there = select(*SHOWN, TASK.deleted_at).where(
        ALIVE, TASK.id == any_(bindparam("there", type_=ARRAY(Uuid())))
    )
    done = union_all(select(*changed.c), select(*made.c), there).cte("done")
    # All or nothing: dividing by zero undoes the statement, the counter and the key included.
    complete = select(func.count()).select_from(done).scalar_subquery() == bindparam("steps", type_=Integer)
    fine = or_(
        complete, ~exists(select(counter.c.revision))
    )  # no counter: the key is taken, nothing was done
    applied = select(ONE.op("/")(case((fine, ONE), else_=ZERO)).label("applied")).cte("applied")
    shown = [done.c[column.key] for column in SHOWN]
    task = [column.label(f"task_{column.key}") for column in shown]
    alive = and_(done.c.id == _operation.c.id, done.c.deleted_at.is_(None))
    results = (
        select(counter.c.revision, applied.c.applied, *task)
        .select_from(counter.join(applied, true()).join(_operation, true()).outerjoin(done, alive))
        .order_by(_operation.c.place)
    )
    if keeps:
        told = aggregate_order_by(
            case((done.c.id.is_(None), null()), else_=as_json(shown)), _operation.c.place
        )
        answer = (
            select(counter.c.revision, func.jsonb_agg(told).label("answer"))
            .select_from(counter.join(_operation, true()).outerjoin(done, alive))
            .group_by(counter.c.revision)
            .cte("answer")
        )
        results = results.add_cte(kept(answer, answer.c.revision, answer.c.answer))
    return Statement(results)


BATCH = _statement(keeps=False)
BATCH_ONCE = _statement(KEY_IS_NEW, keeps=True)

#: The tasks that a batch names, deleted ones too: read when it does not apply, to say why.
NAMED = Statement(
    select(*SHOWN, TASK.deleted_at).where(
        TASK.user_id == USER_ID, TASK.id == any_(bindparam("ids", type_=ARRAY(Uuid())))
    )
)

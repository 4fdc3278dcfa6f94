"""The statement that moves a task: reads the list, finds new numbers, changes as few rows as gaps allow."""

from sqlalchemy import (
    CTE,
    BigInteger,
    Boolean,
    ColumnElement,
    Integer,
    and_,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import array

from app.database import Statement
from app.queries.tables import (
    ALIVE,
    AS_EXPECTED,
    LISTS,
    ONE,
    SHOWN,
    TASK,
    TASKS,
    THIS,
    UPDATED_AT,
    USER_ID,
    ZERO,
)

_STEP: ColumnElement[int] = literal_column("65536")
_HALF_STEP: ColumnElement[int] = literal_column("32768")
# Where an open end is closed: nothing is placed beyond 2^30 in its direction.
_LOW_END: ColumnElement[int] = literal_column("-1073741825")
_HIGH_END: ColumnElement[int] = literal_column("1073741825")

# How many rows a window may have on one side of the slot; the last one means all that there are.
_SIZES = array(
    [literal_column(str(size), Integer) for size in (0, *(2**power for power in range(15)), 2**30)]
)

_ANCHOR = bindparam("anchor", type_=TASK.id.type)
_BELOW = bindparam("below", type_=Boolean)


def _stands_before(place: CTE, *, itself: ColumnElement[bool] | None = None) -> ColumnElement[bool]:
    """Whether a task stands before another in display order; NULL if there is no other."""
    newer = TASK.id > place.c.id
    if itself is not None:
        newer = or_(newer, and_(itself, TASK.id == place.c.id))
    return or_(TASK.order < place.c.order, and_(TASK.order == place.c.order, newer))


# Read before the positions are, in the same snapshot, and compared when the counter is taken.
_known = select(LISTS.c.revision).where(LISTS.c.user_id == USER_ID).cte("known")
_task = select(*SHOWN, AS_EXPECTED.label("as_expected")).where(ALIVE, THIS).cte("task")
# The tombstone of a deleted task still says where it stood.
_anchor = select(TASK.id, TASK.order).where(TASK.user_id == USER_ID, TASK.id == _ANCHOR).cte("anchor")
_has_anchor = or_(_ANCHOR.is_(None), exists(select(ONE).select_from(_anchor)))

# The list without the task. `slot` and `stood`: how many stand before where the task goes, and where it is.
_in_order = (TASK.order, TASK.id.desc())
_line = (
    select(
        func.array_agg(TASK.id).aggregate_order_by(*_in_order).label("ids"),
        func.array_agg(TASK.order).aggregate_order_by(*_in_order).label("orders"),
        func.count().label("size"),
        func.count().filter(func.coalesce(_stands_before(_anchor, itself=_BELOW), ~_BELOW)).label("slot"),
        func.count().filter(_stands_before(_task)).label("stood"),
    )
    .select_from(TASKS.outerjoin(_anchor, true()).outerjoin(_task, true()))
    .where(ALIVE, ~THIS)
    .cte("line")
)
_L = _line.c


def _counts(most: ColumnElement[int], name: str) -> CTE:
    """Return how many rows a window may take on one side: none, powers of two, all."""
    sizes = func.unnest(_SIZES).table_valued("size", name="sizes").render_derived()
    rows = func.least(sizes.c.size, most, type_=BigInteger)
    return select(rows.label("rows")).select_from(_line, sizes).distinct().cte(name)


_above, _below = _counts(_L.slot, "above"), _counts(_L.size - _L.slot, "below")
_windows = (
    select(
        _above.c.rows.label("above"),
        _below.c.rows.label("below"),
        (_above.c.rows + _below.c.rows + ONE).label("rows"),
        # Past the ends of the array there is NULL: the window reaches an end of the list.
        _L.orders[_L.slot - _above.c.rows].label("before"),
        _L.orders[_L.slot + _below.c.rows + ONE].label("after"),
    )
    .select_from(_line, _task, _above, _below)
    .where(_L.slot != _L.stood, _task.c.as_expected, _has_anchor)
    .cte("windows")
)
_W = _windows.c
# An open end gives a step for each row; the whole list stands around zero.
_reach = (_W.rows + ONE) * _STEP
_half = (_W.rows + ONE) * _HALF_STEP
_rooms = select(
    _W.above,
    _W.below,
    _W.rows,
    func.coalesce(_W.before, func.greatest(_LOW_END, func.coalesce(_W.after, _half) - _reach)).label("low"),
    func.coalesce(_W.after, func.least(_HIGH_END, func.coalesce(_W.before, -_half) + _reach)).label("high"),
).cte("rooms")
_room = _rooms.c.high - _rooms.c.low
_gaps = _rooms.c.rows + ONE
# A bare fit would overflow again with the next move to this slot: ask for gaps as wide as the window has
# rows (measured in docs/decisions/0017), and take a bare fit only where no window has that.
_chosen = (
    select(_rooms)
    .where(_room >= _gaps)
    .order_by((_room >= _gaps * _rooms.c.rows).desc(), _rooms.c.rows, (_room // _gaps).desc(), _rooms.c.above)
    .limit(ONE)
    .cte("chosen")
)
_C = _chosen.c

# Positions come from the snapshot, which may be old when the counter's lock is got. Every change of a list
# moves the counter, so the numbers hold if it stands where it stood; otherwise nothing is changed.
_counter = (
    update(LISTS)
    .where(
        LISTS.c.user_id == USER_ID,
        LISTS.c.revision == select(_known.c.revision).scalar_subquery(),
        exists(select(ONE).select_from(_chosen)),
    )
    .values(revision=LISTS.c.revision + ONE)
    .returning(LISTS.c.user_id, LISTS.c.revision)
    .cte("list")
)

# The task comes last in this array, and goes behind the rows of its window that are above the slot.
_ids = func.unnest(func.array_append(_L.ids, bindparam("id", type_=TASK.id.type)))
_each = _ids.table_valued("id", with_ordinality="place", name="each").render_derived()
_place = _each.c.place - _L.slot + _C.above
_rank = case((_each.c.place > _L.size, _C.above + ONE), (_each.c.place > _L.slot, _place + ONE), else_=_place)
_numbers = (
    select(_each.c.id, cast(_C.low + (_C.high - _C.low) * _rank // (_C.rows + ONE), Integer).label("order"))
    .select_from(_line, _chosen, _each)
    .where(or_(_each.c.place > _L.size, and_(_place > ZERO, _place < _C.rows)))
    .cte("numbers")
)

_changed = (
    update(TASKS)
    .where(
        ALIVE,
        TASK.user_id == _counter.c.user_id,
        TASK.id == _numbers.c.id,
        or_(TASK.order != _numbers.c.order, THIS),
    )
    # What was re-spaced stands where it stood; only its number is another.
    .values(
        order=_numbers.c.order,
        revision=_counter.c.revision,
        updated_at=case((THIS, UPDATED_AT), else_=TASK.updated_at),
    )
    .returning(TASK.id, TASK.order, TASK.revision, TASK.updated_at)
    .cte("changed")
)
_touched = select(func.count()).select_from(_changed).scalar_subquery()

_shown = {column.name: _task.c[column.name] for column in SHOWN} | {
    "revision": func.coalesce(_changed.c.revision, _task.c.revision, ZERO).label("revision"),
    "order": func.coalesce(_changed.c.order, _task.c.order).label("order"),
    "updated_at": func.coalesce(_changed.c.updated_at, _task.c.updated_at).label("updated_at"),
}
#: One row, whatever comes: the task as it is now (none: revision 0 and nulls), and what became of the move.
MOVE = Statement(
    select(
        *_shown.values(),
        _task.c.as_expected,
        _has_anchor.label("has_anchor"),
        or_(_changed.c.id.is_not(None), _L.slot == _L.stood).label("done"),
        _touched.label("touched"),
    ).select_from(_line.outerjoin(_task, true()).outerjoin(_changed, _changed.c.id == _task.c.id))
)

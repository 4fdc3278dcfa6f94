"""The statement that moves a task: reads the list, finds new numbers, changes as few rows as gaps allow."""

from sqlalchemy import (
    ARRAY,
    CTE,
    BigInteger,
    ColumnElement,
    Integer,
    Uuid,
    any_,
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

from app.queries.order_line import HAS_ANCHOR, KNOWN, LINE, MOVED
from app.queries.tables import (
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
from app.statement import Statement

_STEP: ColumnElement[int] = literal_column("65536")
_HALF_STEP: ColumnElement[int] = literal_column("32768")
# Where an open end is closed: nothing is placed beyond 2^30 in its direction.
_LOW_END: ColumnElement[int] = literal_column("-1073741825")
_HIGH_END: ColumnElement[int] = literal_column("1073741825")

# How many rows a window may have on one side of the slot; the last one means all that there are.
_SIZES = array(
    [literal_column(str(size), Integer) for size in (0, *(2**power for power in range(15)), 2**30)]
)

_L = LINE.c


def _counts(most: ColumnElement[int], name: str) -> CTE:
    """Return how many rows a window may take on one side: none, powers of two, all."""
    sizes = func.unnest(_SIZES).table_valued("size", name="sizes").render_derived()
    rows = func.least(sizes.c.size, most, type_=BigInteger)
    return select(rows.label("rows")).select_from(LINE, sizes).distinct().cte(name)


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
    .select_from(LINE, MOVED, _above, _below)
    .where(_L.living_slot != _L.living_stood, MOVED.c.as_expected, HAS_ANCHOR)
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
        LISTS.c.revision == select(KNOWN.c.revision).scalar_subquery(),
        exists(select(ONE).select_from(_chosen)),
    )
    .values(revision=LISTS.c.revision + ONE)
    .returning(LISTS.c.user_id, LISTS.c.revision)
    .cte("list")
)

# The window's rows in their new order. An array and no rows: however many PostgreSQL takes them for, it never
# joins each row of the list with each of the window.
_above_slot = _L.ids[_L.slot - _C.above + ONE : _L.slot]
_below_slot = _L.ids[_L.slot + ONE : _L.slot + _C.below]
_window_ids = func.array_cat(
    func.array_append(_above_slot, bindparam("id", type_=TASK.id.type)), _below_slot, type_=ARRAY(Uuid())
)
_placed = select(_C.low, _C.high, _C.rows, _window_ids.label("ids")).select_from(LINE, _chosen).cte("placed")
_P = _placed.c
_rank = cast(func.array_position(_P.ids, TASK.id), BigInteger)
_number = cast(_P.low + (_P.high - _P.low) * _rank // (_P.rows + ONE), Integer)

_changed = (
    update(TASKS)
    .where(
        TASK.user_id == USER_ID,
        TASK.user_id == _counter.c.user_id,
        TASK.id == any_(_P.ids),
        or_(TASK.order != _number, THIS),
    )
    # What was re-spaced stands where it stood; only its number is another. What is deleted keeps its place
    # among the others too, and its stamp, which is that of the deletion.
    .values(
        order=_number,
        revision=case((TASK.deleted_at.is_(None), _counter.c.revision), else_=TASK.revision),
        updated_at=case((THIS, UPDATED_AT), else_=TASK.updated_at),
    )
    .returning(TASK.id, TASK.order, TASK.revision, TASK.updated_at)
    .cte("changed")
)
_touched = select(func.count()).select_from(_changed).scalar_subquery()

_shown = {column.name: MOVED.c[column.name] for column in SHOWN} | {
    "revision": func.coalesce(_changed.c.revision, MOVED.c.revision, ZERO).label("revision"),
    "order": func.coalesce(_changed.c.order, MOVED.c.order).label("order"),
    "updated_at": func.coalesce(_changed.c.updated_at, MOVED.c.updated_at).label("updated_at"),
}
#: One row, whatever comes: the task as it is now (none: revision 0 and nulls), and what became of the move.
MOVE = Statement(
    select(
        *_shown.values(),
        MOVED.c.as_expected,
        HAS_ANCHOR.label("has_anchor"),
        or_(_changed.c.id.is_not(None), _L.living_slot == _L.living_stood).label("done"),
        _touched.label("touched"),
    ).select_from(LINE.outerjoin(MOVED, true()).outerjoin(_changed, _changed.c.id == MOVED.c.id))
)

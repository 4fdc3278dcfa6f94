"""Faults planted into copies of the service, each an easy mistake: the audit must catch every one.

Text is replaced exactly. Where it is no longer there, planting fails: the fault has to be written anew.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.servers import BACKEND


class Edit(NamedTuple):
    """In a file below app/ or another folder: what stands there once, and what is put there instead."""

    file: str
    there: str
    instead: str
    folder: str = "app"


@dataclass(frozen=True)
class Fault:
    """The mistake, and the edits that make it."""

    name: str
    edits: Sequence[Edit]


def plant(fault: Fault, checkout: Path) -> None:
    """Make the service of a checkout a copy with the fault."""
    for folder in {edit.folder for edit in fault.edits}:
        (checkout / folder).unlink()
        shutil.copytree(BACKEND / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file, there, instead, folder in fault.edits:
        path = checkout / folder / file
        text = path.read_text()
        if text.count(there) != 1:
            raise LookupError(f"{fault.name}: {text.count(there)} times, not once, in {file}:\n{there}")
        path.write_text(text.replace(there, instead))


_DELETE = Edit(
    "queries/task_statements.py",
    """
    change(ALIVE, THIS, AS_EXPECTED, deleted_at=bindparam("now", type_=TASK.deleted_at.type)).returning(
        TASK.revision
    )
""",
    """
    TASK.revision.table.update()
    .where(ALIVE, THIS, AS_EXPECTED)
    .values(deleted_at=bindparam("now", type_=TASK.deleted_at.type))
    .returning(TASK.revision)
""",
)

_CUT_AT_THE_ROW_THAT_FITS = [
    Edit(
        "queries/change_statements.py",
        """
                _first_left_out - ONE,
                func.min(_changed.c.revision),
""",
        """
                func.max(_changed.c.revision).filter(_changed.c.place <= _limit),
""",
    ),
    Edit(
        "queries/change_statements.py",
        "outerjoin(_changed, _changed.c.revision <= _page.c.end)",
        "outerjoin(_changed, (_changed.c.revision <= _page.c.end) & (_changed.c.place <= _limit))",
    ),
]

_KEPT_IN_A_STATEMENT_OF_ITS_OWN = [
    Edit(
        "queries/tasks.py",
        """

@dataclass(frozen=True, slots=True)
class UserTasks(Owned):
""",
        """

def _keeps() -> object:
    from sqlalchemy import LargeBinary, bindparam, select
    from sqlalchemy.dialects.postgresql import insert
    from app.statement import Statement
    from app.queries.keys import KEYS, as_json
    from app.queries.tables import ALIVE, SHOWN, TASK, THIS, USER_ID

    values = {
        "user_id": USER_ID,
        "key": bindparam("key", type_=KEYS.c.key.type),
        "fingerprint": bindparam("fingerprint", type_=LargeBinary()),
        "revision": TASK.revision,
        "answer": as_json([as_json(SHOWN)]),
        "created_at": bindparam("now", type_=KEYS.c.created_at.type),
    }
    kept = select(*(value.label(name) for name, value in values.items())).where(ALIVE, THIS)
    add = insert(KEYS).from_select(list(values), kept).on_conflict_do_nothing()
    return Statement(add.returning(KEYS.c.key))


KEEP = _keeps()


@dataclass(frozen=True, slots=True)
class UserTasks(Owned):
""",
    ),
    Edit(
        "queries/tasks.py",
        """
        with suppress(asyncpg.DivisionByZeroError):  # a request with the same key was faster
            if row := await self._write_one(ADD_ONCE, **new, key=once, fingerprint=asked_for, now=now):
                return Added(row)
""",
        """
        (found,) = await self._read(REPEATED, id=id, key=once)
        if (answer := answer_of(found, asked_for)) and answer[0]:
            return Added(answer[0], replayed=True)
        if row := await self._write_one(ADD, **new):
            await self._read(KEEP, key=once, fingerprint=asked_for, now=now, id=new["id"])
            return Added(row)
""",
    ),
]

_COMPARED_IN_PYTHON = Edit(
    "queries/tasks.py",
    """
        changed = await self._write_one(
            SET,
            id=task_id,
            expected=_listed(expected),
""",
    """
        if expected is not None and (await self.get(task_id))["revision"] not in expected:
            raise PreconditionFailed
        changed = await self._write_one(
            SET,
            id=task_id,
            expected=None,
""",
)

_NUMBER_FROM_THE_SNAPSHOT = [
    Edit("queries/tables.py", "\nTASK = TASKS.c\n", "\nTASK = TASKS.c\n_BEFORE = LISTS.alias()\n"),
    Edit(
        "queries/tables.py",
        ".values(revision=LISTS.c.revision + ONE)",
        """.values(
            revision=select(_BEFORE.c.revision + ONE).where(_BEFORE.c.user_id == USER_ID).scalar_subquery()
        )""",
    ),
]

_RESTORE = Edit(
    "queries/trash_statements.py",
    "RESTORE = Statement(change(TRASHED, THIS, AS_EXPECTED, deleted_at=null()).returning(*SHOWN))",
    """
_sent = bindparam("now", type_=TASK.updated_at.type).is_not(None)
RESTORE = Statement(
    update(TASKS).where(TRASHED, THIS, AS_EXPECTED, _sent).values(deleted_at=null()).returning(*SHOWN)
)
""",
)

_NEWEST_READ_AFTERWARDS = Edit(
    "queries/changes.py",
    """
        newest, purged, end = rows[0][:_HEAD]
""",
    """
        newest, purged, end = rows[0][:_HEAD]
        if end == newest:
            newest = end = (await self._read(CHANGES, since=revision, limit=limit))[0][0]
""",
)

_LIST_IN_TWO = Edit(
    "queries/tasks.py",
    """
        revision: int = rows[0]["revision"]
        if not wanted or""",
    """
        revision: int = (await self._read(LIST, known=[], wanted=False))[0]["revision"]
        if not wanted or""",
)

_STAMPS_LEFT = Edit(
    "queries/order_statements.py",
    """
        revision=case((TASK.deleted_at.is_(None), _counter.c.revision), else_=TASK.revision),
        updated_at=case(""",
    """
        revision=case((THIS, _counter.c.revision), else_=TASK.revision),
        updated_at=case(""",
)

_NOT_COMPARED = Edit(
    "queries/order_statements.py",
    """
        LISTS.c.revision == select(KNOWN.c.revision).scalar_subquery(),
""",
    """
""",
)

_MARK = ".values(purged_revision=func.greatest(LISTS.c.purged_revision, newest))"
_NO_MARK = ".values(purged_revision=func.greatest(LISTS.c.purged_revision, newest - newest))"

FAULTS = [
    Fault("counter not bumped on delete", [_DELETE]),
    Fault("sync cut inside a revision", _CUT_AT_THE_ROW_THAT_FITS),
    Fault("idempotency row outside the statement", _KEPT_IN_A_STATEMENT_OF_ITS_OWN),
    Fault("If-Match compared in Python", [_COMPARED_IN_PYTHON]),
    Fault("number read before the counter's lock is got", _NUMBER_FROM_THE_SNAPSHOT),
    Fault("restore without a stamp", [_RESTORE]),
    # This one was real, until the audit found it.
    Fault(
        "restore tells what stands, deleted or not",
        [Edit("queries/trash.py", 'if stands["deleted_at"] is None:', "if True:")],
    ),
    Fault(
        "batch applied in part",
        [Edit("queries/batch_statements.py", "nothing_unless(or_(whole, taken))", "nothing_unless(true())")],
    ),
    Fault("key ignored", [Edit("queries/tasks.py", "        if once is None:\n", "        if True:\n")]),
    Fault("purge without its mark", [Edit("queries/trash_statements.py", _MARK, _NO_MARK)]),
    Fault("newest revision read after the page", [_NEWEST_READ_AFTERWARDS]),
    Fault("list and its revision from two statements", [_LIST_IN_TWO]),
    Fault("move leaves the others' stamps", [_STAMPS_LEFT]),
    Fault("move does not look whether the list changed", [_NOT_COMPARED]),
]

_ANSWERED_BEFORE_THE_COMMIT = [
    Edit(
        "pool.py",
        """
            rows = await connection.fetch(sql, *arguments)
""",
        """
            await connection.execute("BEGIN")
            rows = await connection.fetch(sql, *arguments)
""",
    ),
    Edit(
        "pool.py",
        """
        self.pass_on(connection, user)
        return rows
""",
        """
        async def commit() -> None:
            try:
                await connection.execute("COMMIT")
            finally:
                self.pass_on(connection, user)

        committing = asyncio.create_task(commit())
        self._returns.add(committing)
        committing.add_done_callback(self._returns.discard)
        return rows
""",
    ),
]

_SENT_AGAIN = Edit(
    "queries/owned.py",
    """
        rows = await self._fetch(statement, values)
        if rows:
""",
    """
        from app.errors import AppError

        try:
            rows = await self._fetch(statement, values)
        except AppError:
            rows = await self._fetch(statement, values)
        if rows:
""",
)

_MADE_ANEW = Edit(
    "queries/tasks.py",
    """
            if row := await self._write_one(ADD_ONCE, **new, key=once, fingerprint=asked_for, now=now):
                return Added(row)
""",
    """
            from app.errors import AppError

            try:
                row = await self._write_one(ADD_ONCE, **new, key=once, fingerprint=asked_for, now=now)
            except AppError:
                row = await self._write_one(ADD, **new | {"id": id or uuid7()})
            if row:
                return Added(row)
""",
)

_NOT_LOGGED = Edit(
    "versions/0001_task_lists_and_tasks.py",
    """
        sa.PrimaryKeyConstraint("user_id"),
""",
    """
        sa.PrimaryKeyConstraint("user_id"),
        prefixes=["UNLOGGED"],
""",
    "alembic",
)

_NO_OWNER = Edit(
    "queries/tables.py",
    "TRASHED = and_(TASK.user_id == USER_ID, TASK.deleted_at.is_not(None))",
    "TRASHED = TASK.deleted_at.is_not(None)",
)

#: What only shows when something breaks, most of it.
CRASH_FAULTS = [
    Fault("answered before the commit", _ANSWERED_BEFORE_THE_COMMIT),
    Fault("a write is sent again when its answer was lost", [_SENT_AGAIN]),
    Fault("a create whose answer was lost is made anew without its key", [_MADE_ANEW]),
    Fault("counters that a crash empties", [_NOT_LOGGED]),
    Fault("the trash of whoever it is", [_NO_OWNER]),
]

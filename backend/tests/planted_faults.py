"""Faults planted into copies of the service, each a mistake that is easily made: the audit must catch every one.

Text is replaced exactly. Where it is no longer there, planting fails: the fault then needs to be written anew.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers import BACKEND

Edit = tuple[str, str, str]  # a file below app/, what stands there, what is put there instead


@dataclass(frozen=True)
class Fault:
    """`edits` make it."""

    name: str
    edits: Sequence[Edit]


def plant(fault: Fault, checkout: Path) -> None:
    """Make the service of a checkout a copy with the fault."""
    copy = checkout / "app"
    copy.unlink()
    shutil.copytree(BACKEND / "app", copy, ignore=shutil.ignore_patterns("__pycache__"))
    for file, there, instead in fault.edits:
        path = copy / file
        text = path.read_text()
        if text.count(there) != 1:
            raise LookupError(f"{fault.name}: {text.count(there)} times, not once, in {file}:\n{there}")
        path.write_text(text.replace(there, instead))


_TASKS, _TABLES = "queries/tasks.py", "queries/tables.py"

_KEPT_AFTERWARDS = """
        (found,) = await self._read(REPEATED, id=id, key=once)
        if (answer := answer_of(found, asked_for)) and answer[0]:
            return Added(answer[0], replayed=True)
        if row := await self._write_one(ADD, **new):
            await self._write(KEEP, key=once, fingerprint=asked_for, now=now, id=new["id"])
            return Added(row)
"""

_KEEP = """
def _kept_afterwards():
    from sqlalchemy import select
    from sqlalchemy.dialects.postgresql import insert
    from app.database import Statement
    from app.queries.keys import KEYS, _key, as_json, bindparam, LargeBinary
    from app.queries.tables import ALIVE, TASK, THIS, USER_ID

    values = [
        USER_ID.label("user_id"), _key.label("key"),
        bindparam("fingerprint", type_=LargeBinary()).label("fingerprint"),
        TASK.revision, as_json([as_json(SHOWN)]).label("answer"),
        bindparam("now", type_=KEYS.c.created_at.type).label("created_at"),
    ]
    names = ["user_id", "key", "fingerprint", "revision", "answer", "created_at"]
    chosen = select(*values).where(ALIVE, THIS)
    return Statement(insert(KEYS).from_select(names, chosen).on_conflict_do_nothing().returning(KEYS.c.key))


KEEP = _kept_afterwards()


@dataclass(frozen=True, slots=True)
class UserTasks(Owned):
"""

_WANTED_ONCE = """        with suppress(asyncpg.UniqueViolationError):  # a request with the same key was faster
            if row := await self._write_one(ADD_ONCE, **new, key=once, fingerprint=asked_for, now=now):
                return Added(row)
"""

FAULTS = [
    Fault(
        "counter not bumped on delete",
        [
            (
                "queries/task_statements.py",
                'change(ALIVE, THIS, AS_EXPECTED, deleted_at=bindparam("now", type_=TASK.deleted_at.type)).returning(\n'
                "        TASK.revision\n    )",
                "TASK.revision.table.update().where(ALIVE, THIS, AS_EXPECTED)"
                '.values(deleted_at=bindparam("now", type_=TASK.deleted_at.type)).returning(TASK.revision)',
            )
        ],
    ),
    Fault(
        "sync cut inside a revision",
        [
            (
                "queries/change_statements.py",
                "                _first_left_out - ONE,\n                func.min(_changed.c.revision),\n",
                "                func.max(_changed.c.revision).filter(_changed.c.place <= _limit),\n",
            ),
            (
                "queries/change_statements.py",
                "outerjoin(_changed, _changed.c.revision <= _page.c.end)",
                "outerjoin(_changed, (_changed.c.revision <= _page.c.end) & (_changed.c.place <= _limit))",
            ),
        ],
    ),
    Fault(
        "idempotency row outside the statement",
        [
            (_TASKS, "\n@dataclass(frozen=True, slots=True)\nclass UserTasks(Owned):\n", _KEEP),
            (_TASKS, _WANTED_ONCE, _KEPT_AFTERWARDS),
        ],
    ),
    Fault(
        "If-Match compared in Python",
        [
            (
                _TASKS,
                "        changed = await self._write_one(\n            SET,\n            id=task_id,\n"
                "            expected=_listed(expected),\n",
                '        if expected is not None and (await self.get(task_id))["revision"] not in expected:\n'
                "            raise PreconditionFailed\n"
                "        changed = await self._write_one(\n            SET,\n            id=task_id,\n"
                "            expected=None,\n",
            )
        ],
    ),
    Fault(
        "counter read before its lock is got",
        [
            (
                _TABLES,
                ".values(revision=LISTS.c.revision + ONE)\n        .returning(LISTS.c.user_id, LISTS.c.revision)",
                ".values(\n            revision=select(_read_before.c.revision + ONE)"
                ".where(_read_before.c.user_id == USER_ID).scalar_subquery()\n        )\n"
                "        .returning(LISTS.c.user_id, LISTS.c.revision)",
            ),
            (
                _TABLES,
                "TASK = TASKS.c\n",
                "TASK = TASKS.c\n_read_before = LISTS.alias()\n",
            ),
        ],
    ),
    Fault(
        "restore without a stamp",
        [
            (
                "queries/trash_statements.py",
                "RESTORE = Statement(change(TRASHED, THIS, AS_EXPECTED, deleted_at=null()).returning(*SHOWN))",
                'RESTORE = Statement(update(TASKS).where(TRASHED, THIS, AS_EXPECTED, bindparam("now", type_=TASK.updated_at.type)'
                ".is_not(None)).values(deleted_at=null()).returning(*SHOWN))",
            )
        ],
    ),
    Fault(
        "restore tells what stands, deleted or not",  # this one was real: the audit found it
        [("queries/trash.py", '            if stands["deleted_at"] is None:\n', "            if True:\n")],
    ),
    Fault(
        "batch applied in part",
        [
            (
                "queries/batch_statements.py",
                "    fine = or_(\n        complete,",
                "    fine = or_(\n        true(), complete,",
            )
        ],
    ),
    Fault(
        "key ignored",
        [(_TASKS, "        if once is None:\n", "        once = None\n        if once is None:\n")],
    ),
    Fault(
        "purge without its mark",
        [
            (
                "queries/trash_statements.py",
                ".values(purged_revision=func.greatest(LISTS.c.purged_revision, newest))",
                ".values(purged_revision=func.greatest(LISTS.c.purged_revision, newest - newest))",
            )
        ],
    ),
    Fault(
        "newest revision read after the page",
        [
            (
                "queries/changes.py",
                "        newest, purged, end = rows[0][:_HEAD]\n",
                "        newest, purged, end = rows[0][:_HEAD]\n"
                "        if end == newest:\n"
                "            newest = end = (await self._read(CHANGES, since=revision, limit=limit))[0][0]\n",
            )
        ],
    ),
    Fault(
        "list and its revision from two statements",
        [
            (
                _TASKS,
                '        revision: int = rows[0]["revision"]\n        if not wanted',
                "        again = await self._read(LIST, known=[], wanted=False)\n"
                '        revision: int = again[0]["revision"]\n        if not wanted',
            )
        ],
    ),
    Fault(
        "move leaves the others' stamps",
        [
            (
                "queries/order_statements.py",
                "        revision=_counter.c.revision,\n        updated_at=case(",
                "        revision=case((THIS, _counter.c.revision), else_=TASK.revision),\n        updated_at=case(",
            )
        ],
    ),
    Fault(
        "move does not look whether the list changed",
        [
            (
                "queries/order_statements.py",
                "        LISTS.c.revision == select(_known.c.revision).scalar_subquery(),\n",
                "",
            )
        ],
    ),
]

"""The floor: our own SQL, prepared, from PostgreSQL's own generator of load, with no API in between."""

import asyncio
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import asyncpg

from app.database import Statement
from app.embedded.cluster import command_line
from app.queries.create_statements import ADD
from app.queries.task_statements import GET, LIST, SET
from bench.cpu import cpu_seconds
from bench.data import LARGE, SMALL, WRITERS, rows_of
from bench.subjects.processes import tree
from bench.tables import tidy

CLIENTS = 10  # as many as the service has connections
_SECONDS = 1  # pgbench knows whole ones only
_USERS = 100  # a script for each, so that clients seldom wait for each other; pgbench takes 128
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Floor:
    """What one kind of work costs in the database alone."""

    work: str
    database: float  #: µs of CPU time of PostgreSQL for one transaction
    per_second: float


class Expression(str):
    """SQL that stands for itself."""

    __slots__ = ()


def floors(database_url: str, postmaster: int) -> list[Floor]:
    """Run each statement for a second."""
    found = []
    for work, scripts in asyncio.run(_scripts(database_url)).items():
        try:
            found.append(_run(work, scripts, database_url, postmaster))
        finally:
            tidy(database_url)
    return found


def parse(output: str) -> tuple[int, float]:
    """Read how many transactions pgbench ran, and how many in a second; raises ValueError if any failed."""
    done = re.search(r"number of transactions actually processed: (\d+)", output)
    failed = re.search(r"number of failed transactions: (\d+)", output)
    speed = re.search(r"tps = ([\d.]+)", output)
    if not done or not speed or (failed and int(failed[1])) or not int(done[1]):
        raise ValueError(f"pgbench failed: {output[-500:]}")
    return int(done[1]), float(speed[1])


def script(statement: Statement, **values: Any) -> str:
    """Write a statement with its values in place, for `pgbench -M prepared`."""
    arguments = statement.arguments(values)
    return re.sub(r"\$(\d+)", lambda found: literal(arguments[int(found[1]) - 1]), statement.sql) + ";\n"


def literal(value: object) -> str:
    """Write a value in SQL."""
    match value:
        case Expression():
            return value
        case None:
            return "NULL"
        case bool() | int():
            return str(value).lower()
        case list():
            return literal("{" + ",".join(map(str, value)) + "}")
        case str() | UUID() | datetime():
            return "'" + str(value).replace("'", "''") + "'"
    raise TypeError(f"no literal for {type(value)}")


async def _scripts(database_url: str) -> Mapping[str, Sequence[str]]:
    connection = await asyncpg.connect(database_url)
    found = await connection.fetch("SELECT user_id, revision FROM task_lists WHERE user_id = ANY($1)", LARGE)
    await connection.close()
    users = SMALL[:_USERS]
    tasks = {user: rows_of(user)[0].id for user in users}
    changed: dict[str, Any] = {"expected": None, "text": None, "order": None, "completed": True, "now": _NOW}
    new: dict[str, Any] = {"text": "Buy milk and two loaves of bread", "completed": False, "order": 0}
    new |= {"created_at": _NOW, "updated_at": _NOW, "completed_at": None}
    new["id"] = Expression("gen_random_uuid()")
    return {
        "list_20": [script(LIST, user_id=user, known=[], wanted=True) for user in users],
        "list_1000": [script(LIST, user_id=user, known=[], wanted=True) for user in LARGE],
        "unchanged": [script(LIST, user_id=u, known=[revision], wanted=True) for u, revision in found],
        "get": [script(GET, user_id=user, id=task) for user, task in tasks.items()],
        "create": [script(ADD, user_id=user, **new) for user in WRITERS],
        "patch": [script(SET, user_id=user, id=task, **changed) for user, task in tasks.items()],
    }


def _run(work: str, scripts: Sequence[str], database_url: str, postmaster: int) -> Floor:
    with TemporaryDirectory(prefix="bench-") as folder:
        files = []
        for number, text in enumerate(scripts):
            files += ["-f", str(Path(folder, f"{number}.sql"))]
            Path(files[-1]).write_text(text)
        program = command_line("pgbench", Path(folder))[-1]  # unlike the server it may be root
        options = ["-n", "-M", "prepared", f"-c{CLIENTS}", "-j1", f"-T{_SECONDS}", *files, database_url]
        before = cpu_seconds(tree(postmaster))
        ended = subprocess.run(  # noqa: S603 - PostgreSQL's own program
            [program, *options], capture_output=True, text=True, check=False
        )
        spent = cpu_seconds(tree(postmaster)) - before
    transactions, speed = parse(ended.stdout + ended.stderr)
    return Floor(work, spent / transactions * 1e6, speed)

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

from app.embedded.cluster import command_line
from app.queries.create_statements import ADD
from app.queries.task_statements import GET, LIST
from app.statement import Statement
from bench.cpu import cpu_seconds
from bench.data import LARGE, SMALL, WRITERS, rows_of
from bench.subjects.processes import tree
from bench.tables import tidy

CLIENTS = 10  # as many as the service has connections
_SECONDS = 1  # pgbench knows whole ones only
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
    """Write one script for each kind of work; for single tasks one for each task."""
    connection = await asyncpg.connect(database_url)
    revision = await connection.fetchval("SELECT revision FROM task_lists WHERE user_id = $1", LARGE[0])
    await connection.close()
    new: dict[str, Any] = {"text": "Buy milk and two loaves of bread", "completed": False, "order": 0}
    new |= {"created_at": _NOW, "updated_at": _NOW, "completed_at": None}
    new["id"] = Expression("uuidv7()")
    return {
        "list_20": [_of_clients(SMALL, LIST, known=[], wanted=True)],
        "list_1000": [_of_clients(LARGE, LIST, known=[], wanted=True)],
        "unchanged": [_of_clients(LARGE, LIST, known=[revision], wanted=True)],
        "get": [script(GET, user_id=user, id=rows_of(user)[0].id) for user in SMALL[:CLIENTS]],
        "create": [_of_clients(WRITERS, ADD, **new)],
    }


def _of_clients(users: Sequence[str], statement: Statement, **values: Any) -> str:
    """Let each client be some of these users, so that none waits for another; their names end in a number."""
    name = Expression(f"('{users[0][:-3]}' || lpad(:number::text, 3, '0'))")
    each = len(users) // CLIENTS
    return f"\\set number :client_id * {each} + random(0, {each - 1})\n" + script(
        statement, user_id=name, **values
    )


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

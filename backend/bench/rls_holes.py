"""Where row-level security does not stand: a setting in the statement it is for, a session that is shared."""

import shutil
import tempfile
from pathlib import Path
from urllib.parse import unquote

import asyncpg

from app.embedded.cluster import SOCKET_NAME
from bench.subjects.processes import free_port
from bench.wire import Wire
from tests.test_pgbouncer import CONFIGURATION, running_pgbouncer

_SEEN = "SELECT user_id FROM tasks"


async def in_one_statement(url: str, me: str, other: str) -> dict[str, str]:
    """Set the user in a part of the statement that reads: nobody says which is done first."""
    beside = "WITH me AS MATERIALIZED (SELECT set_config('app.user_id', $1, {})) "
    forms = {
        "joined": "SELECT tasks.user_id FROM me, tasks",
        "asked for first": "SELECT tasks.user_id FROM tasks WHERE (SELECT * FROM me) IS NOT NULL",
        "lateral": "SELECT tasks.user_id FROM me CROSS JOIN LATERAL (SELECT * FROM tasks OFFSET 0) AS tasks",
        "joined by its value": "SELECT tasks.user_id FROM tasks JOIN me ON tasks.user_id = me.set_config",
        "outer join": "SELECT tasks.user_id FROM tasks LEFT JOIN me ON true",
        "not asked for": "SELECT user_id FROM tasks",
    }
    found = {}
    for name, reads in forms.items():
        connection = await asyncpg.connect(url)
        first = await connection.fetch(beside.format("true") + reads, me)
        await connection.fetch("SELECT set_config('app.user_id', $1, false)", other)
        second = await connection.fetch(beside.format("true") + reads, me)
        await connection.close()
        found[f"in one statement, {name}: new session"] = whose(first)
        found[f"in one statement, {name}: after {other}"] = whose(second)
    return found


def whose(rows: list[asyncpg.Record]) -> str:
    """Say how many tasks of whom were read, where those of one user were asked for."""
    users = [row["user_id"] for row in rows]
    return ", ".join(f"{users.count(user)} of {user}" for user in sorted(set(users))) or "none"


async def pooled(url: str) -> dict[str, str]:
    """Let one client say for its session who it is, and another that says nothing read."""
    if not shutil.which("pgbouncer"):
        return {"behind PgBouncer": "not tried: there is none"}
    database, _, server = url.removeprefix("postgresql://postgres@/").partition("?host=")
    port = free_port()
    with (
        tempfile.TemporaryDirectory() as name,
        Wire(Path(name), Path(unquote(server))),
        running_pgbouncer(_configured(Path(name), port), port),
    ):
        return await _seen(f"postgresql://api@127.0.0.1:{port}/{database}")


def _configured(folder: Path, port: int) -> Path:
    """Write the configuration. PgBouncer is nobody and may not enter the server's folder, but this one."""
    folder.chmod(0o755)
    (folder / SOCKET_NAME).chmod(0o777)
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        CONFIGURATION.format(server=folder, port=port, size=1).replace("user=postgres", "user=api")
    )
    return configuration


async def _seen(url: str) -> dict[str, str]:
    one = await asyncpg.connect(url, statement_cache_size=0)
    other = await asyncpg.connect(url, statement_cache_size=0)
    try:
        await one.execute("SELECT set_config('app.user_id', 'user-one', false)")
        leaked = len(await other.fetch(_SEEN))
        await one.execute("RESET ALL")
        async with one.transaction():
            await one.execute("SELECT set_config('app.user_id', 'user-one', true)")
            own = len(await one.fetch(_SEEN))
        left = len(await other.fetch(_SEEN))
    finally:
        await one.close()
        await other.close()
    return {
        "behind PgBouncer, set for the session: another client": f"{leaked} of user-one",
        "behind PgBouncer, set in a transaction: the client itself": f"{own} of user-one",
        "behind PgBouncer, set in a transaction: another client": f"{left} of user-one",
    }

"""Row-level security behind a pooler that hands a connection on after each transaction."""

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

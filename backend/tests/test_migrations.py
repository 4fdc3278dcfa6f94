"""The schema's way: up, down, side by side, and never away from what the tables in Python say."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from app import migrations
from app.config import BACKEND, Settings
from app.database_url import Target
from app.errors import ConfigurationError, Unavailable
from app.migrations import alembic_config, migrate, newest_revision, refuse_old_schema
from tests.conftest import SECRET, administer
from tests.servers import uncovered

TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
SCHEMA = """
    SELECT 'column', table_name, column_name, data_type, character_maximum_length, is_nullable, column_default
      FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
    UNION ALL SELECT 'index', tablename, indexname, indexdef, NULL, NULL, NULL
      FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    UNION ALL SELECT 'constraint', relname, conname, pg_get_constraintdef(c.oid), NULL, NULL, NULL
      FROM pg_constraint c JOIN pg_class r ON r.oid = conrelid
      WHERE connamespace = 'public'::regnamespace AND relname <> 'alembic_version'
    ORDER BY 1, 2, 3
"""


async def tables(url: str) -> list[str]:
    return [row["table_name"] for row in await administer(url, TABLES)]


async def schema(url: str) -> list[tuple[Any, ...]]:
    await administer(url, "CREATE TABLE IF NOT EXISTS alembic_version ()")
    return [tuple(row) for row in await administer(url, SCHEMA)]


async def downgrade(url: str) -> None:
    await asyncio.to_thread(command.downgrade, alembic_config(url), "base")


def test_the_files_of_the_migrations_are_named_by_their_revisions():
    """So a process that only serves knows them without Alembic."""
    known = [script.revision for script in ScriptDirectory.from_config(alembic_config("")).walk_revisions()]
    assert migrations._known_revisions() == known  # noqa: SLF001 - what newest_revision() is made of


def test_serving_needs_no_alembic():
    program = "import sys, app.main, app.serving; print('alembic' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], cwd=BACKEND, capture_output=True, check=True)
    assert found.stdout == b"False\n"


def start(program: str, *arguments: str, url: str, **variables: str) -> subprocess.Popen[str]:
    """Start an installed command in backend/, as a person would."""
    return subprocess.Popen(
        [Path(sys.executable).with_name(program), *arguments],
        cwd=BACKEND,
        env=uncovered() | {"DATABASE_URL": url} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


async def test_an_empty_database_gets_the_tables(make_database):
    url = await make_database(empty=True)
    await asyncio.to_thread(migrate, url)
    assert await tables(url) == ["alembic_version", "idempotency_keys", "task_lists", "tasks"]
    await asyncio.to_thread(migrate, url)


async def test_there_is_nothing_that_a_migration_forgot(make_database):
    """In a process of its own: there nobody but Alembic's env.py brings the tables in."""
    runner = start("alembic", "check", url=await make_database())
    said = await asyncio.to_thread(runner.communicate)
    assert (runner.returncode, *said) == (0, "No new upgrade operations detected.\n", "")


async def test_the_migrations_make_what_the_tables_in_python_say(make_database):
    migrated, created = await make_database(), await make_database(empty=True)
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(**Target.parse(created).arguments())
    )
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    await engine.dispose()
    found = await schema(migrated)
    assert found == await schema(created)
    assert len(found) > 13


async def test_every_migration_can_be_taken_back(make_database):
    url = await make_database()
    before = await schema(url)
    await downgrade(url)
    assert await tables(url) == ["alembic_version"]
    await asyncio.to_thread(migrate, url)
    assert await schema(url) == before


async def test_a_migration_waits_for_one_that_is_under_way(make_database):
    url = await make_database(empty=True)
    lock = 7_420_180_926  # of alembic/env.py; running versions must agree on it for ever
    connection = await asyncpg.connect(url)
    await connection.execute("SELECT pg_advisory_lock($1)", lock)
    migrating = asyncio.create_task(asyncio.to_thread(migrate, url))
    waiting = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    while not await connection.fetch(waiting):
        assert not migrating.done()
        await asyncio.sleep(0.01)
    await connection.close()
    await migrating


async def test_five_at_once_on_an_empty_database_all_succeed(make_database, tmp_path):
    url = await make_database(empty=True)
    variables = {"BETTER_AUTH_SECRET": SECRET, "DATA_DIR": str(tmp_path)}
    for runner in [start("tasks-api", "migrate", url=url, **variables) for _ in range(5)]:
        said = await asyncio.to_thread(runner.communicate)
        assert (runner.returncode, *said) == (0, "The schema is up to date.\n", "")
    assert [tuple(row) for row in await administer(url, "SELECT * FROM alembic_version")] == [
        (newest_revision(),),
    ]


async def test_alembic_itself_needs_nothing_but_the_url(make_database):
    url = await make_database(empty=True)
    runner = start("alembic", "upgrade", "head", url=url)
    said = await asyncio.to_thread(runner.communicate)
    assert (runner.returncode, *said) == (0, "", "")
    assert await tables(url) == ["alembic_version", "idempotency_keys", "task_lists", "tasks"]


def test_a_migration_can_be_read_as_sql():
    runner = start("alembic", "upgrade", "head", "--sql", url="postgresql://u:p@host.invalid/d")
    sql, _ = runner.communicate()
    assert runner.returncode == 0
    assert "CREATE TABLE tasks (" in sql
    assert sql.rstrip().endswith("COMMIT;")


@pytest.fixture
async def tcp_port(database_url: str):
    """The server, reached over TCP on `localhost`."""
    upstream = database_url.split("?host=")[1]

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(f"{upstream}/.s.PGSQL.5432")
        async with asyncio.TaskGroup() as group:
            group.create_task(_copy(reader, back))
            group.create_task(_copy(there, writer))

    async with await asyncio.start_server(connect, "localhost") as server:
        yield server.sockets[0].getsockname()[1]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


async def test_migrations_go_past_neons_pooler(make_database, tcp_port):
    """`localhost-pooler` does not exist; without `-pooler` it does."""
    url = await make_database(empty=True)
    name = url.split("/")[3].split("?")[0]
    await asyncio.to_thread(
        migrate, f"postgresql://postgres@localhost-pooler:{tcp_port}/{name}?sslmode=disable"
    )
    assert "tasks" in await tables(url)


async def test_a_schema_that_is_behind_is_refused_and_the_way_out_named(make_database):
    with pytest.raises(ConfigurationError, match=r"at revision none and .*; run: tasks-api migrate"):
        await refuse_old_schema(await make_database(empty=True), Settings())


async def test_a_schema_that_is_right_or_ahead_is_not_refused(make_database):
    url = await make_database()
    await refuse_old_schema(url, Settings())
    await administer(url, "UPDATE alembic_version SET version_num = '9999'")
    await refuse_old_schema(url, Settings())


async def test_a_schema_that_cannot_be_read_is_not_refused_for_its_age():
    with pytest.raises(Unavailable, match=r"^DATABASE_URL: .* \(ConnectionRefusedError\)$"):
        await refuse_old_schema("postgresql://u:p@127.0.0.1:1/d", Settings())


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@127.0.0.1:1/d", "postgresql://u:hunter2@[::1]:1/d"])
def test_a_database_that_cannot_be_reached_is_one_line_without_the_password(url, tmp_path):
    runner = start("tasks-api", "migrate", url=url, BETTER_AUTH_SECRET=SECRET, DATA_DIR=str(tmp_path))
    out, said = runner.communicate()
    assert (runner.returncode, out) == (1, "")
    assert said.startswith("tasks-api: DATABASE_URL: the database can't be reached")
    assert said.count("\n") == 1
    assert "hunter2" not in said


def test_a_database_that_lets_nobody_in_is_unavailable(server):
    with pytest.raises(Unavailable, match="InvalidAuthorizationSpecificationError"):
        migrate(server.replace("postgres@", "stranger@"))


async def test_a_revision_that_nobody_knows_is_refused(make_database):
    url = await make_database()
    with pytest.raises(ConfigurationError, match="9999"):
        await asyncio.to_thread(migrate, url, "9999")


async def test_what_is_wrong_with_a_migration_is_not_called_unavailable(make_database):
    url = await make_database(empty=True)
    await administer(url, "CREATE TABLE tasks ()")
    with pytest.raises(ConfigurationError, match=r"the migration failed .DuplicateTableError"):
        await asyncio.to_thread(migrate, url)
    assert await tables(url) == ["tasks"], "a migration that fails leaves nothing behind"


@pytest.mark.slow
async def test_a_migration_does_not_queue_behind_a_lock_for_ever(make_database):
    """Every request would queue behind it."""
    url = await make_database()
    reader = await asyncpg.connect(url)
    async with reader.transaction():
        await reader.fetch("SELECT * FROM tasks")
        waiting = asyncio.create_task(downgrade(url))
        await asyncio.wait({waiting}, timeout=15)
    await reader.close()
    with pytest.raises(DBAPIError, match="lock timeout"):
        await waiting
    assert "tasks" in await tables(url)

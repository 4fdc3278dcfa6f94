"""Runs migrations on the service's database: over the direct host, one runner at a time."""

import asyncio
from typing import Any

import asyncpg
from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool
from sqlmodel import SQLModel

import app.models  # noqa: F401 - with them come the tables
from app import embedded
from app.config import Settings
from app.database_url import Target

#: Any number will do, as long as it stays the same: `migrate` runs wait for each other on it.
_LOCK = 7_420_180_926


def _target() -> Target:
    url = context.config.attributes.get("database_url")
    if url is None:  # called as `alembic`, not as `tasks-api migrate`
        settings = Settings()
        url = settings.database_url or embedded.url(settings.data_dir)
    return Target.parse(url).direct()


def _run(connection: Connection | None = None, /, **options: Any) -> None:
    context.configure(connection=connection, target_metadata=SQLModel.metadata, **options)
    with context.begin_transaction():
        if connection is not None:
            # Held to the end of the transaction, so it also works where a pooler shares sessions.
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        context.run_migrations()


async def _run_online(target: Target) -> None:
    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(**target.arguments(), timeout=30, statement_cache_size=0)

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connect,
        poolclass=NullPool,
        connect_args={"prepared_statement_cache_size": 0},
    )
    async with engine.connect() as connection:
        await connection.run_sync(_run)


if context.is_offline_mode():
    _run(dialect_name="postgresql", literal_binds=True)
else:
    asyncio.run(_run_online(_target()))

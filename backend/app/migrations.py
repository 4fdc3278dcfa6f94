"""The schema's version: what it should be, what it is, and the way there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from app.config import BACKEND, Settings
from app.database import Database
from app.errors import ConfigurationError, Unavailable


def alembic_config(url: str) -> Config:
    """Return Alembic's configuration for one database; its env.py reads the URL from `attributes`."""
    config = Config(BACKEND / "alembic.ini")
    config.attributes["database_url"] = url
    return config


def migrate(url: str, revision: str = "head") -> None:
    """Bring the schema to `revision`. Any number may run at once: one works, the others wait for it.

    Not from a running event loop: Alembic starts its own.
    """
    command.upgrade(alembic_config(url), revision)


def newest_revision() -> str:
    """Return the migration that this code was written for."""
    newest = ScriptDirectory(Path(BACKEND / "alembic")).get_current_head()
    assert newest is not None
    return newest


async def refuse_old_schema(url: str, settings: Settings) -> None:
    """Raise ConfigurationError when the schema is not the one this code was written for.

    A database that can't be reached is no reason: the service starts, answers 503 and recovers.
    """
    database = Database(url, settings)
    try:
        found = await database.schema_revision()
    except Unavailable:
        return
    finally:
        await database.close()
    if found != newest_revision():
        raise ConfigurationError(
            f"DATABASE_URL: the schema is at revision {found or 'none'} and this version needs "
            f"{newest_revision()}; run: tasks-api migrate"
        )

"""The schema's version: what it should be, what it is, and the way there.

Alembic is imported by what runs migrations only: a process that serves is 11 MB smaller without it.
"""
# ruff: noqa: PLC0415 - see above

from typing import TYPE_CHECKING

import asyncpg
from sqlalchemy.exc import DBAPIError

from app.config import BACKEND, Settings
from app.database import Database
from app.database_errors import is_unavailable
from app.errors import ConfigurationError, Unavailable

if TYPE_CHECKING:
    from alembic.config import Config


def alembic_config(url: str) -> "Config":
    """Return Alembic's configuration for one database; its env.py reads the URL from `attributes`."""
    from alembic.config import Config

    config = Config(BACKEND / "alembic.ini")
    config.attributes["database_url"] = url
    return config


def migrate(url: str, revision: str = "head") -> None:
    """Bring the schema to `revision`. Any number may run at once: one works, the others wait for it.

    Not from a running event loop: Alembic starts its own.

    Raises Unavailable when the database can't be reached or refuses service, and ConfigurationError for a
    revision that this version doesn't have.
    """
    from alembic import command
    from alembic.util import CommandError

    try:
        command.upgrade(alembic_config(url), revision)
    except CommandError as error:
        raise ConfigurationError(f"migrate: {error}") from None
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, DBAPIError) as error:
        cause = _of_the_driver(error)
        wrong = getattr(cause, "sqlstate", None) or ""
        if wrong.startswith("42") or not is_unavailable(cause):  # 42: it is the migration that doesn't fit
            raise ConfigurationError(
                f"DATABASE_URL: the migration failed ({type(cause).__name__})"
            ) from error
        raise unreachable(cause) from error


def unreachable(cause: BaseException) -> Unavailable:
    """Return it in the words of who runs a command; the driver's own may have the password in them."""
    return Unavailable(
        f"DATABASE_URL: the database can't be reached or refuses service ({type(cause).__name__})"
    )


def _of_the_driver(error: Exception) -> BaseException:
    """Take off what SQLAlchemy wraps around an error of asyncpg."""
    return ((error.orig and error.orig.__cause__) or error) if isinstance(error, DBAPIError) else error


def newest_revision() -> str:
    """Return the migration that this code was written for."""
    return _known_revisions()[0]


def _known_revisions() -> list[str]:
    """All migrations of this version, the newest first; their files are named by them."""
    files = (BACKEND / "alembic" / "versions").glob("*.py")
    return sorted((file.name.partition("_")[0] for file in files), reverse=True)


async def refuse_old_schema(url: str, settings: Settings) -> None:
    """Raise ConfigurationError when the schema is behind what this code was written for.

    One that is ahead is fine: while a new version is rolled out, its migrations have run and the old one
    still serves. Raises Unavailable when the database can't be reached or refuses service.
    """
    database = Database(url, settings)
    try:
        found = await database.schema_revision()
    except Unavailable as error:
        raise unreachable(error.__cause__ or error) from error.__cause__
    finally:
        await database.close()
    newest, *older = _known_revisions()
    if found in {None, *older}:
        raise ConfigurationError(
            f"DATABASE_URL: the schema is at revision {found or 'none'} and this version needs {newest}; "
            "run: tasks-api migrate"
        )

"""Better Auth's sessions: the only SQL on its `session` table, which it makes and we only read."""

import math
from datetime import UTC, datetime

import asyncpg
from sqlalchemy import Text, bindparam, cast, column, select, table

from app.auth import Session
from app.database import Database
from app.errors import Overloaded, SignInUnavailable, Unavailable
from app.statement import Statement

_UNREADABLE = "BETTER_AUTH_DATABASE_URL: can't read token, userId and expiresAt of the table session"

_session = table("session", column("token"), column("userId"), column("expiresAt"))

# Better Auth's own migrations make the user's id a text; with other adapters it may be a number or a UUID.
_find = Statement(
    select(cast(_session.c.userId, Text).label("user_id"), _session.c.expiresAt.label("expires_at")).where(
        _session.c.token == bindparam("token", type_=Text)
    )
)


class Sessions:
    """Better Auth's sessions, in the tasks' database or in one of their own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, token: str) -> Session | None:
        """Return the session with this raw token, over or not; raises SignInUnavailable and Overloaded."""
        try:
            rows = await self._database.fetch_for(None, math.inf, _find, token=token)
        except Overloaded:
            raise
        except (Unavailable, asyncpg.PostgresError, ArithmeticError, ValueError) as error:
            # The table is not ours: it may be like anything, and hold times that Python has no number for.
            raise SignInUnavailable(_UNREADABLE) from error.__cause__ or error
        if not rows:
            return None
        row = rows[0]
        if not isinstance(row["expires_at"], datetime):
            raise SignInUnavailable(f"{_UNREADABLE}: expiresAt is no time")
        return Session(row["user_id"], _in_utc(row["expires_at"]).timestamp())


def _in_utc(time: datetime) -> datetime:
    """Better Auth's own column has a time zone; Prisma's and Drizzle's may have none and hold UTC."""
    return time if time.tzinfo else time.replace(tzinfo=UTC)

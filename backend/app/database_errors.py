"""What the driver's errors say: of which kind they are, and whether the database can't serve now."""

import asyncpg

#: SQLSTATEs that are about the database's state and not about the statement: connection (08), login (28),
#: no such database (3D), resources (53), shutdown, start and cancel (57), read-only (25006), locks (40, 55),
#: a schema that is not migrated (42P01, 42703) or that the role may not use (42501).
_UNAVAILABLE_STATES = ("08", "28", "3D", "53", "57", "25006", "40", "55", "42P01", "42703", "42501")

#: All that the driver raises; TimeoutError is an OSError. InternalClientError is no InterfaceError: it is
#: what a statement meets whose connection broke between its two parts, prepare and execute.
DRIVER_ERRORS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


def kind(error: BaseException) -> str:
    """Return the class of an error's SQLSTATE, or what happened where PostgreSQL said nothing."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2]
    return "timeout" if isinstance(error, TimeoutError) else "connection"


def is_unavailable(error: BaseException) -> bool:
    """Whether a driver's error says that the database can't serve now, and not that a statement is wrong."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_UNAVAILABLE_STATES)
    return isinstance(error, DRIVER_ERRORS)

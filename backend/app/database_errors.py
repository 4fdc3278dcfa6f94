"""What the driver's errors say: of which kind they are, and what may be done about them."""

import asyncpg

#: SQLSTATEs that are about the database's state and not about the statement: connection (08), login (28),
#: no such database (3D), resources (53), shutdown, start and cancel (57), read-only (25006), locks (40, 55),
#: a schema that is not migrated (42P01, 42703) or that the role may not use (42501).
_UNAVAILABLE_STATES = ("08", "28", "3D", "53", "57", "25006", "40", "55", "42P01", "42703", "42501")

#: The server went away, or is not there yet: connection (08), shutdown (57P01, 57P02), start (57P03).
_LOST_STATES = ("08", "57P01", "57P02", "57P03")

#: Could not serialize, and deadlock: the statement was undone, which is what the state says.
_UNDONE_STATES = frozenset({"40001", "40P01"})

#: What the driver says of itself or of the connection. TimeoutError, too, is an OSError. It calls it internal
#: when the server has said goodbye (57P01, say) to a connection that is idle, and has not closed it yet.
_CONNECTION_ERRORS = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
DRIVER_ERRORS = (*_CONNECTION_ERRORS, asyncpg.PostgresError)

#: How that begins; nothing is sent then. Any other text might come from a statement that was.
_GOODBYE = "cannot switch to state"


def kind(error: BaseException) -> str:
    """Return the class of an error's SQLSTATE, or what happened where PostgreSQL said nothing."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "")[:2]
    return "timeout" if isinstance(error, TimeoutError) else "connection"


def is_unavailable(error: BaseException) -> bool:
    """Whether a driver's error says that the database can't serve now, and not that a statement is wrong."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_UNAVAILABLE_STATES)
    return isinstance(error, _CONNECTION_ERRORS)


def is_lost(error: BaseException) -> bool:
    """Whether the server could not be reached, or the connection to it broke: another one may work."""
    if isinstance(error, asyncpg.PostgresError):
        return (error.sqlstate or "").startswith(_LOST_STATES)
    return isinstance(error, _CONNECTION_ERRORS)


def is_undone(error: BaseException) -> bool:
    """Whether the statement lost against another and was rolled back as a whole."""
    return isinstance(error, asyncpg.PostgresError) and error.sqlstate in _UNDONE_STATES


def may_have_been_sent(error: BaseException) -> bool:
    """Whether a statement that met this on an open connection may have reached the server.

    What the driver refuses by itself never did.
    """
    if isinstance(error, asyncpg.InternalClientError):
        return not str(error).startswith(_GOODBYE)
    return not isinstance(error, asyncpg.InterfaceError)

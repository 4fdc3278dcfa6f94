"""Ends of what lasts."""

from enum import StrEnum


class Ending(StrEnum):
    """Why something that lasts is over for its caller."""

    TOKEN_EXPIRED = "TOKEN_EXPIRED"  # noqa: S105 - it is a reason
    SIGNED_OUT = "SIGNED_OUT"
    SHUTDOWN = "SHUTDOWN"

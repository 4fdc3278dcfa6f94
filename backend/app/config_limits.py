"""The settings about limits: how much the service takes on at once, and how long anything may take."""

from pydantic import Field
from pydantic_settings import BaseSettings


class LimitSettings(BaseSettings):
    """What keeps one caller, or one slow part, from taking the service from all others."""

    database_timeout: float = Field(
        default=4,
        gt=0,
        le=60,
        description="Seconds that one statement may take, waiting for a connection included; then 503.",
    )
    database_queue: int = Field(
        default=100,
        ge=0,
        le=10_000,
        description="Requests that may wait for a connection, at most, per worker process; then 503.",
    )
    database_queue_wait: float = Field(
        default=0.25, gt=0, le=600, description="Seconds that a request waits for a connection; then 503."
    )
    request_timeout: float = Field(
        default=5,
        gt=0,
        le=300,
        description="Seconds in which a request must have all that it wants of the database; then 503.",
    )
    health_timeout: float = Field(
        default=0.1,
        gt=0,
        le=10,
        description="Seconds that /health waits for the database before it says `disconnected`.",
    )
    max_body_bytes: int = Field(
        default=65_536, ge=1024, description="Bytes that a request body may have, at most; then 413."
    )
    live_connections_per_user: int = Field(
        default=20,
        ge=1,
        description="Event streams that a user may have open, at most, per worker process; then 429.",
    )

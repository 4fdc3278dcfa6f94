"""The settings about limits: how much the service takes on at once, and how long anything may take."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

from app.config_values import rate, redis_url


class LimitSettings(BaseSettings):
    """What keeps one caller, or one slow part, from taking the service from all others."""

    database_timeout: float = Field(
        default=2.5,
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
    shutdown_delay: float = Field(
        default=0,
        ge=0,
        le=300,
        description="Seconds of serving on after SIGTERM, /health/ready being 503, for a balancer to notice.",
    )
    shutdown_grace: float = Field(
        default=3,
        ge=1,
        le=300,
        description="Seconds that open requests may take to end after that; then they are cut off.",
    )
    max_header_bytes: int = Field(
        default=16_384,
        ge=1024,
        le=65_536,
        description="Bytes that path, query and headers may have; then 431, or 414 if the path has half.",
    )
    request_head_timeout: float = Field(
        default=5,
        gt=0,
        le=60,
        description="Seconds that path and headers may take; then 408, or, if nothing came, no answer.",
    )
    request_body_timeout: float = Field(
        default=5,
        gt=0,
        le=60,
        description="Seconds that a body may take to arrive, and 1 more for every 16 KiB; then 408.",
    )
    send_timeout: float = Field(
        default=10,
        gt=0,
        le=600,
        description="Seconds that a client may read nothing of its answer; then the connection is closed.",
    )
    live_connections_per_user: int = Field(
        default=20,
        ge=1,
        description="Event streams that a user may have open, at most, per worker process; then 429.",
    )
    rate_limit: Annotated[str, AfterValidator(rate)] = Field(
        default="300/minute",
        description="Requests of a user, by second, minute or hour, or `off`; then 429.",
    )
    rate_limit_address: Annotated[str, AfterValidator(rate)] = Field(
        default="300/minute",
        description="Refused credentials of an address, likewise.",
    )
    rate_limit_burst: int = Field(
        default=100, ge=10, le=100_000, description="How many of either may come at once."
    )
    rate_limit_redis_url: Annotated[str, AfterValidator(redis_url)] = Field(
        default="",
        repr=False,
        description="Redis or Valkey: all processes count together; without it each counts for itself.",
    )
    trusted_proxies: int = Field(
        default=0,
        ge=0,
        le=10,
        description="Proxies in front, each adding to X-Forwarded-For; 0 believes the connection alone.",
    )

"""The settings about limits: how much the service takes on at once, and how long anything may take."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings

from app.config_values import rate, redis_url


class LimitSettings(BaseSettings):
    """What keeps one caller, or one slow part, from taking the service from all others."""

    database_timeout: float = Field(
        default=4,
        gt=0,
        le=60,
        description="Seconds that one statement may take, waiting for a connection included; then 503.",
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

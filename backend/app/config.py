"""Settings: one frozen field per environment variable, each with a sentence."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import ConfigurationError
from app.local_secret import local_secret

BACKEND = Path(__file__).parents[1]

#: What `.env.example` shows; production refuses it.
EXAMPLE_SECRET = "replace-me-with-the-secret-of-your-front-end"  # noqa: S105 - an example, refused in production

#: HMAC-SHA256 wants a key of at least its output's size (RFC 7518 section 3.2).
_SECRET_BYTES = 32


def _long_enough(secret: str) -> str:
    if secret and len(secret.encode()) < _SECRET_BYTES:
        raise ValueError(f"must have at least {_SECRET_BYTES} bytes; make one with: openssl rand -base64 32")
    return secret


def _origins(text: str) -> str:
    for origin in _split(text):
        if origin != "*" and not _is_origin(origin):
            raise ValueError(
                f"'{origin}' is not an origin as browsers send it; write it like https://app.example.com, in "
                "lower case, without wildcard, path or the scheme's own port"
            )
    return text


def _is_origin(text: str) -> bool:
    """Whether a browser may send it (RFC 6454 section 6.2); anything else would never match, in silence."""
    found = re.fullmatch(r"(https?)://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?", text)
    return found is not None and found.groups() not in {("http", "80"), ("https", "443")}


def _from_checkout(path: Path) -> Path:
    return BACKEND.parent / path


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _split(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


class Settings(BaseSettings):
    """The service's configuration, read from the environment and from `backend/.env`."""

    model_config = SettingsConfigDict(
        frozen=True,
        env_file=BACKEND / ".env",
        env_ignore_empty=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    environment: Literal["development", "test", "production"] = Field(
        default="development",
        description="`production` refuses to start with anything that is only fit for development.",
    )
    database_url: str = Field(
        default="",
        repr=False,
        description="PostgreSQL, as your provider shows it; without it an embedded server is started.",
    )
    database_prepared_statements: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="`auto` keeps statements prepared, except behind a pooler; `on` if yours supports it.",
    )
    database_pool_size: int = Field(
        default=10, ge=1, le=1000, description="Connections to the database, at most, per worker process."
    )
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
    better_auth_secret: Annotated[str, AfterValidator(_long_enough)] = Field(
        default="",
        repr=False,
        description="The BETTER_AUTH_SECRET of your front end: tokens signed HS256 with it are accepted.",
    )
    cors_origins: Annotated[str, AfterValidator(_origins)] = Field(
        default="http://localhost:3000",
        description="Origins whose pages may call the API, separated by commas.",
    )
    max_body_bytes: int = Field(
        default=65_536, ge=1024, description="Bytes that a request body may have, at most; then 413."
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = Field(
        default="info", description="The least severe log lines that are written."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="`auto` is `json` in production and `console`, for people, elsewhere."
    )
    host: str = Field(default="127.0.0.1", description="The address that `serve` listens on.")
    port: int = Field(default=8000, ge=1, le=65_535, description="The port that `serve` listens on.")
    workers: int = Field(default=1, ge=1, le=128, description="Worker processes that `serve` starts.")
    data_dir: Annotated[Path, AfterValidator(_from_checkout)] = Field(
        default=BACKEND.parent / ".data",
        description="Where the embedded PostgreSQL and the local secret live; relative to the checkout.",
    )

    @model_validator(mode="after")
    def _fit_for_production(self) -> Self:
        if self.production:
            if not self.database_url:
                raise ValueError("DATABASE_URL: production needs it, the embedded server is for development")
            if not self.better_auth_secret:
                raise ValueError("BETTER_AUTH_SECRET: production needs it, or nobody could sign in")
            if self.better_auth_secret == EXAMPLE_SECRET:
                raise ValueError("BETTER_AUTH_SECRET: this is the example's; everybody knows it")
            if "*" in self.cors_origin_list:
                raise ValueError("CORS_ORIGINS: '*' is not for production; list your front end's origins")
        return self

    @property
    def production(self) -> bool:
        return self.environment == "production"

    @property
    def cors_origin_list(self) -> list[str]:
        return _split(self.cors_origins)

    @property
    def json_logs(self) -> bool:
        return self.log_format == "json" or (self.log_format == "auto" and self.production)


@lru_cache
def get_settings() -> Settings:
    """Return the settings of this process, read once."""
    return load_settings()


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; without any auth setting, outside production, use the local secret.

    Raises ConfigurationError, one line that names the variables at fault and none of their secrets.
    """
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise ConfigurationError("; ".join(map(_line, error.errors()))) from None
    if settings.better_auth_secret:
        return settings
    return settings.model_copy(update={"better_auth_secret": local_secret(settings.data_dir / "secret")})


def _line(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    return f"{str(error['loc'][0]).upper()}: {message}" if error["loc"] else message

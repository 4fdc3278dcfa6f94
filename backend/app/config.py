"""Settings: one frozen field per environment variable, each with a sentence."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsConfigDict

from app.config_auth import BetterAuthSettings
from app.config_limits import LimitSettings
from app.config_values import bearer, lower, origins, separated
from app.errors import ConfigurationError
from app.local_secret import local_secret

BACKEND = Path(__file__).parents[1]

#: What `.env.example` shows; production refuses it.
EXAMPLE_SECRET = "replace-me-with-the-secret-of-your-front-end"  # noqa: S105 - an example, refused in production

#: Of METRICS_TOKEN in production: 16 hexadecimal digits are 64 random bits.
_SHORTEST_TOKEN = 16  # characters


def _from_checkout(path: Path) -> Path:
    return BACKEND.parent / path


class Settings(LimitSettings, BetterAuthSettings):
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
        default=10, ge=1, le=1000, description="Connections to a database, at most, per worker process."
    )
    cors_origins: Annotated[str, AfterValidator(origins)] = Field(
        default="http://localhost:3000",
        description="Origins whose pages may call the API, separated by commas.",
    )
    require_if_match: bool = Field(
        default=False, description="Refuse changes and deletions that come without If-Match (428)."
    )
    trash_retention_days: int = Field(
        default=30,
        ge=1,
        le=3650,
        description="Days that a deleted task stays in the trash before it is purged.",
    )
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(lower)] = Field(
        default="info", description="The least severe log lines that are written."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="`auto` is `json` in production and `console`, for people, elsewhere."
    )
    metrics: Annotated[Literal["auto", "on", "off"], BeforeValidator(lower)] = Field(
        default="auto",
        description="Whether there is /metrics; `auto` is `on`, in production only with METRICS_TOKEN.",
    )
    metrics_token: Annotated[str, AfterValidator(bearer)] = Field(
        default="",
        repr=False,
        description="What /metrics wants as `Authorization: Bearer`; if on without one, it is open to all.",
    )
    docs: Annotated[Literal["auto", "on", "off"], BeforeValidator(lower)] = Field(
        default="auto",
        description="Whether there are /docs and /openapi.json; `auto` is `on`, and `off` in production.",
    )
    show_version: Annotated[Literal["auto", "on", "off"], BeforeValidator(lower)] = Field(
        default="auto",
        description="Whether / and /health tell the version; `auto` is `on`, and `off` in production.",
    )
    server_timing: bool = Field(
        default=False, description="Tell callers where the time of each answer went (`Server-Timing`)."
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
            if not (self.better_auth_url or self.better_auth_secret):
                raise ValueError(
                    "BETTER_AUTH_URL: production needs it, or BETTER_AUTH_SECRET, or nobody could sign in"
                )
            if self.jwks_url.startswith("http:") and not self.better_auth_jwks_url:
                raise ValueError(
                    "BETTER_AUTH_URL: keys that come over http can be forged on the way; write https, or "
                    "name an address in your own network with BETTER_AUTH_JWKS_URL"
                )
            if self.better_auth_secret == EXAMPLE_SECRET:
                raise ValueError("BETTER_AUTH_SECRET: this is the example's; everybody knows it")
            if 0 < len(self.metrics_token) < _SHORTEST_TOKEN:
                raise ValueError("METRICS_TOKEN: fewer than 16 characters are guessed; openssl rand -hex 32")
            if "*" in self.cors_origin_list:
                raise ValueError("CORS_ORIGINS: '*' is not for production; list your front end's origins")
        return self

    @property
    def production(self) -> bool:
        return self.environment == "production"

    @property
    def cors_origin_list(self) -> list[str]:
        return separated(self.cors_origins)

    @property
    def metrics_on(self) -> bool:
        return self.metrics == "on" or (
            self.metrics == "auto" and (not self.production or bool(self.metrics_token))
        )

    @property
    def docs_on(self) -> bool:
        return self.docs == "on" or (self.docs == "auto" and not self.production)

    @property
    def version_shown(self) -> bool:
        return self.show_version == "on" or (self.show_version == "auto" and not self.production)

    @property
    def json_logs(self) -> bool:
        return self.log_format == "json" or (self.log_format == "auto" and self.production)


@lru_cache
def get_settings() -> Settings:
    """Return the settings of this process, read once."""
    return load_settings()


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; without a secret, outside production, use the local one.

    Raises ConfigurationError, one line that names the variables at fault and none of their secrets.
    """
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        raise ConfigurationError("; ".join(map(_line, error.errors()))) from None
    if settings.better_auth_secret or settings.production:
        return settings
    return settings.model_copy(update={"better_auth_secret": local_secret(settings.data_dir / "secret")})


def _line(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ")
    return f"{str(error['loc'][0]).upper()}: {message}" if error["loc"] else message

"""The settings about Better Auth: each kind of credential is accepted when its setting is there."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import BaseSettings

from app.config_values import (
    audiences,
    auth_url,
    base_url,
    default_jwks_url,
    long_enough,
    origin_of,
    separated,
)


class BetterAuthSettings(BaseSettings):
    """What the front end's Better Auth server and this service must agree on."""

    better_auth_url: Annotated[str, AfterValidator(base_url)] = Field(
        default="",
        description="The BETTER_AUTH_URL of your front end: tokens of its `jwt()` plugin are accepted.",
    )
    better_auth_jwks_url: Annotated[str, AfterValidator(auth_url)] = Field(
        default="",
        description="Where the public keys are, if not below BETTER_AUTH_URL: an internal address, say.",
    )
    better_auth_issuer: Annotated[str, AfterValidator(str.strip)] = Field(
        default="", description="The `iss` of those tokens, if not the origin of BETTER_AUTH_URL."
    )
    better_auth_audience: Annotated[str, AfterValidator(audiences)] = Field(
        default="",
        description="The `aud` of those tokens, if not the origin of BETTER_AUTH_URL; several with commas.",
    )
    better_auth_secret: Annotated[str, AfterValidator(long_enough)] = Field(
        default="",
        repr=False,
        description="The BETTER_AUTH_SECRET of your front end: tokens signed HS256 with it are accepted.",
    )
    better_auth_database_url: str = Field(
        default="",
        repr=False,
        description="PostgreSQL with Better Auth's `session` table, or `same`: session tokens are accepted.",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        for name in ("better_auth_jwks_url", "better_auth_issuer", "better_auth_audience"):
            if getattr(self, name) and not self.better_auth_url:
                raise ValueError(f"{name.upper()}: it goes with BETTER_AUTH_URL, which is not set")
        if self.better_auth_database_url and not self.better_auth_secret:
            raise ValueError("BETTER_AUTH_SECRET: session tokens are signed with it; set it too")
        return self

    @property
    def jwks_url(self) -> str:
        return self.better_auth_jwks_url or default_jwks_url(self.better_auth_url)

    @property
    def issuer(self) -> str:
        return self.better_auth_issuer or origin_of(self.better_auth_url)

    @property
    def audiences(self) -> frozenset[str]:
        return frozenset(separated(self.better_auth_audience) or [origin_of(self.better_auth_url)])
